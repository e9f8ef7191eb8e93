"""How the command's signals reach the loop."""

import equinox as eqx

from lerax.callback import AbstractCallback

from .signals import Signals


class RunControl(AbstractCallback):
    """Ends training after the chunk in which a signal came."""

    signals: Signals = eqx.field(static=True)

    def on_phase(self, phase: str) -> None:
        self.signals.phase = phase
        # While compiling no flag is looked at, and nothing can be lost: there a signal raises. A library
        # may have swallowed that, so it is raised once more before training begins.
        if phase == "compiling" or self.signals.raising:
            self.signals.release()
        if phase != "compiling":
            self.signals.hold()

    def stop_requested(self) -> bool:
        return self.signals.received is not None
