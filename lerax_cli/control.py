"""How the command's signals and its time limit reach the loop."""

import time
from collections.abc import Callable
from typing import Any

import equinox as eqx

from lerax.callback import AbstractCallback, ProfileCallback, StopOnNonFinite
from lerax.callback.base_callback import OwnState

from .signals import AnySignals


class TimeLimit:
    """When training has to end. Something is trained all the same: a run that is cut into pieces gets on.

    Args:
        until: The time of `time.monotonic`; None for never.
        prune: Asked whether training is not worth going on with; None where nobody knows.

    Attributes:
        has_come: Whether it has ended training.
        was_pruned: Whether `prune` has.
    """

    def __init__(self, until: float | None = None, prune: Callable[[], bool] | None = None):
        self._until, self._prune, self._asked = until, prune, False
        self.has_come = self.was_pruned = False

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return self._until is not None and time.monotonic() >= self._until

    def ends(self) -> bool:
        """Asked before each chunk whether it is not to be begun; the first one always is."""
        self.has_come = self._asked and self.is_over
        self.was_pruned = self._asked and self._prune is not None and self._prune()
        self._asked = True
        return self.has_come or self.was_pruned


class Endings:
    """What ends a training, on the host. To a program one is as good as another: all trainings share it.

    Attributes:
        signals: The signals.
        limit: The time limit.
        profile: What traces it, if anything does. As a callback of its own it would be in the checkpoints,
            which are the same with it and without.
    """

    def __init__(self, signals: AnySignals, limit: TimeLimit, profile: ProfileCallback | None = None):
        self.signals, self.limit, self.profile = signals, limit, profile

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Endings)

    def __hash__(self) -> int:
        return hash(Endings)


class RunControl(AbstractCallback):
    """Ends training after the chunk in which a signal came, or the time was up; has it traced on the way.

    Attributes:
        by: What ends it.
    """

    by: Endings = eqx.field(static=True)

    def on_phase(self, phase: str) -> None:
        signals = self.by.signals
        signals.phase = phase
        # While compiling no flag is looked at, and nothing can be lost: there a signal raises. A library
        # may have swallowed that, so it is raised once more before training begins.
        if phase == "compiling" or signals.raising:
            signals.release()
        if phase != "compiling":
            signals.hold()
        if self.by.profile is not None:
            self.by.profile.on_phase(phase)

    def next_due(self, iteration: int) -> int | None:
        return None if self.by.profile is None else self.by.profile.next_due(iteration)

    def due_now(self) -> bool:
        return self.by.profile is not None and self.by.profile.due_now()

    def on_host(self, state: Any, own: OwnState, iteration: int) -> None:
        if self.by.profile is not None:
            self.by.profile.on_host(state, own, iteration)

    def stop_requested(self) -> bool:
        ends = self.by.limit.ends() or self.by.signals.received is not None
        if not ends and self.by.profile is not None:
            return self.by.profile.stop_requested()
        return ends


def watching(
    nan: str, signals: AnySignals, limit: TimeLimit, profile: ProfileCallback | None = None
) -> list[AbstractCallback]:
    """The callbacks behind the logger, always in the same order: their states are in the checkpoints."""
    control = RunControl(Endings(signals, limit, profile))
    return [control, *([StopOnNonFinite()] if nan == "stop" else [])]
