"""The clips of a training that wait to be made."""

from collections.abc import Callable
from typing import NamedTuple

from lerax.env import AbstractEnvLike, AbstractEnvLikeState

MAX_CLIPS = 128  # that wait; a clip takes from half a second to some seconds when training is over
MAX_BYTES = 2**28  # that they keep in memory

Played = tuple[AbstractEnvLike, AbstractEnvLikeState]
"""What is to be drawn: an environment, and its states with a leading time axis."""
Play = Callable[[], Played]


class Clip(NamedTuple):
    """A clip that is due.

    Attributes:
        number: Which of all that were due, from 0.
        step: Environment steps that its policy has learned for.
        play: Gives the environment and the states to draw, of NumPy's arrays, with a leading time axis.
        size: Bytes that it keeps in memory.
    """

    number: int
    step: int
    play: Play
    size: int


class ClipQueue:
    """Clips that wait. Where there is no room for all, those that stay are evenly spread.

    The first and the newest clip always stay. What is taken first is spread evenly, too, so that at any time
    the clips that were taken show the training from its beginning as far as it has come.

    Args:
        max_clips: How many wait at most.
        max_bytes: What they keep in memory at most; first and newest are kept in any case.

    Attributes:
        due: How many were put in.
        thinned: How many of those were left out because there was no room.
    """

    def __init__(self, max_clips: int = MAX_CLIPS, max_bytes: int = MAX_BYTES):
        self.due = self.thinned = 0
        self._max_clips, self._max_bytes = max_clips, max_bytes
        self._waiting: list[Clip] = []
        self._taken: list[int] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, step: int, play: Play, size: int) -> None:
        """Adds the clip that is due now."""
        self._waiting.append(Clip(self.due, step, play, size))
        self.due += 1
        while self._is_full() and (inner := [clip for clip in self._waiting[:-1] if clip.number]):
            self._waiting.remove(min(inner, key=self._gap))
            self.thinned += 1

    def take(self, *, in_order: bool = False) -> Clip | None:
        """The clip that is furthest from any that was taken, the first one to begin with; None for none.

        Args:
            in_order: The next one instead, for those who take steps that go back for a new beginning.
        """
        if not self._waiting:
            return None
        distance = lambda clip: min((abs(clip.number - n) for n in self._taken), default=-clip.number)
        chosen = self._waiting[0] if in_order else max(self._waiting, key=distance)
        self._waiting.remove(chosen)
        self._taken.append(chosen.number)
        return chosen

    def clear(self) -> None:
        """Drops all that wait."""
        self._waiting.clear()

    def keep_ends(self) -> None:
        """Drops all that wait but the first of all that were due and the newest."""
        self._waiting[:-1] = [clip for clip in self._waiting[:-1] if not clip.number]

    def _is_full(self) -> bool:
        return (
            len(self._waiting) > self._max_clips or sum(clip.size for clip in self._waiting) > self._max_bytes
        )

    def _gap(self, clip: Clip) -> int:
        """How far its neighbours are from each other."""
        there = sorted([*self._taken, *(other.number for other in self._waiting)])
        i = there.index(clip.number)
        return there[i + 1] - there[i - 1]
