"""The cores that this process may use, and the trainings side by side that divide them."""

import contextlib
import os
from collections.abc import Iterator

_trainings = 1  # of the whole process: simulations run on threads that are nobody's


def count() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def share() -> int:
    """How many of them are one training's, at least one."""
    return max(1, count() // _trainings)


def trainings() -> int:
    """How many trainings there are at a time."""
    return _trainings


@contextlib.contextmanager
def divided(by: int) -> Iterator[None]:
    """So many trainings divide them for a while."""
    global _trainings
    before, _trainings = _trainings, by
    try:
        yield
    finally:
        _trainings = before
