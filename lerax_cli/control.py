"""How the command's signals and its time limit reach the loop."""

import time

import equinox as eqx

from lerax.callback import AbstractCallback, StopOnNonFinite

from .signals import Signals


class RunControl(AbstractCallback):
    """Ends training after the chunk in which a signal came, or the time was up.

    Attributes:
        signals: The signals.
        until: When the time is up, of `time.monotonic`; None for never.
    """

    signals: Signals = eqx.field(static=True)
    until: float | None = eqx.field(default=None, static=True)

    def on_phase(self, phase: str) -> None:
        self.signals.phase = phase
        # While compiling no flag is looked at, and nothing can be lost: there a signal raises. A library
        # may have swallowed that, so it is raised once more before training begins.
        if phase == "compiling" or self.signals.raising:
            self.signals.release()
        if phase != "compiling":
            self.signals.hold()

    def stop_requested(self) -> bool:
        return self.signals.received is not None or self.time_is_up

    @property
    def time_is_up(self) -> bool:
        """Whether the time limit has come."""
        return self.until is not None and time.monotonic() >= self.until


def watching(nan: str, signals: Signals, until: float | None = None) -> list[AbstractCallback]:
    """The callbacks behind the logger, always in the same order: their states are in the checkpoints."""
    return [RunControl(signals, until), *([StopOnNonFinite()] if nan == "stop" else [])]
