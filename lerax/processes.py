"""Other processes: Python in one of its own, and their end."""

import contextlib
import os
import signal
import sys
from pathlib import Path


def python(*arguments: str) -> tuple[list[str], dict[str, str]]:
    """What runs Python in another process, which finds packages where this one does, and nowhere else.

    Returns:
        The command, and a copy of the environment to go with it.
    """
    path = os.pathsep.join(folder or os.getcwd() for folder in sys.path)
    return [sys.executable, "-P", *arguments], os.environ | {"PYTHONPATH": path}


def children(pid: int) -> list[int]:
    """The numbers of the processes that a process has started and that have not ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            if path.read_text().rpartition(")")[2].split()[1] == str(pid):
                found.append(int(path.parent.name))
    return found


def kill_with_children(pid: int) -> None:
    """Kills a process that has not ended, and first what it has started, in whatever session."""
    for number in (*children(pid), pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
