"""The run directory: whose it is, and what it tells of the run."""

import itertools
import json
import re
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import tomli_w

from .files import write_atomically

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=+-]{0,199}")
"""What a run may be called: nothing that leaves the folder or upsets a shell."""
LONGEST_NAMES = 180  # of a generated name: time and number follow


def generated_name(*parts: str) -> str:
    """The given names, what `NAME` does not allow replaced, and the local time, joined by underscores."""
    names = re.sub(r"[^A-Za-z0-9._=+-]", "-", "_".join(parts))[:LONGEST_NAMES]
    return f"{names}_{datetime.now():%Y%m%d_%H%M%S}".lstrip("._=+-")


def claim(name: str, folders: Iterable[Path]) -> str:
    """Makes a new directory for a run in each of the folders.

    Directories are made, not looked for, so that of several processes only one gets a name.

    Args:
        name: The wanted name.
        folders: Folders that hold runs; missing ones are made.

    Returns:
        The name, with `-1`, `-2` ... behind it where it was taken.

    Raises:
        OSError: A directory cannot be made.
    """
    folders = list(folders)
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    for number in itertools.count():
        candidate = f"{name}-{number}" if number else name
        made: list[Path] = []
        try:
            for folder in folders:
                (folder / candidate).mkdir()
                made.append(folder / candidate)
            return candidate
        except FileExistsError:
            for path in made:
                path.rmdir()
    raise AssertionError


class RunDirectory:
    """A directory that holds one run.

    Attributes:
        path: The directory.
        facts: What `run.json` says: status, arguments, versions, timings.
    """

    def __init__(self, path: Path, **facts: Any):
        self.path = path
        self.facts: dict[str, Any] = {"name": path.name, "status": "running"} | facts
        self.facts["started"] = datetime.now().astimezone().isoformat(timespec="seconds")
        self._began = time.monotonic()
        self._write()

    def write_config(self, config: dict[str, Any]) -> None:
        """Writes `config.toml`, which repeats the run."""
        write_atomically(self.path / "config.toml", tomli_w.dumps(config).encode())

    def finish(self, status: str, **facts: Any) -> None:
        """Records how the run ended."""
        self.facts |= {"status": status, "seconds": round(time.monotonic() - self._began, 3)}
        self.facts |= facts
        self._write()

    def _write(self) -> None:
        # Arguments and paths need not be Unicode: escaped, the file is valid JSON whatever they are.
        text = json.dumps(self.facts, indent=2) + "\n"
        write_atomically(self.path / "run.json", text.encode("ascii"))
