"""What the command says: results to standard output, everything else to standard error."""

import contextlib
import io
import math
import os
import re
import select
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from typing import IO, Any

from lerax.errors import LossWarning

LOSSES_BYTES = 2048  # of a run's losses in run.json, for which room is kept
ERROR = "lerax: error: "  # what the one line of an error begins with
SHORTEST = 12  # characters of a name that is cut
COLOURS = re.compile("\x1b\\[[0-9;]*m")  # which others put into warnings, Gymnasium among them
HALF = 500  # characters of a long line of error that are kept, at each end


class Failure(Exception):
    """The command cannot go on: the machine, the state or the run is at fault (exit code 1).

    Attributes:
        where: What is at fault: an option, a key of a file, a part of the machine.
        what: What is wrong with it.
    """

    code = 1

    def __init__(self, where: str, what: str):
        super().__init__(where, what)
        self.where, self.what = where, what

    def __str__(self) -> str:
        return short(_one_line(f"{self.where}: {self.what}"))


class BadInput(Failure):
    """The command line or the config is wrong (exit code 2)."""

    code = 2


class Interrupted(BaseException):
    """A signal ended the command, and there is nothing to save; nobody's `except Exception` keeps it."""

    def __init__(self, signal: int):
        super().__init__(signal)
        self.code = 128 + signal


class Warnings:
    """Prints each warning as one line, and counts them.

    Args:
        label: What each line begins with.

    Attributes:
        count: How many there were.
        lost: Those that say that something is missing in a file.
    """

    _threads = threading.local()  # each with its own, if it has some

    def __init__(self, label: str = "") -> None:
        self.label = label
        self.count = 0
        self.lost: list[str] = []

    def install(self, *hide: type[Warning]) -> None:
        """Takes over Python's warnings; those of the classes `hide` are dropped."""
        warnings.simplefilter("default")
        for about_code in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", about_code)

        def show(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
            text, own = " ".join(str(message).split()), getattr(Warnings._threads, "own", self)
            if issubclass(category, LossWarning):
                own.lost.append(text)
            if not issubclass(category, hide):
                own.say(text)

        warnings.showwarning = show

    @contextlib.contextmanager
    def of_this_thread(self) -> Iterator[None]:
        """Takes the warnings of the thread, inside, in place of those that were installed."""
        self._threads.own = self
        try:
            yield
        finally:
            del self._threads.own

    def add(self, others: "Warnings") -> None:
        """Counts others, too."""
        self.count += others.count
        self.lost += others.lost

    def losses(self) -> list[str]:
        """What `run.json` says of them: as many as have room on a full disk, and how many more there were."""
        import json  # not for the list of commands

        room = LOSSES_BYTES
        for number, text in enumerate(self.lost):
            room -= len(json.dumps(text))
            if room < 0:
                return [*self.lost[:number], f"{len(self.lost) - number:,} more like these"]
        return self.lost

    def say(self, text: str) -> None:
        """One warning."""
        self.count += 1
        say(f"lerax: warning: {self.label}{COLOURS.sub('', text)}")


class _Output(io.FileIO):
    """Standard output. A failure to write it stops nothing, and is said by `lost_result` at the end.

    Attributes:
        lost: Why something was not written; None where all was, or where nobody wanted to read on.
        about: The first line of what was to be written last.
    """

    lost: str | None = None
    about = ""

    def write(self, data: Any) -> int:
        try:
            while (written := super().write(data)) is None:  # somebody has told it not to wait
                select.select([], [self], [])
            return written
        except BrokenPipeError:
            pass  # as with `| head`
        except OSError as error:
            self.lost = self.lost or error.strerror
        return len(data)


def hold_streams() -> None:
    """Makes standard streams of what the caller has given, closed ones included.

    Where one is closed, the next file that is opened would take its number, and Python would print errors as
    results: the null device goes there. As standard output it cannot be written, so that a result is missed.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDONLY if name == "stdout" else os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))
    given: Any = sys.stdout
    output = io.BufferedWriter(_Output(given.fileno(), "w", closefd=False))
    form = {"encoding": given.encoding, "errors": given.errors, "line_buffering": given.line_buffering}
    sys.stdout = io.TextIOWrapper(output, **form)


@contextlib.contextmanager
def without_greetings(apply: bool) -> Iterator[None]:
    """Drops what C++ writes to standard output meanwhile, such as gloo's word that it has connected."""
    if not apply:
        yield
        return
    kept, null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def lost_result() -> int:
    """Says what standard output did not take, if anything; returns the exit code that follows, 0 or 1."""
    sys.stdout.flush()
    output = sys.stdout.buffer.raw  # type: ignore[attr-defined]
    if output.lost is None:
        return 0
    lost = f"; lost: {output.about[:300]}" if output.about else ""
    say(f"lerax: error: standard output cannot be written ({output.lost}){lost}")
    return 1


def say(text: str) -> None:
    """A line to standard error, whatever names in it hold; lost if nobody reads it."""
    say_lines(_one_line(text))


def say_lines(text: str) -> None:
    """Lines to standard error."""
    try:
        print(_printable(text, sys.stderr), file=sys.stderr, flush=True)
    except (OSError, ValueError):
        pass  # nobody reads: there is nowhere left to say so


def entry(label: str, text: str) -> None:
    """A line of the summary; in a terminal too narrow for both, the text has a line of its own."""
    line = _one_line(f"{label:<12}{text}")
    for part in [line] if len(line) < _width(sys.stderr) else [label, text]:
        say(part)


def _width(stream: IO[str]) -> int:
    """The columns of a terminal; of what is none, or does not know, as many as you like."""
    with contextlib.suppress(OSError, ValueError):
        return os.get_terminal_size(stream.fileno()).columns or sys.maxsize
    return sys.maxsize


def result(text: str) -> None:
    """Lines to standard output: escaped in a terminal, else every byte as it is, for what reads it."""
    stream: Any = sys.stdout
    output = getattr(stream, "buffer", None)
    if isinstance(raw := getattr(output, "raw", None), _Output):
        raw.about = text.partition("\n")[0]
    if output is None or stream.isatty():
        print(_printable(text, stream), file=stream, flush=True)
        return
    try:
        line = os.fsencode(text)  # a path is again the bytes that it was
    except UnicodeEncodeError:
        line = text.encode(stream.encoding, "backslashreplace")
    stream.flush()
    output.write(line + b"\n")
    output.flush()


def result_json(value: object) -> None:
    """A value as JSON to standard output: infinities and dates are texts, and NaN is null."""
    import json  # not for the list of commands

    result(json.dumps(_as_json(value), allow_nan=False))


def _as_json(value: Any) -> Any:
    import datetime

    match value:
        case float():
            return value if math.isfinite(value) else str(value) if value == value else None
        case dict():
            return {key: _as_json(one) for key, one in value.items()}
        case list() | tuple():
            return [*map(_as_json, value)]
        case datetime.date() | datetime.time():  # as a TOML file may have them
            return str(value)
        case _:
            return value


def table(rows: list[tuple[str, ...]], spare: Sequence[str] = ()) -> None:
    """Rows in columns to standard output, the first being the head.

    Args:
        rows: Texts.
        spare: The heads of columns that a narrow terminal does not show, the first to go first, and standard
            error says which. Where that is not enough, the first column is cut.
    """
    columns = [[" ".join(cell.splitlines()) for cell in column] for column in zip(*rows, strict=True)]
    room, too_wide = _width(sys.stdout), lambda: sum(max(map(len, cells)) + 2 for cells in columns) - 2
    without: list[str] = []
    for head in spare:
        if too_wide() > room:
            without += [cells[0] for cells in columns if cells[0] == head]
            columns = [cells for cells in columns if cells[0] != head]
    if spare and (over := too_wide() - room) > 0:
        most = max(max(map(len, columns[0])) - over, SHORTEST)
        columns[0] = [cell if len(cell) <= most else f"{cell[: most - 3]}..." for cell in columns[0]]
    widths = [max(map(len, cells)) for cells in columns]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in zip(*columns, strict=True)]
    result("\n".join(lines))
    if without:
        entry("not shown", f"{', '.join(without)}: no room in {room} columns; --json has all")


def _printable(text: str, stream: IO[str]) -> str:
    """The text with everything escaped that would steer a terminal or that the stream cannot encode."""
    text = "\n".join(_one_line(line) for line in text.split("\n"))
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def short(text: str) -> str:
    """A long line without its middle: it begins with what is wrong and ends with what is allowed."""
    return text if len(text) <= 2 * HALF else f"{text[:HALF]} ... {text[-HALF:]}"
