"""From what leaves the loop to what backends log: environment steps and scalars by tag."""

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


def records_of(values: dict[str, np.ndarray], running: np.ndarray | None, steps: Steps) -> list[Record]:
    """The records of some iterations, in order; `steps.last` moves on.

    Args:
        values: What `iteration_scalars` gave, with a leading axis of records, and an axis of lanes behind it
            where training is mapped over seeds.
        running: None, or which lanes sent each record. Their scalars are logged as `seed_0/...`, and the
            mean and standard deviation over them as `...` and `..._std`.
        steps: The count of environment steps.
    """
    records = []
    for i, row in enumerate(zip(*(array.tolist() for array in values.values()), strict=True)):
        row = dict(zip(values, row, strict=True))
        if running is None:
            iteration, scalars = row["iteration"], _of_one(row)
        else:
            lanes = {
                lane: {tag: value[lane] if isinstance(value, list) else value for tag, value in row.items()}
                for lane in np.flatnonzero(running[i]).tolist()
            }
            iteration = max(lane["iteration"] for lane in lanes.values())
            scalars = _of_all({lane: _of_one(row) for lane, row in lanes.items()})
        steps.last = steps.at(iteration)
        records.append((steps.last, scalars))
    return records


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
