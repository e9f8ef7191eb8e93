"""One JSON object per line and iteration."""

import contextlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

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
        if _step(line) < math.inf:  # a line of another's making stays as it is
            row = json.loads(line)
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


def read_records(path: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """Steps and scalars of a `metrics.jsonl`, line by line; null is NaN, strange lines are left out."""
    with open(path, "rb") as file:
        for line in file:
            if _step(line) < math.inf:
                row = json.loads(line)
                yield row.pop("step"), {tag: math.nan if x is None else x for tag, x in row.items()}


def _step(line: bytes) -> float:
    """The step of a line; infinite for one of another's making."""
    with contextlib.suppress(ValueError, TypeError, KeyError):
        step = json.loads(line)["step"]
        return step if isinstance(step, int) else math.inf
    return math.inf
