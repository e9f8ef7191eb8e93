"""A picture in a terminal that is drawn again and again, on the terminal's second screen, as an editor's is.

Among other lines it could not be taken away: a terminal that gets narrower wraps its lines, and those that no
longer fit are in the scrollback for good.
"""

import atexit
import re
import sys
import threading
from collections import deque
from collections.abc import Callable
from functools import cached_property
from typing import IO, Any

from lerax.files import is_terminal

from .dashboard import Line

PER_SECOND = 4
GIVE_BACK_SECONDS = 0.2  # far more than a picture takes
SAID = 3  # lines that were said in between which the picture can show
# Gone line by line: some terminals keep in their scrollback what is cleared as a whole.
CLEAR = "\x1b[2;1H\x1b[J\x1b[H\x1b[2K"
LEAVE = "\x1b[?1049l\x1b[?25h"
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


class Live:
    """Draws until it is stopped; the terminal then shows what it did before, and below it a last picture.

    Meanwhile what is written to `sys.stderr`, and to `sys.stdout` if that is a terminal, goes to the first
    screen, above the last picture.

    Args:
        stream: The terminal.
        lines: Makes the lines of a picture out of the latest lines that were written in between. Lines that
            are too long are cut.
        size: The terminal's columns and lines.
    """

    def __init__(
        self,
        stream: IO[str],
        lines: Callable[[int, int, list[str]], list[Line]],
        size: Callable[[], tuple[int, int]],
    ):
        self._stream, self._lines, self._size = stream, lines, size
        self._lock = threading.RLock()
        self._stopped = threading.Event()
        self._pending: list[tuple[Any, str]] = []  # what was written since the last picture, and where
        self._said: deque[str] = deque(maxlen=SAID)
        self._replaced: dict[str, Any] = {}
        self._painted: dict[tuple[Any, ...], str] = {}  # lines of the last picture

    def start(self) -> None:
        """Draws the first picture, and goes on on a thread."""
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if stream is not None and is_terminal(stream):
                self._replaced[name] = stream
                setattr(sys, name, _Above(stream, self._write))
        atexit.register(self.stop)
        with self._lock:
            self._put(self._enter() + self._picture())
        threading.Thread(target=self._work, daemon=True, name="lerax dashboard").start()

    def stop(self, *, keep: bool = True) -> None:
        """Gives the terminal back. More calls do nothing.

        Args:
            keep: Whether the last picture stays.
        """
        atexit.unregister(self.stop)
        with self._lock:
            if self._stopped.is_set():
                return
            self._stopped.set()
            for name, stream in self._replaced.items():
                if isinstance(getattr(sys, name), _Above):
                    setattr(sys, name, stream)
            self._put(CLEAR + LEAVE)
            self._tell()
            if keep:
                self.leave_picture()

    def leave_picture(self) -> None:
        """Writes a picture as lines among others, which stay."""
        width, height = self._size()
        self._put("".join(f"{line}\n" for line in self._paint(self._lines(width, height, []), width)))

    def rest(self, stop: Callable[[], None]) -> None:
        """Gives the terminal back for as long as `stop` takes, in which the process is stopped."""
        with self._lock:
            if not self._stopped.is_set():
                self._put(CLEAR + LEAVE)
                self._tell()
            stop()
            if not self._stopped.is_set():
                self._put(self._enter())

    def give_back(self) -> None:
        """Gives the terminal back for a process that is about to end: no last picture, and no waiting."""
        got_lock = self._lock.acquire(timeout=GIVE_BACK_SECONDS)
        if not self._stopped.is_set():
            self._stopped.set()
            self._put(CLEAR + LEAVE)
            self._tell()
        if got_lock:
            self._lock.release()

    def _work(self) -> None:
        while not self._stopped.wait(1 / PER_SECOND):
            with self._lock:
                if self._stopped.is_set():
                    return
                if self._pending:
                    self._put(CLEAR + LEAVE)
                    self._tell()
                    self._put(self._enter())
                self._put(self._picture())

    def _enter(self) -> str:
        """The second screen. Where a terminal has none, what is on its only one moves up and out of it."""
        lines = self._size()[1]
        return f"\x1b[?1049h\x1b[?25l\x1b[{lines};1H" + "\n" * lines

    def _picture(self) -> str:
        width, height = self._size()
        lines = self._paint(self._lines(width, height, list(self._said)), width)
        # Each line is put in its place, so that nothing scrolls if the size has just changed.
        placed = [f"\x1b[{row};1H{line}\x1b[K" for row, line in enumerate(lines, 1)]
        return "".join(placed) + f"\x1b[{len(lines) + 1};1H\x1b[J"

    def _paint(self, lines: list[Line], width: int) -> list[str]:
        """The lines as the terminal shows them; those of the last picture are painted already."""
        known = self._painted
        self._painted = {}
        for line in lines:
            key = width, *line
            self._painted[key] = known.get(key) or self._paint_line(line, width)
        return [self._painted[width, *line] for line in lines]

    def _paint_line(self, line: Line, width: int) -> str:
        """A line cut to the terminal's width, without blanks at its end."""
        from rich.text import Text

        text = Text.assemble(*line, no_wrap=True)
        text.rstrip()
        text.truncate(width, overflow="ellipsis")
        with self._console.capture() as captured:
            self._console.print(text, end="", width=width, no_wrap=True, crop=False)
        return captured.get()

    @cached_property
    def _console(self) -> Any:
        from rich.console import Console

        return Console(file=self._stream, force_terminal=True, highlight=False)

    def _write(self, stream: Any, text: str) -> None:
        """Takes what somebody wrote; it is told with the next picture."""
        with self._lock:
            if not self._stopped.is_set():
                self._pending.append((stream, text))
                return
        stream.write(text)
        stream.flush()

    def _tell(self) -> None:
        """Writes what was written in between, where it was to go."""
        pending, self._pending = self._pending, []
        for stream, text in pending:
            encoding = getattr(stream, "encoding", None) or "utf-8"
            self._put(text.encode(encoding, "backslashreplace").decode(encoding), stream)
        said = ESCAPE.sub("", "".join(text for _, text in pending)).splitlines()
        self._said.extend(line for line in said if line.strip())

    def _put(self, text: str, stream: Any = None) -> None:
        stream = self._stream if stream is None else stream
        try:
            stream.write(text)
            stream.flush()
        except (OSError, ValueError):
            pass  # the terminal is gone: nobody looks


class _Above:
    """Stands in for a stream while a picture is drawn: a file that hands on what is written to it."""

    def __init__(self, stream: Any, write: Callable[[Any, str], None]):
        self._stream, self._write = stream, write

    def write(self, text: str) -> int:
        self._write(self._stream, text)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        self.write("".join(lines))

    def flush(self) -> None:
        pass  # the next picture does it

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
