"""One trial: what is known of it, and what came of its runs."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lerax.study.statistics import interval, iqm, mean

if TYPE_CHECKING:
    import optuna

STATISTICS = {"iqm": iqm, "mean": mean}  # by goal
BROKEN = ("failed", "diverged")
COMPLETE, PRUNED, FAILED = "complete", "pruned", "failed"
FAILED_IN_A_ROW = 5  # trials, after which it is no trial that is at fault


class Verdict(NamedTuple):
    """What came of a trial.

    Attributes:
        state: `complete`, `pruned` or `failed`.
        score: What is maximised; None where it is not complete.
        facts: What else the journal says of it: `scores` by seed and `interval`, `seconds`, or `reason`.
    """

    state: str
    score: float | None
    facts: dict[str, Any]


@dataclass
class Trial:
    """A trial that this process has, and no other one.

    Attributes:
        number: Its number.
        path: The directory of its runs.
        settings: What it tries.
        taken_over: Whether another process has begun it.
        handle: Optuna's.
    """

    number: int
    path: Path
    settings: dict[str, Any]
    taken_over: bool
    handle: "optuna.Trial"
    _lock: int = field(repr=False)

    def release(self) -> None:
        """Leaves it to others: it goes on where it is, unless its end was told."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def verdict(ends: Sequence[dict[str, Any]], seeds: Sequence[int], goal: str) -> Verdict | None:
    """What came of a trial, from how its runs ended; None while they can go on.

    Args:
        ends: What `run.json` says of each that there is.
        seeds: The seeds of all.
        goal: What is maximised.
    """
    for end in ends:
        if end.get("status") in BROKEN:
            return Verdict(FAILED, None, {"reason": _reason(end)})
    if any(end.get("status") == "pruned" for end in ends):
        return Verdict(PRUNED, None, {})
    scores = {end.get("seed"): (end.get("evaluation") or {}).get("mean_return") for end in ends}
    if any(end.get("status") != "finished" for end in ends) or not {*seeds} <= scores.keys():
        return None
    found = [scores[seed] for seed in seeds]
    if not all(isinstance(score, int | float) and math.isfinite(score) for score in found):
        return Verdict(FAILED, None, {"reason": "its evaluation gave no number"})
    statistic = STATISTICS[goal]
    facts: dict[str, Any] = {"scores": dict(zip(map(str, seeds), found, strict=True))}
    if len(found) > 1:
        facts["interval"] = [float(end) for end in interval(statistic, [found])]
    facts["seconds"] = round(sum(end.get("seconds_training") or 0.0 for end in ends), 3)
    return Verdict(COMPLETE, float(statistic([found])), facts)


def _reason(end: dict[str, Any]) -> str:
    """Why a run has failed, in a few words."""
    said = end.get("error")
    if end["status"] == "diverged":
        said = f"diverged at iteration {end.get('diverged_at_iteration', '?')}"
    return f"seed {end.get('seed')}: {said or end['status']}"
