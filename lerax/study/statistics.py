"""What a few runs tell of all there could be: aggregates, how sure they are, how many more it would take.

After Agarwal et al. (2021), "Deep Reinforcement Learning at the Edge of the Statistical Precipice",
https://arxiv.org/abs/2108.13264. Scores are arrays of runs, one for each task; tasks may have had runs of
different number. Axes before that of the runs are other scores of the same runs, as along a curve, and stay.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from lerax.errors import SettingError

Scores = Iterable[Any]
"""Of each task an array `[..., run]`, or what can be made one."""
Numbers = np.ndarray | np.floating
Statistic = Callable[..., Numbers]
"""From the scores of one or more contestants to numbers, such as `iqm`."""

CONFIDENCE = 0.95
REPETITIONS = 10_000
SIGNIFICANCE, POWER = 0.05, 0.8
MOST_RUNS = 10_000  # that are thought of
LARGEST = 1e300  # of numbers that can still be summed and told apart
BLOCK = 2**22  # numbers that are resampled at once


class Interval(NamedTuple):
    """Where a number of all possible runs is, with some confidence; NaN where nothing tells."""

    low: Any
    high: Any


class Welch(NamedTuple):
    """Welch's test of two contestants.

    Attributes:
        difference: Mean of the first minus that of the second, averaged over tasks.
        p: How often a difference as large comes about where there is none, two-sided; NaN where a task has
            less than two runs.
    """

    difference: float
    p: float


def iqm(scores: Scores) -> Numbers:
    """Interquartile mean: of the middle half of all runs, whatever their task; of all of three or fewer."""
    together = np.sort(np.concatenate(_arrays(scores), axis=-1), axis=-1)
    count = together.shape[-1]
    return together[..., count // 4 : count - count // 4].mean(axis=-1)


def mean(scores: Scores) -> Numbers:
    """Mean over the tasks of the mean of their runs."""
    return np.mean([task.mean(axis=-1) for task in _arrays(scores)], axis=0)


def median(scores: Scores) -> Numbers:
    """Median over the tasks of the mean of their runs; of a single task, over its runs."""
    tasks = _arrays(scores)
    if len(tasks) == 1:
        return np.median(tasks[0], axis=-1)
    return np.median([task.mean(axis=-1) for task in tasks], axis=0)


def probability_of_improvement(scores: Scores, others: Scores) -> Numbers:
    """How likely a run of the first is better than one of the second on the same task, averaged over tasks.

    Equal ones count half.

    Args:
        scores: Of the first.
        others: Of the second, on the same tasks.
    """
    found = []
    for task, other in zip(_arrays(scores), _arrays(others), strict=True):
        one, two = task[..., :, None], other[..., None, :]
        found.append(((one > two) + 0.5 * (one == two)).mean(axis=(-1, -2)))
    return np.mean(found, axis=0)


def profile(scores: Scores, taus: Any) -> Numbers:
    """Performance profile: the fraction of runs above each `tau`, averaged over tasks, `[tau]`."""
    return mean(_above(scores, taus))


def profile_band(scores: Scores, taus: Any, **options: Any) -> Interval:
    """The interval of a performance profile at each `tau`, as `interval` with its options has it."""
    return interval(mean, _above(scores, taus), **options)


def interval(
    statistic: Statistic,
    *contestants: Scores,
    confidence: float = CONFIDENCE,
    repetitions: int = REPETITIONS,
    seed: int = 0,
) -> Interval:
    """Percentile interval by the stratified bootstrap: of each task and contestant, runs are drawn anew.

    Args:
        statistic: What it is of.
        contestants: The scores that it takes.
        confidence: How often the interval should hold what all possible runs have.
        repetitions: How often all runs are drawn.
        seed: The same one gives the same interval.

    Returns:
        Of the statistic's shape; NaN where a task has only one run, of which nothing can be drawn but itself.
    """
    tasks = [_arrays(scores) for scores in contestants]
    found = np.asarray(statistic(*tasks))
    if any(task.shape[-1] < 2 for scores in tasks for task in scores):
        nothing = np.full(found.shape, np.nan)[()]
        return Interval(nothing, nothing)
    random, drawn = np.random.default_rng(seed), []
    largest = max(sum(task.size for task in scores) for scores in tasks)
    pairs = max(np.prod([task.shape[-1] for task in some]) for some in zip(*tasks, strict=True))
    at_once = max(BLOCK // max(largest, int(pairs)), 1)
    for begin in range(0, repetitions, at_once):
        times = min(at_once, repetitions - begin)
        drawn.append(statistic(*([_resampled(task, times, random) for task in scores] for scores in tasks)))
    tails = (1 - confidence) / 2, (1 + confidence) / 2
    return Interval(*np.quantile(np.concatenate(drawn, axis=-1), tails, axis=-1))


def welch(scores: Scores, others: Scores) -> Welch:
    """Welch's t-test of whether two contestants have the same mean, averaged over tasks.

    Args:
        scores: Of the first, `[run]` of each task.
        others: Of the second, on the same tasks.
    """
    from scipy import special

    first, second = _arrays(scores), _arrays(others)
    apart = float(mean(first) - mean(second))
    parts = [(task.var(ddof=1), task.size) for task in (*first, *second) if task.size > 1]
    if len(parts) < len(first) + len(second):
        return Welch(apart, float("nan"))
    error, freedom = _error(parts, len(first))
    if error == 0:
        return Welch(apart, 0.0 if apart else 1.0)
    return Welch(apart, float(2 * special.stdtr(freedom, -abs(apart) / error)))


def runs_needed(
    scores: Scores,
    others: Scores,
    *,
    significance: float = SIGNIFICANCE,
    power: float = POWER,
    most: int = MOST_RUNS,
) -> int | None:
    """How many runs of each contestant, on each task, Welch's t-test would need to tell two apart.

    It takes the means and deviations that were seen for those of all possible runs, which are normally
    distributed then, and asks for the number with which the test finds their difference with probability
    `power`, by the noncentral t-distribution. From a few runs that is an estimate, and no promise.

    Args:
        scores: Of the first, `[run]` of each task.
        others: Of the second, on the same tasks.
        significance: Of the two-sided test.
        power: How likely the difference is to be found.
        most: The most runs that are thought of.

    Returns:
        The least number, at least 2; None where it is above `most`, as where there is no difference, and
        where a task has less than two runs.
    """
    apart, p = welch(scores, others)
    first, second = _arrays(scores), _arrays(others)
    variances = [task.var(ddof=1) for task in (*first, *second) if task.size > 1]
    if np.isnan(p) or apart == 0:
        return None
    if not any(variances):
        return 2
    enough = lambda runs: _power(abs(apart), variances, len(first), runs, significance) >= power
    if not enough(most):
        return None
    low, high = 1, most  # the first is too few
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _power(apart: float, variances: list[float], tasks: int, runs: int, significance: float) -> float:
    """How likely the test finds a difference with so many runs of each."""
    from scipy import special

    error, freedom = _error([(variance, runs) for variance in variances], tasks)
    least = special.stdtrit(freedom, 1 - significance / 2)
    found = special.nctdtr(freedom, apart / error, (-least, least))
    return 1.0 if np.isnan(found).any() else float(found[0] + 1 - found[1])  # it fails far out on the tail


def _error(parts: list[tuple[float, int]], tasks: int) -> tuple[float, float]:
    """Standard error of a difference that is averaged over tasks, and its degrees of freedom.

    Args:
        parts: Variance and number of the runs, of each task and contestant.
        tasks: The number of tasks.
    """
    squares = np.array([variance / runs for variance, runs in parts])
    within = np.array([runs - 1 for _, runs in parts])
    if not squares.any():
        return 0.0, float(within.sum())
    return float(np.sqrt(squares.sum()) / tasks), float(squares.sum() ** 2 / (squares**2 / within).sum())


def _above(scores: Scores, taus: Any) -> list[np.ndarray]:
    return [(task > np.asarray(taus)[:, None]).astype(float) for task in _arrays(scores)]


def _resampled(task: np.ndarray, times: int, random: np.random.Generator) -> np.ndarray:
    """Runs drawn with replacement so many times, `[..., time, run]`."""
    runs = task.shape[-1]
    return task[..., random.integers(runs, size=(times, runs))]


def _arrays(scores: Scores) -> list[np.ndarray]:
    """The scores of each task.

    Raises:
        SettingError: There are none.
    """
    tasks = [np.asarray(task, dtype=float) for task in scores]
    if not tasks or any(task.ndim == 0 or task.shape[-1] == 0 for task in tasks):
        raise SettingError("scores", scores, "an array of at least one run for each task")
    return tasks
