"""What the command says: results to standard output, everything else to standard error."""

import json
import os
import sys
import warnings
from typing import Any


class Failure(Exception):
    """The command cannot go on: the machine, the state or the run is at fault (exit code 1)."""

    code = 1

    def __init__(self, where: str, what: str):
        super().__init__(_one_line(f"{where}: {what}"))


class BadInput(Failure):
    """The command line or the config is wrong (exit code 2)."""

    code = 2


class Interrupted(BaseException):
    """A signal ended the command before there was anything to save; nobody's `except Exception` keeps it."""

    def __init__(self, signal: int):
        super().__init__(signal)
        self.code = 128 + signal


class Warnings:
    """Prints each warning as one line, and counts them."""

    def __init__(self) -> None:
        self.count = 0

    def install(self, *, hide: str = "") -> None:
        """Takes over Python's warnings; those that contain `hide` are dropped."""
        warnings.simplefilter("default")
        for about_code in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", about_code)

        def show(message: Any, *_: Any, **__: Any) -> None:
            text = " ".join(str(message).split())
            if not (hide and hide in text):
                self.say(text)

        warnings.showwarning = show

    def say(self, text: str) -> None:
        """One warning."""
        self.count += 1
        say(f"lerax: warning: {text}")


def hold_streams() -> None:
    """Puts the null device where the caller closed a standard stream.

    Otherwise the next file that is opened would take its number, and Python would print errors as results.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))


def say(text: str) -> None:
    """A line to standard error; lost if nobody reads it."""
    try:
        print(_printable(text, sys.stderr), file=sys.stderr, flush=True)
    except (OSError, ValueError):
        pass  # nobody reads: there is nowhere left to say so


def result(text: str) -> None:
    """A line to standard output; lost if nobody reads it."""
    try:
        print(_printable(text, sys.stdout), flush=True)
    except (OSError, ValueError):
        give_up_stdout()


def result_json(value: Any) -> None:
    """A JSON value to standard output."""
    result(json.dumps(value))


def table(rows: list[tuple[str, ...]]) -> None:
    """Rows in columns to standard output, the first being the head."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        result("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _printable(text: str, stream: Any) -> str:
    """The text with everything escaped that would steer a terminal or that the stream cannot encode."""
    text = "\n".join(_one_line(line) for line in text.split("\n"))
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def give_up_stdout() -> None:
    """Points standard output elsewhere, so that Python's own flush at exit does not fail again."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    except OSError:
        pass  # not even that is possible; the result is lost either way
