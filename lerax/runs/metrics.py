"""What a run has logged, as columns."""

import importlib
import json
import math
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .run import number

if TYPE_CHECKING:  # no command that only looks for runs waits for them
    import numpy as np

STEP = "step"
LARGEST = 2**63  # that no step reaches


class Metrics(Mapping[str, Any]):
    """The rows of a `metrics.jsonl`, by their tags: `metrics["episode/return"]` is a column.

    Args:
        path: The file; none is one without rows. What is no row is left out and counted.

    Attributes:
        steps: Environment steps `[row]` after which the rows were logged, as int64.
        damaged: How many lines are no row.

    Raises:
        OSError: The file cannot be read.
    """

    steps: "np.ndarray"
    damaged: int

    def __init__(self, path: str | Path):
        import numpy as np

        steps, columns, self.damaged = _read(Path(path))
        self.steps = np.array(steps, np.int64)
        self._columns = {tag: np.array(column, np.float64) for tag, column in columns.items()}

    def __getitem__(self, tag: str) -> "np.ndarray":
        """The values `[row]` of a tag as float64, NaN where a row has none."""
        return self._columns[tag]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __repr__(self) -> str:
        return f"Metrics({len(self.steps)} rows of {', '.join(self) or 'nothing'})"

    def frame(self) -> Any:
        """The same as a `pandas.DataFrame`: a row for each step, which is its index, a column for each tag.

        Raises:
            ImportError: pandas is missing.
        """
        try:
            pandas: Any = importlib.import_module("pandas")
        except ImportError:
            raise ImportError("pandas is missing; pip install 'lerax[plot]'") from None
        return pandas.DataFrame(self._columns, index=pandas.Index(self.steps, name=STEP))


def _read(path: Path) -> tuple[list[int], dict[str, array], int]:
    """Steps, columns as long as these, and how many lines are no row. Rows of one step are one."""
    steps: list[int] = []
    columns: dict[str, array] = {}
    damaged = 0
    if not path.is_file():  # a pipe would be waited for
        return steps, columns, damaged
    with open(path, "rb") as file:
        for line in file:
            if (row := _row(line)) is None:
                damaged += bool(line.strip())
                continue
            step = row.pop(STEP)
            if not steps or steps[-1] != step:
                steps.append(step)
            for tag, value in row.items():
                column = columns.setdefault(tag, array("d"))
                _fill(column, len(steps))
                found = number(value)
                column[-1] = math.nan if found is None else found
    for column in columns.values():
        _fill(column, len(steps))
    return steps, columns, damaged


def _fill(column: array, length: int) -> None:
    """Makes a column so long."""
    column.extend([math.nan] * (length - len(column)))


def _row(line: bytes) -> dict[str, Any] | None:
    """What a line says; None where it is no row."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    step = row.get(STEP) if isinstance(row, dict) else None
    return row if type(step) is int and abs(step) < LARGEST else None
