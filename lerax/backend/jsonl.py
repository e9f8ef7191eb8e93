"""One JSON object per line and iteration."""

import contextlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from .base import AbstractLoggingBackend
from .lines import StepLines, cut, last_line

METRICS = "metrics.jsonl"


class JSONLBackend(AbstractLoggingBackend):
    """Appends to `{log_dir}/{run name}/metrics.jsonl`; values that are not finite become null.

    What is logged of the same step in a row, an iteration and its evaluation, is one line.

    Args:
        log_dir: The folder that holds the runs.
    """

    def __init__(self, log_dir: str | Path = "logs"):
        self.log_dir = Path(log_dir)
        self._lines: StepLines | None = None

    def open(self, name: str) -> None:
        path = self.log_dir / name / METRICS
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        self._go_on(path)

    def resume(self, step: int) -> None:
        assert self._lines is not None
        self.flush()
        cut(self._lines.path, lambda line: _step(line) <= step)
        self._go_on(self._lines.path)

    def _go_on(self, path: Path) -> None:
        begin, line = last_line(path)
        self._lines = StepLines(path, begin + len(line))
        if row := _row(line):  # a line of another's making stays as it is
            self._lines = StepLines(path, begin, [{"step": row["step"]} | row])

    def log_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        assert self._lines is not None
        finite = {tag: x if math.isfinite(x) else None for tag, x in scalars.items()}
        self._lines.add(finite, step)

    def flush(self) -> None:
        if self._lines is not None and self._lines.has_news:
            self._lines.write([json.dumps(row).encode() + b"\n" for row in self._lines.rows])

    def close(self) -> None:
        self.flush()


Record = tuple[int, dict[str, float]]
"""A step, and scalars of it."""


class RecordReader:
    """Reads a `metrics.jsonl` that another process may be writing; null is NaN, strange lines are left out.

    Args:
        path: The file; it need not be there yet.

    Attributes:
        damaged: How many lines were left out.
    """

    def __init__(self, path: Path):
        self._path = path
        self._seen: tuple[int, ...] = ()  # how the file looked the last time
        self._begin()

    def read(self) -> tuple[bool, Iterator[Record]]:
        """What has come since the last call, read as it is asked for.

        Returns:
            Whether lines that were read are gone, as where the run goes on from an earlier step; and records,
            then all that the file has. Of a line that has grown it is what is new.

        Raises:
            OSError: The file cannot be read.
        """
        try:
            facts = os.stat(self._path)
        except FileNotFoundError:
            return False, iter(())
        looks = facts.st_ino, facts.st_size, facts.st_mtime_ns
        if looks == self._seen:
            return False, iter(())
        self._seen = looks
        file = open(self._path, "rb")
        file.seek(self._at)
        anew = not self._row.items() <= _row(file.readline()).items()
        if anew:
            self._begin()
        return anew, self._records(file)

    def _begin(self) -> None:
        # Where the last line that was read begins, what it says, and how many before it were left out.
        self._at, self._row, self._strange = 0, dict[str, Any](), 0
        self.damaged = 0

    def _records(self, file: BinaryIO) -> Iterator[Record]:
        with file:
            file.seek(at := self._at)
            self.damaged = self._strange
            for line in file:
                if not line.endswith(b"\n"):  # it is being written, or was torn by a kill
                    return
                if row := _row(line):
                    before = self._row if self._row.get("step") == row["step"] else {"step": row["step"]}
                    new = {tag: _value(x) for tag, x in row.items() if tag not in before}
                    self._at, self._row, self._strange = at, row, self.damaged
                    if new:
                        yield row["step"], new
                else:
                    self.damaged += bool(line.strip())
                at += len(line)


def read_records(path: Path) -> Iterator[Record]:
    """Steps and scalars of a `metrics.jsonl`, line by line.

    Raises:
        OSError: The file cannot be read.
    """
    return RecordReader(path).read()[1]


def _value(x: Any) -> float:
    return x if isinstance(x, int | float) else math.nan


def _row(line: bytes) -> dict[str, Any]:
    """What a line says; nothing where it is of another's making."""
    with contextlib.suppress(ValueError, RecursionError):
        row = json.loads(line)
        if isinstance(row, dict) and type(row.get("step")) is int:
            return row
    return {}


def _step(line: bytes) -> float:
    """The step of a line; infinite for one of another's making."""
    return _row(line).get("step", math.inf)
