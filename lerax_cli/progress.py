"""What is shown on standard error before training begins, and how far a recording is."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from . import report

if TYPE_CHECKING:
    pass

BAR = 24  # characters
REDRAW_SECONDS, LINE_SECONDS = 0.1, 10.0
CLEAR = "\r\x1b[K"


@contextlib.contextmanager
def dashboard(
    mode: str, title: str, facts: dict[str, Any] | None, seeds: Sequence[int] = ()
) -> Iterator[Any]:
    """The dashboard, shown from now on, before there is a run; if it gets none, nothing of it stays.

    Args:
        mode: As for `ConsoleBackend`; there is none where it is `off`.
        title: What is about to begin.
        facts: What a plain line says of it; None for no such line.
        seeds: Those that are trained side by side; none for one run.
    """
    if mode == "off":
        yield None
        return
    from lerax.backend import ConsoleBackend

    progress: Any = mode
    console = ConsoleBackend(progress)
    if seeds:
        from lerax.backend.seeds import SeedsConsole

        console = SeedsConsole(progress, seeds)
    with contextlib.suppress(OSError, ValueError):  # nobody reads
        console.announce(title, "importing", facts)
    try:
        yield console
    finally:
        console.dismiss()


class FrameCount:
    """Counts frames: on one line that is written over in a terminal, in a line now and then elsewhere.

    Args:
        mode: `auto` and `full` are the line that is written over, where there is a terminal; `plain` are
            lines, `off` is nothing.
        total: How many frames there will be; None where nobody knows.
    """

    def __init__(self, mode: str, total: int | None):
        able = os.isatty(2) and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")
        self._mode = mode if mode in ("plain", "off") else "full" if able else "plain"
        self._total, self._frames = total, 0
        if self._mode == "full":
            self._over("recording  importing")
        self.begin()

    def begin(self) -> None:
        """From now on frames are made."""
        self._began = time.monotonic()
        self._due = self._began + (REDRAW_SECONDS if self._mode == "full" else LINE_SECONDS)

    def add(self) -> None:
        """One more frame."""
        self._frames += 1
        now = time.monotonic()
        if self._mode == "off" or now < self._due:
            return
        rate = self._frames / (now - self._began)
        if self._mode == "full":
            self._due = now + REDRAW_SECONDS
            self._over(self._line(rate))
        else:
            self._due = now + LINE_SECONDS
            report.say(f"frame={self._frames} total={self._total or 'unknown'} frames_per_second={rate:.0f}")

    def close(self) -> None:
        """Takes the line away."""
        if self._mode == "full":
            self._write(CLEAR)

    def _line(self, rate: float) -> str:
        words = f"{self._frames:,} frames  {rate:,.0f}/s"
        if self._total:
            part = min(self._frames / self._total, 1.0)
            filled = round(part * BAR)
            words = f"{'#' * filled}{'-' * (BAR - filled)} {part:4.0%}  {words}"
        return f"recording  {words}"

    def _over(self, line: str) -> None:
        """Writes a line over the last one; what others write begins where it does."""
        try:
            columns = os.get_terminal_size(2).columns
        except OSError:
            columns = 80
        self._write(f"{CLEAR}{line[: max(columns - 1, 0)]}\r")

    def _write(self, text: str) -> None:
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except (OSError, ValueError):
            self._mode = "off"  # nobody reads
