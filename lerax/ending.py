"""The files that this process has not finished, and its end at once, which leaves none of them."""

import contextlib
import os
import threading
from pathlib import Path
from typing import NoReturn

making = threading.Lock()
"""Held while one is begun or gets its final name."""
unfinished: set[Path] = set()
"""Where they are."""


def end_at_once(code: int, seconds: float = 1.0) -> NoReturn:
    """Ends the process whatever its threads are doing, and leaves none of their files half-written.

    Args:
        code: Its exit code.
        seconds: That this may take; a disk may hang.
    """
    remove = threading.Thread(target=_remove, daemon=True)
    remove.start()
    remove.join(seconds)
    os._exit(code)


def _remove() -> None:
    making.acquire()  # for good: no thread begins another one, or misses the name of its own
    for path in tuple(unfinished):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
