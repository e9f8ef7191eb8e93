"""One table: a row per step, a column per tag."""

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lerax.files import write_atomically

from .base import AbstractLoggingBackend


class CSVBackend(AbstractLoggingBackend):
    """Writes `{log_dir}/{run name}/metrics.csv`, or goes on with the table that is there.

    A tag that is new becomes a column at the right, empty in the rows before. Values that are not finite are
    `nan`, `inf` and `-inf`.

    Args:
        log_dir: The folder that holds the runs.
    """

    def __init__(self, log_dir: str | Path = "logs"):
        self.log_dir = Path(log_dir)
        self._path = self.log_dir
        self._columns = ["step"]
        self._rows: list[dict[str, float]] = []  # the last one written, which may grow, and new ones
        self._at = 0  # where the first of them begins in the file
        self._news = False

    def open(self, name: str) -> None:
        self._path = self.log_dir / name / "metrics.csv"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        there = self._path.read_bytes() if self._path.exists() else b""
        whole = there[: there.rfind(b"\n") + 1]  # a kill may have torn the last line
        table = _rows(whole) or [["step"]]
        self._columns = table[0]
        if there != whole or not whole:
            whole = _text(table)
            write_atomically(self._path, whole)
        self._at = len(whole)

    def log_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        if not self._rows or self._rows[-1]["step"] != step:
            self._rows.append({"step": step})
        self._rows[-1].update(scalars, step=step)
        self._news = True

    def flush(self) -> None:
        if not self._news:
            return
        new = [tag for tag in _union(self._rows) if tag not in self._columns]
        columns = self._columns + new
        lines = [_text([[row.get(tag, "") for tag in columns]]) for row in self._rows]
        if new:
            _, *before = _rows(self._path.read_bytes()[: self._at])
            head = _text([columns, *(row + [""] * len(new) for row in before)])
            write_atomically(self._path, head + b"".join(lines))
            self._columns, self._at = columns, len(head)
        else:
            with open(self._path, "r+b") as file:
                file.seek(self._at)
                file.write(b"".join(lines))
                file.truncate()
        self._at += sum(map(len, lines[:-1]))
        self._rows = self._rows[-1:]
        self._news = False

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
