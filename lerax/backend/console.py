"""The dashboard in the terminal."""

import os
import sys
import time
import warnings
from collections.abc import Mapping
from typing import IO, Any, Literal

from .base import AbstractLoggingBackend
from .chart import History
from .frame import ENDS, ROOMY, Shown, frame, short

PLAIN_SECONDS = 10.0  # between two lines where there is no dashboard
FRAMES_PER_SECOND = 4
LEAST_SIZE = (10, 3)  # smaller terminals, or none, get plain lines

Progress = Literal["auto", "full", "plain", "off"]


class ConsoleBackend(AbstractLoggingBackend):
    """Shows training on standard error: live in a terminal, as `key=value` lines elsewhere.

    Args:
        progress: `auto` decides by the terminal, `full` is the live form in whatever terminal there is,
            `plain` are lines, `off` is nothing.
        device: What the training runs on, to be shown.
        files: Where the run's files are, to be shown.
        stream: Where to write; standard error by default.
    """

    def __init__(
        self,
        progress: Progress = "auto",
        *,
        device: str = "",
        files: str = "",
        stream: IO[str] | None = None,
    ):
        self.progress: Progress = progress
        self._shown = Shown(device, files)
        self._stream = stream
        self._live: Any = None
        self._console: Any = None
        self._mode = "off"
        self._size = ROOMY
        self._widths: list[int] = []  # of the lines that are on the screen
        self._printed: float | None = None
        self._news = False

    def open(self, name: str) -> None:
        self._shown.name = name
        self._shown.began = self._shown.phase_began = time.monotonic()
        self._out = self._stream or sys.stderr
        self._mode = _mode(self.progress, self._out)
        if self._mode == "full":
            self._start_live()
        elif self.progress == "full":
            text = "progress full: there is no terminal that could show it; plain lines instead"
            warnings.warn(text, RuntimeWarning, stacklevel=2)

    def on_training_start(self, total_timesteps: int, total_iterations: int) -> None:
        self._shown.total = total_timesteps

    def log_phase(self, phase: str) -> None:
        if phase == self._shown.phase:
            return
        self._shown.phase, self._shown.phase_began = phase, time.monotonic()
        if self._mode == "plain" and phase not in ENDS:  # how it ended stands in the last line
            self._print_line(phase, values=False)

    def log_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        shown = self._shown
        shown.step = max(step, shown.step)
        shown.scalars.update(scalars)
        for tag, value in scalars.items():
            if not tag.startswith("time/"):
                if tag not in shown.curves:
                    shown.curves[tag] = History()
                shown.curves[tag].add(step, value)
        self._news = True

    def flush(self) -> None:
        now = time.monotonic()
        if self._mode == "plain" and (self._printed is None or now - self._printed > PLAIN_SECONDS):
            self._printed = now
            self._print_line(values=True)

    def close(self) -> None:
        if self._shown.phase not in ENDS:
            self._shown.phase = "ended"  # nobody said how
        if self._mode == "plain":
            self._print_line(self._shown.phase, values=self._news)
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _print_line(self, phase: str | None = None, *, values: bool) -> None:
        shown, words = self._shown, {} if phase is None else {"phase": phase}
        if shown.total or shown.step:
            words["step"] = str(shown.step)
        if shown.total:
            words["total"] = str(shown.total)
        if values:
            words |= {tag: short(value) for tag, value in shown.scalars.items()}
            self._news = False
        self._out.write(" ".join(f"{key}={value}" for key, value in words.items()) + "\n")
        self._out.flush()

    def _start_live(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(file=self._out, force_terminal=True, highlight=False)
        self._live = Live(
            console=self._console,
            get_renderable=self._frame,
            refresh_per_second=FRAMES_PER_SECOND,
            redirect_stdout=False,  # results belong to standard output
            vertical_overflow="crop",
        )
        self._live.start(refresh=True)

    def _frame(self) -> Any:
        from rich.console import Group
        from rich.text import Text

        size = _size(self._out)
        if 0 in size:  # lost for a while, as some window managers do it
            size = self._size
        if size != self._size:
            self._wipe(*size)
        self._size = self._console.size = size
        lines = [
            Text.assemble(*line, no_wrap=True, overflow="ellipsis")
            for line in frame(self._shown, *size, time.monotonic())
        ]
        for line in lines:
            line.rstrip()  # where a terminal wraps lines, it wraps their spaces, too
        self._widths = [min(line.cell_len, size[0]) for line in lines]
        return Group(*lines)

    def _wipe(self, width: int, height: int) -> None:
        """Takes the last frame, and no more, off a terminal of a new size, which has wrapped its lines."""
        rows = sum(max(1, -(-cells // width)) for cells in self._widths)
        # Line by line: some terminals keep in their scrollback what is cleared as a whole.
        self._out.write("\r\x1b[2K" + "\x1b[1A\x1b[2K" * (min(rows, height) - 1))
        # Live begins a frame by going up from its last line: that is where it is put.
        self._out.write("\n" * (min(len(self._widths), height) - 1))
        self._out.flush()


def _mode(progress: Progress, stream: IO[str]) -> str:
    """What is possible: `full` needs a terminal and an encoding with the signs; unasked, also a cursor and
    room."""
    if progress in ("plain", "off"):
        return progress
    try:
        terminal = os.isatty(stream.fileno())
    except (OSError, ValueError, AttributeError):  # closed, or not a file at all
        return "plain"
    signs = (getattr(stream, "encoding", None) or "").lower().replace("-", "") == "utf8"
    able = os.environ.get("TERM", "dumb") not in ("dumb", "unknown")
    room = all(have >= least for have, least in zip(_size(stream), LEAST_SIZE, strict=True))
    return "full" if terminal and signs and (progress == "full" or (able and room)) else "plain"


def _size(stream: IO[str]) -> tuple[int, int]:
    """Columns and lines of the terminal behind a stream; what is usual where there is none."""
    try:
        columns, lines = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError, AttributeError):
        columns, lines = ROOMY
    return columns, lines
