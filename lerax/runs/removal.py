"""Runs that can go, and their removal."""

import shutil
import time
from collections.abc import Sequence

from .run import ENDED, LIVES, Run, held, read


def prunable(
    runs: Sequence[Run], *, keep_best: int = 0, older_than: float = 0.0, statuses: Sequence[str] = ENDED
) -> list[Run]:
    """The runs that can go: no link, and none that lives.

    Args:
        runs: All there are.
        keep_best: Of each environment, so many of the best score stay.
        older_than: Seconds since the last sign of life.
        statuses: The status of those that may go.
    """
    now, kept = time.time(), set()
    for env in {run.env for run in runs}:
        scored = [run for run in runs if run.env == env and run.score is not None]
        best = sorted(scored, key=lambda run: run.score or 0.0, reverse=True)[:keep_best]
        kept |= {run.path for run in best}
    return [
        run
        for run in runs
        if run.status in statuses
        and run.status != LIVES
        and run.path not in kept
        and now - run.heard >= older_than
        and not run.path.is_symlink()
    ]


def remove(run: Run) -> bool:
    """Removes a run with all it has; links in it go, what they lead to stays.

    Returns:
        Whether it is gone; not where it lives, or is a link.

    Raises:
        OSError: Something of it cannot be removed.
    """
    with held(run.path) as free:
        if not free or run.path.is_symlink() or read(run.path).status == LIVES:
            return False
        shutil.rmtree(run.path)
    return True
