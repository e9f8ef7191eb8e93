"""What leaves the loop, and what backends log of it: environment steps and scalars by tag."""

import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped

Record = tuple[int, dict[str, float]]
"""Environment steps, and scalars by tag."""

Numbers = Array | np.ndarray  # the former in traced code, the latter on the host
LEARNING_RATE = "train/learning_rate"


def one_number(value: Any) -> float | None:
    """A value as one of Python's numbers; None for what is none."""
    if isinstance(value, str | bytes):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return value if isinstance(value, float | int) else number


class TrainingStart(eqx.Module):
    """Training begins, or goes on.

    Attributes:
        done: Iterations done so far.
        total: Iterations of the whole training.
        names: Names of the algorithm, the policy and the environment.
        steps_per_iteration: Environment steps of an iteration.
        settings: The algorithm's settings and others; None for one that is in `numbers`.
        numbers: Settings that are data of the compiled program.
    """

    done: Int[Numbers, "*lane"]
    total: Int[Numbers, "*lane"]
    names: tuple[str, str, str] = eqx.field(static=True)
    steps_per_iteration: int = eqx.field(static=True)
    settings: tuple[tuple[str, Any], ...] = eqx.field(static=True)
    numbers: dict[str, Float[Numbers, "*lane"]]

    def hparams(self) -> dict[str, Any]:
        """All settings by name, on the host."""
        numbers = {name: _shortest(np.asarray(array)) for name, array in self.numbers.items()}
        return {"algorithm": self.names[0], **dict(self.settings), **numbers}


class IterationScalars(eqx.Module):
    """What is logged of an iteration.

    Attributes:
        iteration: Its number.
        values: Scalars by tag.
        mask: Which of them are there; those that it does not name always are.
    """

    iteration: Int[Numbers, "*lane"]
    values: dict[str, Shaped[Numbers, "*lane"]]
    mask: dict[str, Bool[Numbers, "*lane"]]


class StepCounter:
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


class Lap(NamedTuple):
    """How long some iterations took.

    Attributes:
        steps_per_second: Environment steps per second, over all of them.
        elapsed: For each the seconds from the beginning of the training to its end.
    """

    steps_per_second: float
    elapsed: Float[np.ndarray, " iteration"]

    def add_to(self, records: Sequence[Record]) -> None:
        """Adds `time/*` to the records of these iterations."""
        for (_, scalars), elapsed in zip(records, self.elapsed.tolist(), strict=True):
            scalars["time/steps_per_second"] = self.steps_per_second
            scalars["time/elapsed"] = elapsed


class Stopwatch:
    """Times a training, on the clock of `time.monotonic`."""

    def __init__(self) -> None:
        self.start()

    def start(self, elapsed: float = 0.0, since: float | None = None) -> None:
        """Training begins, or goes on after `elapsed` seconds of it: now, or at a time that has passed."""
        self._last = time.monotonic()
        self._began = (self._last if since is None else since) - elapsed

    @property
    def elapsed(self) -> float:
        """Seconds from the beginning of the training to now."""
        return time.monotonic() - self._began

    def skip(self) -> None:
        """What came since the last iteration does not count as training."""
        self._last = time.monotonic()

    def lap(self, times: Float[np.ndarray, " iteration"], num_steps: int) -> Lap:
        """Some iterations are done.

        Args:
            times: When each was.
            num_steps: Environment steps of all of them.
        """
        seconds, self._last = times.item(-1) - self._last, times.item(-1)
        return Lap(num_steps / max(seconds, 1e-9), times - self._began)


def records_of(message: IterationScalars, running: np.ndarray | None, steps: Sequence[int]) -> list[Record]:
    """The records of some iterations, in order.

    Args:
        message: On the host, with a leading axis of iterations, and an axis of lanes behind it where training
            is mapped over seeds.
        running: None, or which lanes sent each iteration. Their scalars are logged as `seed_0/...`, and the
            mean and standard deviation over them as `...` and `..._std`.
        steps: Environment steps after each iteration.
    """
    columns = {tag: array.tolist() for tag, array in message.values.items()}
    masks = {tag: array.tolist() for tag, array in message.mask.items()}
    if running is None:
        return [
            (step, {tag: column[i] for tag, column in columns.items() if tag not in masks or masks[tag][i]})
            for i, step in enumerate(steps)
        ]
    records = []
    for i, step in enumerate(steps):
        lanes = {
            lane: {
                tag: column[i][lane]
                for tag, column in columns.items()
                if tag not in masks or masks[tag][i][lane]
            }
            for lane in np.flatnonzero(running[i]).tolist()
        }
        records.append((step, _of_all(lanes)))
    return records


def with_learning_rate(records: Sequence[Record]) -> None:
    """Writes NaN for the learning rate where an algorithm reports none: it is always among what is logged."""
    for _, scalars in records:
        scalars.setdefault(LEARNING_RATE, math.nan)


def first_not_finite(records: Sequence[Record]) -> tuple[int, dict[str, float]] | None:
    """The index of the first record with values that are not finite, and those values; None without one."""
    for i, (_, scalars) in enumerate(records):
        if not math.isfinite(sum(scalars.values())):  # all at once: a microsecond, and hardly ever more
            found = {tag: value for tag, value in scalars.items() if not math.isfinite(value)}
            if found:
                return i, found
    return None


def _shortest(numbers: np.ndarray) -> float | tuple[float, ...]:
    """A number as a user would have written it, or several where the lanes of a mapped training differ."""
    found = tuple(dict.fromkeys(float(str(number)) for number in numbers.ravel()))
    return found[0] if len(found) == 1 else found


def _of_all(lanes: dict[int, dict[str, float]]) -> dict[str, float]:
    scalars: dict[str, float] = {}
    for tag in {tag: None for row in lanes.values() for tag in row}:
        found = [row[tag] for row in lanes.values() if tag in row]
        scalars[tag], scalars[f"{tag}_std"] = float(np.mean(found)), float(np.std(found))
    for lane, row in lanes.items():
        scalars |= {f"seed_{lane}/{tag}": value for tag, value in row.items()}
    return scalars
