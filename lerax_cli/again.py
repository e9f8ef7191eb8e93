"""A run's training once more, in memory: nothing of the run is changed."""

import contextlib
import math
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lerax import checkpoint
from lerax.algorithm import AlgorithmState
from lerax.algorithm.lanes import Lanes
from lerax.backend import MemoryBackend
from lerax.backend.jsonl import METRICS, read_records
from lerax.callback import LoggingCallback
from lerax.checkpoints import Checkpoints
from lerax.env.hosted import AbstractHostedEnv

from .continued import CHECKPOINTS, Continued
from .control import TimeLimit, watching
from .directory import lane_of
from .options import TrainingPlan
from .parts import build
from .report import BadInput, Failure
from .signals import Signals

FLUSH_SECONDS = 60.0


class Again:
    """A run that is trained again.

    Args:
        run: The run.
        plan: Its own.
        signals: The signals; one that comes ends the training.

    Attributes:
        algorithm: Its algorithm.
        store: Its checkpoints.
    """

    def __init__(self, run: Continued, plan: TrainingPlan, signals: Signals):
        self._run, self._signals = run, signals
        self._parts = build(plan)
        env = self._parts.env
        if isinstance(env.unwrapped, AbstractHostedEnv):
            raise Failure(f"{run.path}", f"{env.name} keeps no state: its episodes cannot be repeated")
        self.algorithm = self._parts.algorithm
        self._records = MemoryBackend()
        self._logger = LoggingCallback(self._records, name=run.path.name)
        self._callbacks = [self._logger, *watching(plan.nan, signals, TimeLimit())]
        self.store = Checkpoints(run.path / CHECKPOINTS)

    @property
    def last(self) -> int:
        """The number of its last iteration."""
        return self._run.run.steps // self.algorithm.steps_per_iteration

    @cached_property
    def template(self) -> AlgorithmState:
        """The form of its states."""
        return self._parts.template(self._callbacks)

    def train(self, state: AlgorithmState, iteration: int, *callbacks: Any) -> AlgorithmState:
        """Trains on until so many iterations are done.

        Raises:
            Interrupted: A signal came.
        """
        if int(state.iteration_count) < iteration:
            steps = iteration * self.algorithm.steps_per_iteration
            with self._place():
                state = self.algorithm.run(state, steps, callback=[*self._callbacks, *callbacks])
            self._signals.release()
        return state

    def _place(self) -> contextlib.AbstractContextManager[None]:
        """Where it trained: among lanes, or by itself."""
        if (lane := lane_of(self._run.run.facts)) is None:
            return contextlib.nullcontext()
        number, width = lane
        return Lanes(width, [number]).seat(number)

    def repeat(self, iterations: int, step: int | None, now: dict[str, Any]) -> "Repeated":
        """Trains some iterations again, and compares with what the run has.

        Args:
            iterations: How many.
            step: The step of the checkpoint to begin with; by default the newest but one.
            now: What numbers depend on beside settings and seed.

        Raises:
            BadInput: There is no such checkpoint, or nothing after it to compare with.
            Failure: It has none, or one is damaged.
        """
        size, (begin, *others) = self.algorithm.steps_per_iteration, self._beginning(step)
        try:
            state, then = checkpoint.load_with_metadata(begin, self.template)
            first = int(state.iteration_count)
            logged = [row for row in read_records(self._run.path / METRICS) if row[0] > first * size]
            ends = [int(path.stem) for path in others] + [row[0] for row in logged[-1:]]
            last = min(first + iterations, max(ends, default=0) // size)
            if last <= first:
                what = f"the run has nothing after step {first * size:,} to compare with"
                earlier = [str(n) for path in self.store.all() if (n := int(path.stem)) < first * size]
                way = ", and no earlier checkpoint"
                if earlier:
                    way = f"; --from an earlier checkpoint: {', '.join(earlier)}"
                raise BadInput("--replay", what + way)
            compared, differences = [], []
            for path in others:
                if int(path.stem) <= last * size and not differences:
                    state = self.train(state, int(path.stem) // size)
                    saved, after = checkpoint.load_with_metadata(path, self.template)
                    differences += _different_arrays(path, state, saved)
                    compared.append(int(path.stem))
                    then = after if _changes(after, now) else then
            self.train(state, last)
        except (checkpoint.CheckpointError, OSError) as error:
            raise Failure("--replay", str(error)) from None
        self._logger.sync(FLUSH_SECONDS)
        logged = [row for row in logged if row[0] <= last * size]
        differences += _different_lines(self._records.records, logged)
        return Repeated(first * size, last - first, compared, len(logged), differences, _changes(then, now))

    def _beginning(self, step: int | None) -> list[Path]:
        """The checkpoint to begin with, and those after it."""
        paths = self.store.all()
        if not paths:
            raise Failure("--replay", f"{self._run.path} has no checkpoint")
        begin = paths[max(len(paths) - 2, 0)] if step is None else self.store.at(step)
        if begin is None:
            raise BadInput("--from", f"no checkpoint of that step (got {step:,}); there are {self._steps()}")
        return paths[paths.index(begin) :]

    def _steps(self) -> str:
        return ", ".join(str(int(path.stem)) for path in self.store.all())


class Repeated(NamedTuple):
    """What came of a training that was repeated.

    Attributes:
        step: Where it began.
        iterations: How many were trained.
        checkpoints: The steps of those that were compared.
        lines: How many of `metrics.jsonl` were.
        differences: What is different, the first of each kind.
        changes: What numbers depend on and is not as it was.
    """

    step: int
    iterations: int
    checkpoints: list[int]
    lines: int
    differences: list[str]
    changes: list[str]

    @property
    def said(self) -> str:
        """What was compared."""
        names = "".join(f"checkpoint {step:,}, " for step in self.checkpoints)
        return (
            f"{self.iterations} iterations from step {self.step:,} on: {names}{self.lines} lines of {METRICS}"
        )

    @property
    def wrong(self) -> str:
        """What is different, and why that may be; "" for nothing."""
        same = "versions, device and threads are the same: not deterministic, or changed by hand"
        why = "likely because of " + ", ".join(self.changes) if self.changes else same
        return "; ".join([*self.differences, why]) if self.differences else ""


def _changes(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What of the versions, the device and the threads is not as a checkpoint says."""
    flat = lambda facts: (
        dict(facts.get("versions") or {}) | {key: facts.get(key) for key in ("device", "threads")}
    )
    before, after = flat(then), flat(now)
    return [
        f"{key} {before.get(key)} then, {after[key]} now" for key in after if before.get(key) != after[key]
    ]


def _different_arrays(path: Path, made: Any, saved: Any) -> Iterator[str]:
    """The first array that is not bit for bit the same."""
    pairs = zip(checkpoint.arrays_of(made), checkpoint.arrays_of(saved), strict=True)
    for (entry, ours), (_, theirs) in pairs:
        dtype = np.dtype("uint32" if entry.dtype.startswith("key") else entry.dtype)
        one, other = np.frombuffer(ours, dtype), np.frombuffer(theirs, dtype)
        bits = f"u{dtype.itemsize}"
        if (unequal := one.view(bits) != other.view(bits)).any():
            largest = np.abs(one[unequal].astype(float) - other[unequal].astype(float)).max()
            count = f"{unequal.sum():,} of {unequal.size:,} numbers"
            yield f"checkpoint {int(path.stem):,}: {entry.name} differs in {count}, by at most {largest:.3g}"
            return


def _different_lines(made: list[Any], logged: list[Any]) -> Iterator[str]:
    """The first line of the log that does not say what was logged now; values of the clock are left out."""
    there = dict(logged)
    for step, row in made:
        if step not in there:
            yield f"{METRICS} has no line of step {step:,}"
            return
        for tag, value in row.items():
            other = there[step].get(tag, "nothing")
            same = value == other or (
                isinstance(other, float) and not math.isfinite(value) and math.isnan(other)
            )
            if not same and not tag.startswith("time/"):
                yield f"{METRICS}, step {step:,}: {tag} is {other}, now {value}"
                return
