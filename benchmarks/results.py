"""RESULTS.md: one block for each section, and a hand-written one that stays as it is."""

import os
import platform
import re
import sys
from importlib import metadata
from pathlib import Path

PACKAGES = (
    "lerax jax jaxlib equinox optax numpy rejax gymnax sbx-rl stable-baselines3 torch gymnasium "
    "pygame moviepy mujoco"
).split()
NOTES = "Write what the figures mean here; a new run keeps this block."


def update(text: str, blocks: dict[str, str], order: list[str]) -> str:
    """The file's new text: new blocks in place of old ones, the others kept.

    Args:
        text: The old text, empty at first.
        blocks: New blocks by key.
        order: Keys of blocks in their order; what the file has beside them stays behind these.
    """
    old = dict(re.findall(r"<!-- begin (\S+) -->\n(.*?)\n<!-- end \1 -->", text, re.DOTALL))
    merged = {"notes": NOTES} | old | blocks
    parts = [
        f"<!-- begin {key} -->\n{merged[key]}\n<!-- end {key} -->"
        for key in dict.fromkeys(["notes", *order, *merged])
        if key in merged
    ]
    return "\n\n".join(["# Benchmark results", *parts]) + "\n"


def machine() -> str:
    """The machine and the versions of what takes part, as Markdown."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    facts = [
        f"{processor()}, {cores} cores in use, {_memory()}",
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
    ]
    return "\n".join(["## Machine and versions", "", *(f"- {fact}" for fact in facts)])


def processor() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found.group(1) if found else platform.processor() or "unknown processor"


def _memory() -> str:
    if sys.platform != "linux":
        return "memory unknown"
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
