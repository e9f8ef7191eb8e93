"""How the command's signals and its time limit reach the loop."""

import time

import equinox as eqx

from lerax.callback import AbstractCallback, StopOnNonFinite

from .signals import Signals


class TimeLimit:
    """When training has to end. Something is trained all the same: a run that is cut into pieces gets on.

    Args:
        until: The time of `time.monotonic`; None for never.

    Attributes:
        has_come: Whether it has ended training.
    """

    def __init__(self, until: float | None = None):
        self._until, self._asked = until, False
        self.has_come = False

    def ends(self) -> bool:
        """Asked before each chunk whether it is not to be begun; the first one always is."""
        self.has_come = self._asked and self._until is not None and time.monotonic() >= self._until
        self._asked = True
        return self.has_come


class RunControl(AbstractCallback):
    """Ends training after the chunk in which a signal came, or the time was up.

    Attributes:
        signals: The signals.
        limit: The time limit.
    """

    signals: Signals = eqx.field(static=True)
    limit: TimeLimit = eqx.field(static=True)

    def on_phase(self, phase: str) -> None:
        self.signals.phase = phase
        # While compiling no flag is looked at, and nothing can be lost: there a signal raises. A library
        # may have swallowed that, so it is raised once more before training begins.
        if phase == "compiling" or self.signals.raising:
            self.signals.release()
        if phase != "compiling":
            self.signals.hold()

    def stop_requested(self) -> bool:
        return self.limit.ends() or self.signals.received is not None


def watching(nan: str, signals: Signals, limit: TimeLimit) -> list[AbstractCallback]:
    """The callbacks behind the logger, always in the same order: their states are in the checkpoints."""
    return [RunControl(signals, limit), *([StopOnNonFinite()] if nan == "stop" else [])]
