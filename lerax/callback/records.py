"""From what leaves the loop to what backends log: environment steps and scalars by tag."""

import math
from collections.abc import Sequence

import numpy as np

Record = tuple[int, dict[str, float]]
"""Environment steps, and scalars by tag."""

NOT_LOGGED = ("iteration", "episode/count")


class Steps:
    """Counts environment steps over several trainings, so that their curves follow one another.

    Attributes:
        last: Environment steps by now.
    """

    def __init__(self) -> None:
        self.last = 0
        self.per_iteration = 1
        self._base = 0

    def start(self, per_iteration: int, done: int) -> None:
        """A training begins, or goes on after `done` of its iterations."""
        self.per_iteration = per_iteration
        self._base = max(0, self.last - done * per_iteration)

    def at(self, iteration: int) -> int:
        """Environment steps after an iteration of the current training."""
        return self._base + iteration * self.per_iteration

    def after(self, iterations: np.ndarray, running: np.ndarray | None) -> list[int]:
        """Environment steps after each of some iterations, those of the foremost lane; `last` moves on."""
        if running is not None:
            iterations = np.max(iterations, axis=1, where=running, initial=0)
        steps = [self.at(iteration) for iteration in iterations.tolist()]
        self.last = steps[-1]
        return steps


def records_of(
    values: dict[str, np.ndarray], running: np.ndarray | None, steps: Sequence[int]
) -> list[Record]:
    """The records of some iterations, in order.

    Args:
        values: What `iteration_scalars` gave, with a leading axis of records, and an axis of lanes behind it
            where training is mapped over seeds.
        running: None, or which lanes sent each record. Their scalars are logged as `seed_0/...`, and the
            mean and standard deviation over them as `...` and `..._std`.
        steps: Environment steps after each iteration.
    """
    records = []
    rows = zip(*(array.tolist() for array in values.values()), strict=True)
    for i, (step, row) in enumerate(zip(steps, rows, strict=True)):
        row = dict(zip(values, row, strict=True))
        if running is None:
            scalars = _of_one(row)
        else:
            lanes = {
                lane: {tag: value[lane] if isinstance(value, list) else value for tag, value in row.items()}
                for lane in np.flatnonzero(running[i]).tolist()
            }
            scalars = _of_all({lane: _of_one(row) for lane, row in lanes.items()})
        records.append((step, scalars))
    return records


def first_not_finite(records: Sequence[Record]) -> tuple[int, dict[str, float]] | None:
    """The index of the first record with values that are not finite, and those values; None without one.

    The learning rate of an optimizer that holds none is NaN and does not count.
    """
    for i, (_, scalars) in enumerate(records):
        if math.isfinite(sum(scalars.values())):  # all at once: a microsecond, and hardly ever more
            continue
        found = {tag: value for tag, value in scalars.items() if not math.isfinite(value)}
        found = {tag: value for tag, value in found.items() if not tag.endswith("train/learning_rate")}
        if found:
            return i, found
    return None


def _of_one(row: dict[str, float]) -> dict[str, float]:
    """Takes out what is not logged, and averages over no episode."""
    begun = row["episode/count"] > 0
    for tag in NOT_LOGGED:
        del row[tag]
    return row if begun else {tag: value for tag, value in row.items() if not tag.startswith("episode/")}


def _of_all(lanes: dict[int, dict[str, float]]) -> dict[str, float]:
    scalars: dict[str, float] = {}
    for tag in {tag: None for row in lanes.values() for tag in row}:
        found = [row[tag] for row in lanes.values() if tag in row]
        scalars[tag], scalars[f"{tag}_std"] = float(np.mean(found)), float(np.std(found))
    for lane, row in lanes.items():
        scalars |= {f"seed_{lane}/{tag}": value for tag, value in row.items()}
    return scalars
