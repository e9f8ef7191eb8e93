"""One table: a row per step, a column per tag."""

import contextlib
import csv
import io
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lerax.files import write_atomically

from .base import AbstractLoggingBackend
from .lines import StepLines, cut, last_line


class CSVBackend(AbstractLoggingBackend):
    """Writes `{log_dir}/{run name}/metrics.csv`, or goes on with the table that is there.

    A tag that is new becomes a column at the right, empty in the rows before. Values that are not finite are
    `nan`, `inf` and `-inf`.

    Args:
        log_dir: The folder that holds the runs.
    """

    def __init__(self, log_dir: str | Path = "logs"):
        self.log_dir = Path(log_dir)
        self._columns = ["step"]
        self._lines: StepLines | None = None

    def open(self, name: str) -> None:
        path = self.log_dir / name / "metrics.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        if not last_line(path)[1]:
            write_atomically(path, _text([["step"]]))
        self._go_on(path)

    def resume(self, step: int) -> None:
        assert self._lines is not None
        self.flush()
        path = self._lines.path
        cut(path, lambda line: _step(line) <= step, _head(path)[1])
        self._go_on(path)

    def _go_on(self, path: Path) -> None:
        self._columns, size = _head(path)
        begin, line = last_line(path)
        self._lines = StepLines(path, begin + len(line))
        with contextlib.suppress(ValueError):  # a row of another's making stays as it is
            rows = _rows(line) if begin >= size else []
            if rows and _text(rows) == line:
                row = {tag: cell for tag, cell in zip(self._columns, rows[0], strict=True) if cell}
                self._lines = StepLines(path, begin, [row | {"step": int(row["step"])}])

    def log_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        assert self._lines is not None
        self._lines.add(scalars, step)

    def flush(self) -> None:
        if self._lines is None or not self._lines.has_news:
            return
        rows = self._lines.rows
        new = [tag for tag in _union(rows) if tag not in self._columns]
        columns = self._columns + new
        lines = [_text([[row.get(tag, "") for tag in columns]]) for row in rows]
        if new:
            path = self._lines.path
            _, *before = _rows(path.read_bytes()[: self._lines.at])
            head = _text([columns, *(row + [""] * len(new) for row in before)])
            write_atomically(path, head + b"".join(lines))
            self._columns, self._lines.at = columns, len(head)
            self._lines.are_written(lines)
        else:
            self._lines.write(lines)

    def close(self) -> None:
        self.flush()


def _union(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The keys of all rows, in the order in which they appear."""
    return list(dict.fromkeys(key for row in rows for key in row))


def _text(rows: Iterable[Iterable[Any]]) -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue().encode()


def _rows(text: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.decode(), newline="")))


def _head(path: Path) -> tuple[list[str], int]:
    """The columns, and the size of the row of their names, which may be several lines."""
    with open(path, encoding="utf-8", newline="\n") as file:
        reader = csv.reader(file)
        columns, count = next(reader), reader.line_num
    with open(path, "rb") as file:
        return columns, sum(len(file.readline()) for _ in range(count))


def _step(line: bytes) -> float:
    """The step of a row; infinite for one of another's making."""
    with contextlib.suppress(ValueError):
        return int(line.partition(b",")[0])
    return math.inf
