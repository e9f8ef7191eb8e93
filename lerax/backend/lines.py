"""Text files with a line for each step, the last of which may still grow."""

import contextlib
import mmap
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from lerax.files import naming


class StepLines:
    """What is not yet written for good of a file that has a line for each step.

    Args:
        path: The file.
        at: Where the line of the first of the rows begins, or where the first line goes.
        rows: The row of the file's last line, if it may grow.

    Attributes:
        rows: The last row that was written, and those that come after it.
    """

    def __init__(self, path: Path, at: int, rows: Iterable[dict[str, Any]] = ()):
        self.path, self.at, self.rows = path, at, list(rows)
        self.has_news = False

    def add(self, values: Mapping[str, Any], step: int) -> None:
        """Takes values: a row of their own, or more of the last one if that is of the same step."""
        if not self.rows or self.rows[-1]["step"] != step:
            self.rows.append({"step": step})
        self.rows[-1].update(values, step=step)
        self.has_news = True

    def write(self, lines: list[bytes]) -> None:
        """Writes a line for each of the rows, over the last one in the file.

        Raises:
            OSError: They cannot be written; the file holds what it held before.
        """
        rewrite(self.path, self.at, b"".join(lines))
        self.are_written(lines)

    def are_written(self, lines: list[bytes]) -> None:
        """Told that the file now holds these lines from `at` on; only the last one may grow."""
        self.at += sum(map(len, lines[:-1]))
        self.rows = self.rows[-1:]
        self.has_news = False


def last_line(path: Path) -> tuple[int, bytes]:
    """Where the last line of a file begins, and the line; an end that a kill has torn is cut off first."""
    with open(path, "r+b") as file:
        if not file.seek(0, 2):
            return 0, b""
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            size, end = len(text), text.rfind(b"\n") + 1
            begin = text.rfind(b"\n", 0, max(end - 1, 0)) + 1
            line = text[begin:end]
        if end < size:
            file.truncate(end)
    return begin, line


def cut(path: Path, belongs: Callable[[bytes], bool], head: int = 0) -> None:
    """Cuts a file after the last line that belongs to it; it is read from its end, no further than there.

    Args:
        path: The file.
        belongs: Whether a line does; none after the last newline does.
        head: Bytes at the beginning that stay.
    """
    with open(path, "r+b") as file:
        if file.seek(0, 2) <= head:
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            end = text.rfind(b"\n") + 1
            while end > head:
                begin = text.rfind(b"\n", 0, end - 1) + 1
                if belongs(text[begin:end]):
                    break
                end = begin
        file.truncate(max(end, head))


def rewrite(path: Path, at: int, text: bytes) -> None:
    """Puts other text where a file's end from `at` on was.

    Raises:
        OSError: It cannot be written; the file holds what it held before.
    """
    with (
        naming(path),
        open(path, "r+b", buffering=0) as file,
    ):  # unbuffered: what failed is not tried again at closing
        file.seek(at)
        before = file.read()
        try:
            _write(file, at, text)
        except OSError:
            with contextlib.suppress(OSError):
                _write(file, at, before)
            raise


def _write(file: Any, at: int, text: bytes) -> None:
    file.seek(at)
    left = memoryview(text)
    while left:
        left = left[file.write(left) :]
    file.truncate()
