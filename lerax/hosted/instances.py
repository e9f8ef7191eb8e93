"""Environments as objects that keep their own state, side by side."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int, UInt32

from .faults import Fault, fault_of
from .words import COUNT, FAILED, FLAGS, HEAD, REWARD, TERMINAL, TRUNCATED, Form, Words

GOES_ON = -1  # in place of a seed
MOST_BYTES = 2**30  # of pictures that nobody has taken

Rows = UInt32[np.ndarray, "lane words"]
Given = tuple[list[Any], float, bool, bool]
"""Arrays of an observation, the reward, whether the task is over, whether the time is up."""
Frames = dict[tuple[int, int], np.ndarray]
"""Pictures, by the place of the environment and what had happened there."""


@dataclass(frozen=True)
class Kind:
    """What makes environments of a kind, here or in another process.

    Attributes:
        make: Makes one; it can be pickled.
        action: Makes a list of actions of arrays with a leading axis; it can be pickled, too.
        observation: Gives the arrays of an observation; it can be pickled, too.
        observations: The arrays of an observation.
        actions: The arrays of an action.
    """

    make: Callable[[], Any]
    action: Callable[[list[np.ndarray]], list[Any]]
    observation: Callable[[Any], list[Any]]
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

    def begin(self, slots: Sequence[int], seeds: Int[np.ndarray, " lane"], rows: Rows) -> Rows:
        """Begins episodes, and writes how they begin into the rows.

        Args:
            slots: In which environments.
            seeds: What to seed each with; GOES_ON to go on with its own random numbers.
            rows: The rows of these.
        """
        chosen = [None if seed == GOES_ON else seed for seed in seeds.tolist()]
        begun = lambda env, seed: (env.reset(seed=seed)[0], 0.0, False, False)
        return self._written(
            slots, [self._done(*one, begun) for one in zip(slots, chosen, strict=True)], rows
        )

    def step(self, slots: Sequence[int], actions: UInt32[np.ndarray, "lane size"], rows: Rows) -> Rows:
        """Takes a step in each, and writes what came of it into the rows."""
        taken = lambda env, action: env.step(action)[:4]
        chosen = self._kind.action(self._told.read(actions))
        return self._written(
            slots, [self._done(*one, taken) for one in zip(slots, chosen, strict=True)], rows
        )

    def close(self) -> None:
        """Lets all go."""
        for env in self._envs:
            env.close()

    def _done(self, slot: int, given: Any, what: Callable[[Any, Any], tuple]) -> Given | None:
        """What an environment gives for what it is given; None where it has failed, now or before."""
        if self._failed[slot]:
            return None
        try:
            observation, reward, terminal, truncated = what(self._envs[slot], given)
            return self._kind.observation(observation), float(reward), bool(terminal), bool(truncated)
        except BaseException as error:  # others' code may raise what it likes
            self._fail(slot, error)
            return None

    def _written(self, slots: Sequence[int], given: list[Given | None], rows: Rows) -> Rows:
        """The rows with what came of a step written into them."""
        there = [one for one in given if one is not None]
        if len(there) == len(rows):
            try:
                self._write(there, rows)
            except ValueError:
                there = []  # one of them, which is found below
        if len(there) < len(rows):
            for i, (slot, one) in enumerate(zip(slots, given, strict=True)):
                row = rows[i : i + 1]
                try:
                    if one is not None:
                        self._write([one], row)
                except ValueError as error:
                    self._fail(slot, error)
                if self._failed[slot]:
                    row[:] = held(row)
        if self._draws:
            for slot, row in zip(slots, rows, strict=True):
                self._draw(slot, int(row[COUNT]))
        return rows

    def _write(self, given: list[Given], rows: Rows) -> None:
        observations, rewards, terminal, truncated = zip(*given, strict=True)
        self._seen.write(rows[:, HEAD:], observations)
        rows[:, REWARD] = np.array(rewards, np.float32).view(np.uint32)
        rows[:, COUNT] += 1
        rows[:, FLAGS] = TERMINAL * np.array(terminal) | TRUNCATED * np.array(truncated)

    def _fail(self, slot: int, error: BaseException) -> None:
        self._failed[slot] = True
        self.fault = self.fault or fault_of(error)

    def _draw(self, slot: int, count: int) -> None:
        if self._failed[slot]:
            return
        frame = np.array(picture(self._envs[slot].render()))
        while len(self.frames) * frame.nbytes > MOST_BYTES:
            del self.frames[next(iter(self.frames))]
        self.frames[slot, count] = frame


def picture(given: Any) -> np.ndarray:
    """What `render` gave, which has to be a picture.

    Raises:
        ValueError: It is none.
    """
    there = isinstance(given, np.ndarray)
    if there and given.dtype == np.uint8 and given.ndim == 3 and given.shape[2] == 3 and given.size:
        return given
    said = f"an array of {given.dtype}, {[*given.shape]}" if there else type(given).__name__
    raise ValueError(f"render() gave {said}; a picture is an array of uint8, [height, width, 3]")


def held(rows: Rows) -> Rows:
    """The rows of environments that have failed, and stand still."""
    rows = rows.copy()
    rows[:, COUNT] += 1
    rows[:, REWARD] = 0
    rows[:, FLAGS] = TRUNCATED | FAILED
    return rows
