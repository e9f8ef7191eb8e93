"""How far a recording is, on standard error."""

import os
import sys
import time

from . import report

BAR = 24  # characters
REDRAW_SECONDS, LINE_SECONDS = 0.1, 10.0
CLEAR = "\r\x1b[K"


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
            self._write(CLEAR + self._line(rate))
        else:
            self._due = now + LINE_SECONDS
            report.say(f"frame={self._frames} total={self._total or 'unknown'} frames_per_second={rate:.0f}")

    def close(self) -> None:
        """Takes the line away."""
        if self._mode == "full":
            self._write(CLEAR)

    def _line(self, rate: float) -> str:
        try:
            columns = os.get_terminal_size(2).columns
        except OSError:
            columns = 80
        words = f"{self._frames:,} frames  {rate:,.0f}/s"
        if self._total:
            part = min(self._frames / self._total, 1.0)
            filled = round(part * BAR)
            words = f"{'#' * filled}{'-' * (BAR - filled)} {part:4.0%}  {words}"
        return f"recording  {words}"[: max(columns - 1, 0)]

    def _write(self, text: str) -> None:
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except (OSError, ValueError):
            self._mode = "off"  # nobody reads
