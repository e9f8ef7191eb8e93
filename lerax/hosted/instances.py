"""Environments as objects that keep their own state, side by side."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int, UInt32

from .faults import Fault, fault_of
from .words import COUNT, FAILED, FLAGS, HEAD, REWARD, TERMINAL, TRUNCATED, Form, Words, leaves

MOST_BYTES = 2**30  # of pictures that nobody has taken

Rows = UInt32[np.ndarray, "lane words"]
Frames = dict[tuple[int, int], np.ndarray]
"""Pictures, by the place of the environment and what had happened there."""


@dataclass(frozen=True)
class Kind:
    """What makes environments of a kind, here or in another process.

    Attributes:
        make: Makes one; it can be pickled.
        action: Makes an action as they take it of arrays; it can be pickled, too.
        observations: The arrays of an observation.
        actions: The arrays of an action.
    """

    make: Callable[[], Any]
    action: Callable[[list[np.ndarray]], Any]
    observations: tuple[Form, ...]
    actions: tuple[Form, ...]


class Instances:
    """Some environments of a kind, in the form of `gymnasium.Env`.

    One that fails stands still from then on: its time is always up, and nothing it does is worth anything.

    Args:
        kind: Of what kind they are.
        count: How many.
        draws: Whether each state is drawn.

    Attributes:
        fault: The first thing that went wrong.
        frames: Pictures that nobody has taken yet.
    """

    def __init__(self, kind: Kind, count: int, draws: bool):
        self._envs = [kind.make() for _ in range(count)]
        self._kind, self._draws = kind, draws
        self._seen, self._told = Words(kind.observations), Words(kind.actions)
        self._failed = [False] * count
        self.fault: Fault | None = None
        self.frames: Frames = {}

    def begin(self, slots: Sequence[int], seeds: Sequence[int | None], rows: Rows) -> Rows:
        """Begins episodes, and writes how they begin into the rows.

        Args:
            slots: In which environments.
            seeds: What to seed each with; None to go on with its own random numbers.
            rows: The rows of these.
        """
        for slot, seed, row in zip(slots, seeds, rows, strict=True):
            self._do(slot, row, lambda env, seed=seed: (env.reset(seed=seed)[0], 0.0, False, False))
        return rows

    def step(self, slots: Sequence[int], actions: Sequence[UInt32[np.ndarray, " size"]], rows: Rows) -> Rows:
        """Takes a step in each, and writes what came of it into the rows."""
        for slot, words, row in zip(slots, actions, rows, strict=True):
            self._do(slot, row, lambda env, words=words: env.step(self._action(words))[:4])
        return rows

    def close(self) -> None:
        """Lets all go."""
        for env in self._envs:
            env.close()

    def _action(self, words: UInt32[np.ndarray, " size"]) -> Any:
        return self._kind.action(self._told.read(words))

    def _do(self, slot: int, row: UInt32[np.ndarray, " words"], what: Callable[[Any], tuple]) -> None:
        """Lets an environment do something, and writes down what it gave."""
        row[COUNT] += 1
        if not self._failed[slot]:
            try:
                observation, reward, terminal, truncated = what(self._envs[slot])
                row[REWARD : REWARD + 1].view(np.float32)[0] = reward
                self._seen.write(row[HEAD:], leaves(observation))
                row[FLAGS] = TERMINAL * bool(terminal) | TRUNCATED * bool(truncated)
                if self._draws:
                    self._draw(slot, int(row[COUNT]))
                return
            except (Exception, SystemExit) as error:  # others' code may raise what it likes
                self._failed[slot] = True
                self.fault = self.fault or fault_of(error)
        hold(row[None])

    def _draw(self, slot: int, count: int) -> None:
        frame = np.array(self._envs[slot].render(), np.uint8)
        while len(self.frames) * frame.nbytes > MOST_BYTES:
            del self.frames[next(iter(self.frames))]
        self.frames[slot, count] = frame


def hold(rows: Rows) -> None:
    """Lets environments that have failed stand still."""
    rows[:, REWARD] = 0
    rows[:, FLAGS] = TRUNCATED | FAILED


def positions(count: int, parts: int) -> list[Int[np.ndarray, " some"]]:
    """So many places in so many parts of nearly the same size."""
    return np.array_split(np.arange(count), parts)
