"""Ctrl-C and its kin: the first one asks training to stop, the second one ends the process."""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from .report import Interrupted

CAUGHT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SHOW_CURSOR = b"\x1b[?25h"


def _quiet_unraisable(problem: Any) -> None:
    """Says nothing where the interpreter drops the handler's exception, as it does in a finalizer."""
    if problem.exc_type is not Interrupted:
        sys.__unraisablehook__(problem)


class Signals:
    """Catches the signals that end programs, while it is entered.

    Attributes:
        received: The number of the first one, None so far.
        raising: Whether there is nothing to lose: then the first one raises at once.
        at_once: Called by the second one, which ends the process.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.raising = True
        self.at_once: Callable[[], None] = lambda: None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Signals":
        for number in CAUGHT:
            before = signal.getsignal(number)
            # A shell starts background jobs with SIGINT ignored, and nohup SIGHUP: leave it so.
            if before is not signal.SIG_IGN:
                self._before[number] = before
                signal.signal(number, self._handle)
        sys.unraisablehook = _quiet_unraisable
        return self

    def __exit__(self, *_: object) -> None:
        sys.unraisablehook = sys.__unraisablehook__
        for number, before in self._before.items():
            signal.signal(number, before)

    def hold(self) -> None:
        """From now on a signal only leaves its number in `received`."""
        self.raising = False

    def release(self) -> None:
        """From now on a signal raises; one that came in between does so here.

        Raises:
            Interrupted: A signal came.
        """
        self.raising = True
        if self.received is not None:
            raise Interrupted(self.received)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            if os.isatty(2):
                os.write(2, SHOW_CURSOR)
            try:
                self.at_once()
            finally:
                os._exit(128 + number)
        self.received = number
        if self.raising:
            raise Interrupted(number)
