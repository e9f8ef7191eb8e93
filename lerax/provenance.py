"""Where something began: the state of the working folder in git, and the machine."""

import contextlib
import os
import platform
import subprocess
import threading
from pathlib import Path
from typing import Any

LARGEST_DIFF = 2**16  # bytes that are kept
LATEST = 0.3  # seconds that git is waited for, in a folder where it takes long
CPU = b"model name"


class Provenance:
    """Looks at a folder on a thread of its own: what starts a training does not wait for git.

    Args:
        folder: The folder; None for the working folder.
    """

    def __init__(self, folder: str | Path | None = None):
        self._folder, self._git = folder, dict[str, Any]()
        self._thread = threading.Thread(target=self._look, daemon=True, name="lerax provenance")
        self._thread.start()

    def facts(self, seconds: float = LATEST) -> dict[str, Any]:
        """What is known: `machine`, and `git` where there is one, as far as it has said so.

        Args:
            seconds: How long to wait for git, at the most.
        """
        self._thread.join(seconds)
        return ({"git": dict(self._git)} if self._git else {}) | {"machine": machine()}

    def _look(self) -> None:
        with contextlib.suppress(OSError):
            folder = Path.cwd() if self._folder is None else Path(self._folder)
            self._git = commit(folder)
            self._git = self._git and self._git | changes(folder)


_latest: Provenance | None = None


def begin() -> None:
    """Begins to look at the working folder, for `facts`."""
    global _latest
    _latest = Provenance()


def facts() -> dict[str, Any]:
    """What was found since `begin`, see `Provenance.facts`; nothing where it was not called."""
    return _latest.facts() if _latest else {}


def commit(folder: Path) -> dict[str, Any]:
    """The `commit` that a folder in git is at; nothing where there is none, or no git that can be asked."""
    folder = folder.resolve()
    if not any((above / ".git").exists() for above in (folder, *folder.parents)):
        return {}  # nothing is started
    said = _asked(folder, "rev-parse", "--verify", "HEAD")
    return {"commit": said.decode("ascii", "replace").strip()} if said else {}


def changes(folder: Path) -> dict[str, Any]:
    """How files that git knows differ from the commit.

    Returns:
        `dirty`, whether they do, and then `diff` as Unicode, cut after 64 kB; nothing where git fails.
    """
    said = _asked(folder, "diff", "--no-color", "--no-ext-diff", "--no-textconv", "HEAD")
    if not said:
        return {} if said is None else {"dirty": False}
    return {"dirty": True, "diff": said[:LARGEST_DIFF].decode("utf-8", "replace")}


def machine() -> dict[str, Any]:
    """The system, the processor and how many of its cores there are."""
    found: dict[str, Any] = {"system": f"{platform.system()} {platform.release()}"}
    with contextlib.suppress(OSError), open("/proc/cpuinfo", "rb") as file:
        lines = file.read(4096).split(b"\n")
        names = [line.partition(b":")[2] for line in lines if line.startswith(CPU)]
        found |= {"processor": names[0].decode("utf-8", "replace").strip()} if names else {}
    found.setdefault("processor", platform.machine())
    return found | {"cores": os.cpu_count()}


def _asked(folder: Path, *words: str) -> bytes | None:
    """What git says, as far as it is kept, and a byte more where that is not all; None where it fails."""
    env = os.environ | {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    null = subprocess.DEVNULL
    try:
        with subprocess.Popen(
            ["git", "-C", str(folder), *words], stdout=subprocess.PIPE, stdin=null, stderr=null, env=env
        ) as process:
            assert process.stdout is not None
            said = process.stdout.read(LARGEST_DIFF + 1)
            if len(said) > LARGEST_DIFF:
                process.kill()
                return said
    except OSError:
        return None
    return said if process.returncode == 0 else None
