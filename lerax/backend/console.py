"""The dashboard in the terminal."""

import math
import os
import sys
import time
from collections import deque
from collections.abc import Mapping
from typing import IO, Any, Literal

from .base import AbstractLoggingBackend
from .chart import History, chart, sparkline

PLAIN_SECONDS = 10.0  # between two lines where there is no terminal
FRAMES_PER_SECOND = 4
TREND = 16  # values in a small trend
FULL_SIZE = (80, 24)  # smaller terminals get the compact form
LEAST_SIZE = (10, 3)  # smaller ones, or none, get plain lines

Progress = Literal["auto", "full", "plain", "off"]


class ConsoleBackend(AbstractLoggingBackend):
    """Shows training on standard error: live in a terminal, as `key=value` lines elsewhere.

    Args:
        progress: `auto` decides by the terminal, `full` is the live form, `plain` are lines, `off` is
            nothing.
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
        self.device, self.files = device, files
        self._stream = stream
        self._live: Any = None
        self._console: Any = None
        self._size: tuple[int, int] | None = None
        self._name, self._phase = "", "starting"
        self._total = self._step = 0
        self._began = self._phase_began = self._printed = time.monotonic()
        self._scalars: dict[str, float] = {}
        self._trends: dict[str, deque[float]] = {}
        self._returns = History()
        self._news = False

    def open(self, name: str) -> None:
        self._name = name
        self._began = time.monotonic()
        self._out = self._stream or sys.stderr
        self._mode = _mode(self.progress, self._out)
        if self._mode == "full":
            self._start_live()

    def on_training_start(self, total_timesteps: int, total_iterations: int) -> None:
        self._total = total_timesteps

    def log_phase(self, phase: str) -> None:
        self._phase, self._phase_began = phase, time.monotonic()

    def log_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        self._step = max(step, self._step)
        self._scalars.update(scalars)
        for tag, value in scalars.items():
            self._trends.setdefault(tag, deque(maxlen=TREND)).append(value)
        if "episode/return" in scalars:
            self._returns.add(step, scalars["episode/return"])
        self._news = True

    def flush(self) -> None:
        if self._mode == "plain" and time.monotonic() - self._printed > PLAIN_SECONDS:
            self._print_line()

    def close(self) -> None:
        if self._mode == "plain" and self._news:
            self._print_line()
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _print_line(self) -> None:
        self._printed, self._news = time.monotonic(), False
        done = {"step": self._step, "total": self._total} if self._total else {"step": self._step}
        values = {tag: _short(value) for tag, value in self._scalars.items()}
        line = " ".join(f"{key}={value}" for key, value in (done | values).items())
        self._out.write(line + "\n")
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

        size = _size(self._out)
        self._console.size = size
        if self._size not in (None, size):
            # Lines of the old width have been wrapped: their number is not known any more.
            self._out.write("\x1b[2J\x1b[H")
        self._size = size
        width, height = size
        if width < FULL_SIZE[0] or height < FULL_SIZE[1]:
            return Group(*self._compact(width)[: max(height - 1, 1)])
        return Group(*self._full(width, height - 1))

    def _full(self, width: int, height: int) -> list[Any]:
        from rich.text import Text

        metrics = self._metrics(width)
        where = [Text(f" files  {self.files}", style="dim")] if self.files else []
        free = height - 6 - len(metrics) - len(where)
        plot: list[Any] = []
        if free >= 5:
            lines = chart(self._returns.points, width - 2, min(free - 1, 12))
            plot = [Text(" episode/return", style="bold"), *[Text(f" {x}", "green") for x in lines]]
        rule = Text("─" * width, style="dim")
        return [self._title(width), rule, self._bar(width), rule, *plot, *metrics, *where]

    def _compact(self, width: int) -> list[Any]:
        from rich.text import Text

        shown = ("episode/return", "episode/length", "time/steps_per_second")
        words = [
            f"{tag.rpartition('/')[2]} {_short(self._scalars[tag])}" for tag in shown if tag in self._scalars
        ]
        line = Text("  ".join(words), no_wrap=True, overflow="ellipsis")
        return [self._title(width), self._bar(width), line]

    def _title(self, width: int) -> Any:
        from rich.text import Text

        clock = _clock(time.monotonic() - self._phase_began)
        right = f"{self._phase} {clock}" if self._phase != "training" else self._phase
        right = f"{self.device}  {right}" if self.device else right
        room = max(width - len(right) - 3, 0)
        text = Text(" ", no_wrap=True, overflow="crop")
        text.append(self._name[:room].ljust(room), style="bold cyan")
        text.append(f" {right}", style="yellow")
        return text

    def _bar(self, width: int) -> Any:
        from rich.text import Text

        part = min(self._step / self._total, 1.0) if self._total else 0.0
        rate = self._scalars.get("time/steps_per_second", 0.0)
        left = _clock((self._total - self._step) / rate) if rate else "-:--:--"
        gone = _clock(time.monotonic() - self._began)
        steps = f"{self._step:,} of {self._total:,} steps  {_short(rate)}/s"
        forms = (f"{gone} elapsed  {left} left  {steps}", f"{gone} + {left}  {steps}", f"{gone} elapsed", "")
        lines = [f" {part:4.0%}  {form}".rstrip() for form in forms]
        words = next((line for line in lines if len(line) + 12 <= width), lines[-1])
        room = max(width - len(words) - 2, 4)
        filled = round(part * room)
        text = Text(" ", no_wrap=True, overflow="crop")
        text.append("━" * filled, style="green")
        text.append("━" * (room - filled), style="bright_black")
        return text.append(words)

    def _metrics(self, width: int) -> list[Any]:
        """The latest values in as many columns as fit, each with its trend."""
        from rich.text import Text

        tags = [tag for tag in self._scalars if not tag.startswith("time/")]
        if not tags:
            return []
        name_width = max(len(tag) for tag in tags)
        cell = name_width + 10 + TREND + 4
        columns = max(1, width // cell)
        rows = -(-len(tags) // columns)
        lines = []
        for row in range(rows):
            line = Text(no_wrap=True, overflow="crop")
            for tag in tags[row::rows]:
                trend = sparkline(list(self._trends[tag]), TREND)
                line.append(f" {tag:<{name_width}}")
                line.append(f" {_short(self._scalars[tag]):>9} ", style="bold")
                line.append(f"{trend:<{TREND}} ", style="blue")
            lines.append(line)
        return lines


def _mode(progress: Progress, stream: IO[str]) -> str:
    """What is possible: `full` needs a terminal with a cursor and room, whose encoding has the signs."""
    if progress != "auto":
        return progress
    try:
        terminal = os.isatty(stream.fileno())
    except (OSError, ValueError, AttributeError):  # closed, or not a file at all
        return "plain"
    able = terminal and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")
    room = all(have >= least for have, least in zip(_size(stream), LEAST_SIZE, strict=True))
    signs = (getattr(stream, "encoding", None) or "").lower().replace("-", "") == "utf8"
    return "full" if able and room and signs else "plain"


def _size(stream: IO[str]) -> tuple[int, int]:
    """Columns and lines of the terminal behind a stream; what is usual where there is none."""
    try:
        columns, lines = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError, AttributeError):
        columns, lines = FULL_SIZE
    return columns, lines


def _short(value: float) -> str:
    """A number in at most nine characters."""
    if not math.isfinite(value):
        return str(value)
    if abs(value) >= 1e6 or 0 < abs(value) < 1e-3:
        return f"{value:.2e}"
    if abs(value) >= 1e3:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def _clock(seconds: float) -> str:
    whole = int(max(seconds, 0))
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
