"""The dashboard in the terminal, or in a notebook."""

import os
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, Literal

from lerax.errors import LeraxWarning
from lerax.files import is_terminal

from . import notebook
from .base import AbstractLoggingBackend
from .chart import History
from .dashboard import ELAPSED, ENDS, ROOMY, STARTING, Line, Shown, dashboard, short
from .jsonl import METRICS, read_records
from .live import Live

PLAIN_SECONDS = 10.0  # between two lines where there is no dashboard
LEAST_SIZE = (10, 3)  # smaller terminals, or none, get plain lines

Progress = Literal["auto", "full", "plain", "off"]


class ConsoleBackend(AbstractLoggingBackend):
    """Shows training on standard error: live in a terminal, as `key=value` lines elsewhere.

    In a notebook the cell that trains shows it instead, as HTML that is replaced in place.

    Args:
        progress: `auto` decides by the terminal, `full` is the live form in whatever terminal there is,
            `plain` are lines, `off` is nothing.
        device: What the training runs on, to be shown.
        files: Where the run's files are, to be shown; the curves of a run that goes on are read there.
        stream: Where to write; standard error by default.
        words: What begins each plain line, where several trainings write some.

    Attributes:
        shown: What is known of the training.
    """

    def __init__(
        self,
        progress: Progress = "auto",
        *,
        device: str = "",
        files: str = "",
        stream: IO[str] | None = None,
        words: Mapping[str, Any] | None = None,
    ):
        self.progress: Progress = progress
        self._words = dict(words or {})
        self.shown = Shown(device, files)
        self._stream = stream
        self._live: Live | None = None
        self._display: notebook.Display | None = None  # of the training that a notebook shows
        self._mode: str | None = None  # None before anything is shown
        self._opened = False
        self._last_size = ROOMY
        self._printed: float | None = None
        self._news = False

    def announce(self, title: str, phase: str, facts: Mapping[str, Any] | None) -> None:
        """Shows what is about to begin, before the run has a name.

        `open` goes on from there.

        Args:
            title: What is shown in the place of the name.
            phase: What is being done.
            facts: What a plain line says of it; None for no plain line.
        """
        self._begin_phase(phase)
        self._show(title)
        if self._mode == "plain" and facts is not None:
            self._write({"phase": phase, **facts})

    def describe(self, *, device: str, files: str) -> None:
        """Adds what was not known yet when this was built.

        Args:
            device: What the training runs on.
            files: Where the run's files are.
        """
        self.shown.device, self.shown.files = device, files

    def dismiss(self) -> None:
        """Takes away what was announced, but for plain lines, unless a run was opened since."""
        if not self._opened and self._live is not None:
            self._live.stop(keep=False)
            self._live = None

    def rest(self, stop: Callable[[], None]) -> None:
        """Leaves the terminal to others for as long as `stop` takes, in which the process is stopped."""
        live = self._live
        stop() if live is None else live.rest(stop)

    def give_back(self) -> None:
        """Leaves the terminal to others at once, for a process that is about to end."""
        if self._live is not None:
            self._live.give_back()

    def open(self, name: str) -> None:
        if self._mode is None:
            self._show(name)
        self.shown.name, self._opened = name, True
        if self.progress == "full" and self._mode == "plain":
            text = "progress full: there is no terminal that could show it; plain lines instead"
            warnings.warn(text, LeraxWarning, stacklevel=2)

    def _show(self, title: str) -> None:
        self.shown.name = title
        self.shown.began = self.shown.phase_began = time.monotonic()
        self._out = self._stream or sys.stderr
        self._mode = self._mode_here()
        if self._mode == "full":
            self._live = Live(self._out, self._lines, self._size)
            self._live.start()

    def resume(self, step: int) -> None:
        path = Path(self.shown.files, METRICS)
        for past, scalars in read_records(path) if self.shown.files and path.exists() else ():
            if past <= step:
                self.log_scalars(scalars, past)
        self.shown.step, self._news = step, False
        self.shown.began -= self.shown.scalars.get(ELAPSED, 0.0)

    def forget(self) -> None:
        """Takes back all values: they come again."""
        self.shown.step, self.shown.scalars, self.shown.curves = 0, {}, {}

    def elapsed(self, seconds: float) -> None:
        """Says for how long the run has been going on, where it did not begin with this process."""
        self.shown.began = time.monotonic() - seconds
        if self.shown.phase == STARTING:
            self.shown.phase_began = self.shown.began

    def show_once(self, name: str) -> None:
        """Shows what is known of a run now, in place of `open` and all that follows: a picture, or a line."""
        self.shown.name, self._out = name, self._stream or sys.stderr
        mode = self._mode_here()
        if mode == "full":
            Live(self._out, self._lines, self._size).leave_picture()
        elif mode == "notebook":
            notebook.Display(self._bundle).finish()
        elif self.progress != "off":
            self._print_line(self.shown.phase, values=True)

    def show_past(self, phase: str, step: int) -> None:
        """Takes what is known of a run from its files, where nothing more comes."""
        self.resume(step)
        self.shown.phase = phase

    def picture(self, name: str, width: int, height: int) -> list[Line]:
        """The lines of what `show_once` shows, for a terminal of some columns and lines."""
        self.shown.name = name
        return dashboard(self.shown, width, height, time.monotonic())

    def on_training_start(self, total_timesteps: int, total_iterations: int) -> None:
        self.shown.total = total_timesteps
        self._update()

    def log_phase(self, phase: str) -> None:
        if phase == "compiling" and self._display is not None:  # another training, which its own cell shows
            self._display.finish()
            self._display = None
        new, counts = self._begin_phase(phase), " " in phase
        if self._mode == "plain" and phase not in ENDS and (new or (counts and self._is_time())):
            self._print_line(phase.replace(" ", ":"), values=False)  # how it ended stands in the last line
        if phase == "compiling" and self._mode == "notebook":
            self.shown.began = time.monotonic() - self.shown.scalars.get(ELAPSED, 0.0)
        self._update()

    def log_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        shown = self.shown
        shown.step = max(step, shown.step)
        shown.scalars.update(scalars)
        for tag, value in scalars.items():
            if not tag.startswith("time/"):
                if tag not in shown.curves:
                    shown.curves[tag] = History()
                shown.curves[tag].add(step, value)
        self._news = True

    def flush(self) -> None:
        if self._mode == "plain" and self._news and self._is_time():
            self._print_line(values=True)
        if self._news:
            self._update()

    def _is_time(self) -> bool:
        """Whether the next plain line is due."""
        now = time.monotonic()
        due = self._printed is None or now - self._printed > PLAIN_SECONDS
        if due:
            self._printed = now
        return due

    def close(self) -> None:
        if self.shown.phase not in ENDS:  # nobody said how it ended
            self.shown.phase = "finished" if 0 < self.shown.total <= self.shown.step else "ended"
        if self._mode == "plain":
            self._print_line(self.shown.phase, values=self._news)
        self.leave()

    def leave(self) -> None:
        """Ends the show as `close` does, of a run that goes on."""
        if self._live is not None:
            self._live.stop()
        if self._display is not None:
            self._display.finish()
        self._live, self._display, self._mode, self._opened = None, None, None, False

    def _begin_phase(self, phase: str) -> bool:
        """Notes what is being done now; whether that is new, and not only its count."""
        new = phase.partition(" ")[0] != self.shown.phase.partition(" ")[0]
        self.shown.phase = phase
        if new:
            self.shown.phase_began = time.monotonic()
        return new

    def _update(self) -> None:
        """Shows a notebook what is new."""
        if self._mode == "notebook":
            self._news = False
            self._display = self._display or notebook.Display(self._bundle)
            self._display.update()

    def _bundle(self) -> notebook.Bundle:
        """What a notebook shows; the plain line is for what cannot show HTML."""
        words = self._line_words(self.shown.phase, values=True)
        return {"text/html": notebook.as_html(self.shown, time.monotonic()), "text/plain": _plain(words)}

    def _mode_here(self) -> str:
        own = self._stream is None and self.progress in ("auto", "full")
        return "notebook" if own and notebook.shell() is not None else _mode(self.progress, self._out)

    def _print_line(self, phase: str | None = None, *, values: bool) -> None:
        if values:
            self._news = False
        self._write(self._line_words(phase, values=values))

    def _line_words(self, phase: str | None, *, values: bool) -> dict[str, str]:
        shown, words = self.shown, {} if phase is None else {"phase": phase}
        if shown.total or shown.step:
            words["step"] = str(shown.step)
        if shown.total:
            words["total"] = str(shown.total)
        if values:
            words |= {tag: short(value) for tag, value in shown.scalars.copy().items()}
        return words

    def _write(self, words: Mapping[str, Any]) -> None:
        self._out.write(_plain(self._words | dict(words)) + "\n")
        self._out.flush()

    def _lines(self, width: int, height: int, said: list[str]) -> list[Line]:
        return dashboard(self.shown, width, height, time.monotonic(), said)

    def _size(self) -> tuple[int, int]:
        """The terminal's; while it is lost, as with some window managers, the one that it had."""
        size = _size(self._out)
        self._last_size = self._last_size if 0 in size else size
        return self._last_size


def _plain(words: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in words.items())


def _mode(progress: Progress, stream: IO[str]) -> str:
    """What is possible: `full` needs a terminal and an encoding with the signs; unasked, also a cursor and
    room."""
    if progress in ("plain", "off"):
        return progress
    signs = (getattr(stream, "encoding", None) or "").lower().replace("-", "") == "utf8"
    able = os.environ.get("TERM", "dumb") not in ("dumb", "unknown")
    room = all(have >= least for have, least in zip(_size(stream), LEAST_SIZE, strict=True))
    return "full" if is_terminal(stream) and signs and (progress == "full" or (able and room)) else "plain"


def _size(stream: IO[str]) -> tuple[int, int]:
    """Columns and lines of the terminal behind a stream; what is usual where there is none."""
    try:
        columns, lines = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError, AttributeError):
        columns, lines = ROOMY
    return columns, lines
