"""The locks of a sweep's files, which end with the process that holds them."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from optuna.storages.journal import JournalFileSymlinkLock

TAIL = 2**20  # bytes; no line of a journal comes near


class JournalLock:
    """The lock of a journal, for Optuna's `JournalFileBackend`.

    Optuna's own are files, which a process that was killed leaves behind: all others wait for half a minute
    then. A lock of the kernel's goes with its process. Where a file system has none, Optuna's counts.

    Args:
        path: The journal.
    """

    def __init__(self, path: Path):
        self._path, self._file = path, -1
        self._otherwise = JournalFileSymlinkLock(str(path))
        self._held_otherwise = False

    def acquire(self) -> bool:
        """Waits for the lock, and takes it."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            self._held_otherwise = self._otherwise.acquire()
        except BaseException:
            os.close(file)
            raise
        self._file = file
        _mend(file)
        return True

    def release(self) -> None:
        """Gives it back."""
        os.close(self._file)
        if self._held_otherwise:
            self._held_otherwise = False
            self._otherwise.release()


@contextlib.contextmanager
def exclusively(path: Path) -> Iterator[None]:
    """Lets one process at a time do what is inside.

    Args:
        path: A file that is made for that.
    """
    lock = JournalLock(path)
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _mend(file: int) -> None:
    """Takes away half a line at the end: its process ended, or the disk was full, while it was written.

    The next line would follow on it, and none could be read from there on.
    """
    size = os.fstat(file).st_size
    tail = os.pread(file, min(TAIL, size), max(size - TAIL, 0))
    if tail and not tail.endswith(b"\n"):
        os.ftruncate(file, size - len(tail) + tail.rfind(b"\n") + 1)
