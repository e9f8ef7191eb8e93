"""Ctrl-C and its kin: the first one asks training to stop, the second one ends the process."""

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from lerax.ending import end_at_once

from . import report
from .report import Interrupted

CAUGHT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SHOW_CURSOR = b"\x1b[?25h"
ANSWER_SECONDS = 0.5  # what takes longer than this to stop says that it will
AGAIN_SECONDS = 2.0  # in which a signal counts once, but for Ctrl-C: SLURM and closed terminals send it twice
LAST_SECONDS = 1.0  # for what the second signal does before the process ends
WHEN = {
    "importing": "once all is imported",
    "compiling": "once this program is compiled",
    "training": "after this chunk, and saving",
    "saving": "once the policy is saved",
    "encoding": "once the first and the last video are made, within seconds",
}


def interrupt(number: int, frame: FrameType | None) -> None:
    """A handler for the time before `Signals`: there is nothing to save yet."""
    raise Interrupted(number)


def _quiet_unraisable(problem: "sys.UnraisableHookArgs") -> None:
    """Says nothing where the interpreter drops the handler's exception, as it does in a finalizer."""
    if problem.exc_type is not Interrupted:
        sys.__unraisablehook__(problem)


class Signals:
    """Catches the signals that end programs, while it is entered.

    Python runs handlers on the main thread alone, and not while that one is inside of compiled code: for the
    whole compilation of a program, for instance. So a thread is told of every signal the moment it comes; it
    answers the first one, and ends the process at the second.

    Args:
        quiet: Whether nothing is to be said.

    Attributes:
        quiet: The same.
        received: The number of the first one, None so far.
        raising: Whether there is nothing to lose: then the first one raises at once.
        phase: What is being done, as far as it says when that will end.
        at_once: What the second one does before it ends the process.
        save: What SIGUSR1 does, on the main thread.
        compiled: Seconds that others have compiled for this training, as for one of several.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.received: int | None = None
        self.raising = True
        self.phase = "importing"
        self.compiled = 0.0
        self.at_once: Callable[[], None] = lambda: None
        self.save: Callable[[], None] = lambda: None
        self.quiet = quiet
        self._rest: Callable[[Callable[[], None]], None] = lambda stop: stop()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Signals":
        told, self._tell = os.pipe()
        os.set_blocking(self._tell, False)
        self._wakeup_before = signal.set_wakeup_fd(self._tell, warn_on_full_buffer=False)
        threading.Thread(target=self._listen, args=(told,), daemon=True, name="lerax signals").start()
        for number in CAUGHT:
            before = signal.getsignal(number)
            # A shell starts background jobs with SIGINT ignored, and nohup SIGHUP: leave it so.
            if before is not signal.SIG_IGN:
                # Afterwards something may have been saved.
                self._before[number] = signal.default_int_handler if before is interrupt else before
                signal.signal(number, self._handle)
        self._before[signal.SIGUSR1] = signal.signal(signal.SIGUSR1, lambda *_: self.save())
        sys.unraisablehook = _quiet_unraisable
        return self

    def __exit__(self, *_: object) -> None:
        sys.unraisablehook = sys.__unraisablehook__
        for number, before in self._before.items():
            signal.signal(number, before)
        signal.set_wakeup_fd(self._wakeup_before)
        os.close(self._tell)

    def rest_with(self, rest: Callable[[Callable[[], None]], None]) -> None:
        """From now on Ctrl-Z stops the process inside of `rest`, which gives the terminal back meanwhile."""
        before = signal.getsignal(signal.SIGTSTP)
        if before is not signal.SIG_IGN:
            self._rest, self._before[signal.SIGTSTP] = rest, before
            signal.signal(signal.SIGTSTP, lambda *_: None)  # the thread is told

    def hold(self) -> None:
        """From now on a signal only leaves its number in `received`."""
        self.raising = False

    def release(self) -> None:
        """From now on a signal raises; one that came in between does so here.

        Raises:
            Interrupted: A signal came.
        """
        self.raising = True
        self.look()

    def look(self) -> None:
        """A signal that was held raises here, and nowhere else.

        Raises:
            Interrupted: One came.
        """
        if self.received is not None:
            raise Interrupted(self.received)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received is None:
            self.received = number
            if self.raising:
                raise Interrupted(number)

    def _listen(self, told: int) -> None:
        """Reads a byte for each signal, until the other end of the pipe is closed."""
        first, began, answered = 0, 0.0, self.quiet
        while True:
            waiting = ANSWER_SECONDS if first and not answered else None
            if not select.select([told], [], [], waiting)[0]:
                answered = True
                when = WHEN.get(self.phase, "as soon as possible")
                report.say(f"lerax: stopping {when}; again to end at once")
                continue
            numbers = os.read(told, 64)
            for number in numbers:
                if number == signal.SIGTSTP:
                    self._rest(lambda: signal.pthread_kill(threading.get_ident(), signal.SIGSTOP))
                if not first and number in CAUGHT:
                    first, began = number, time.monotonic()
                elif number in CAUGHT and not self._is_again(number, first, began):
                    self._end(number)
            if not numbers:
                os.close(told)
                return

    def _is_again(self, number: int, first: int, began: float) -> bool:
        """Whether a signal is the first one, sent twice."""
        return number == first != signal.SIGINT and time.monotonic() < began + AGAIN_SECONDS

    def _end(self, number: int) -> None:
        """Ends the process, whatever the main thread is doing."""
        last = threading.Thread(target=self.at_once, daemon=True)  # a disk or a terminal may hang
        last.start()
        last.join(LAST_SECONDS)
        if os.isatty(2):
            os.write(2, SHOW_CURSOR)
        end_at_once(128 + number)


class Compiling:
    """The lock of what compiles for several trainings.

    Attributes:
        seconds: How long it took the first one; 0 while nobody has.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._lock, self._began = threading.Lock(), 0.0

    def begin(self) -> None:
        """Waits until nobody else does."""
        self._lock.acquire()
        self._began = time.monotonic()

    def end(self) -> None:
        """Lets others do so, who find it done."""
        self.seconds = self.seconds or time.monotonic() - self._began
        self._lock.release()


class SeedSignals:
    """The command's signals for one of several trainings.

    They come to the main thread; one that trains is told when it looks. Programs are the same for all
    trainings, so one compiles and the others wait for it.

    Args:
        signals: The command's.
        compiling: Held by whoever compiles.

    Attributes:
        compiled: Seconds that others have compiled for this one before it begins.
    """

    raising = False

    def __init__(self, signals: Signals, compiling: Compiling):
        self._signals, self._compiling, self._holds = signals, compiling, False
        self.at_once: Callable[[], None] = lambda: None
        self.save: Callable[[], None] = lambda: None

    @property
    def compiled(self) -> float:
        return self._compiling.seconds

    @property
    def quiet(self) -> bool:
        return self._signals.quiet

    @property
    def received(self) -> int | None:
        return self._signals.received

    @property
    def phase(self) -> str:
        return self._signals.phase

    @phase.setter
    def phase(self, phase: str) -> None:
        self._signals.phase = phase
        if phase == "compiling" and not self._holds:
            self._compiling.begin()
            self._holds = True
        elif phase != "compiling" and self._holds:
            self._holds = False
            self._compiling.end()

    def hold(self) -> None:
        pass

    def release(self) -> None:
        if self.received is not None:
            raise Interrupted(self.received)


AnySignals = Signals | SeedSignals
"""As one training sees them."""
