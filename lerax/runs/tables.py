"""What runs have logged in one table, and tables as files."""

import csv
import importlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from lerax.errors import SettingError
from lerax.files import write_atomically

from .loaded import LoadedRun
from .metrics import STEP

OF_A_RUN = ("run", "env", "algo", "seed")  # columns that say which run a row is of
Table = dict[str, list[Any]]
"""Columns by name, all of one length; None for what is not known."""


def table(runs: Sequence[LoadedRun]) -> Table:
    """What runs have logged, in long form: a row for each run and step.

    Args:
        runs: The runs.

    Returns:
        The columns `run`, `env`, `algo`, `seed` and `step`, then one for each tag; None where a row has no
        finite value of it. A tag that is called as one of the first has as many `_` behind its name as make
        it no other's.

    Raises:
        OSError: Metrics cannot be read.
    """
    fixed: tuple[str, ...] = (*OF_A_RUN, STEP)
    columns: Table = {name: [] for name in fixed}
    names = _names([tag for run in runs for tag in run.metrics], fixed)
    for run in runs:
        begin, metrics = len(columns[STEP]), run.metrics
        count = len(metrics.steps)
        about = (_text(run.run.name), _text(run.run.env), _text(run.run.algo), run.seed)
        for name, value in zip(OF_A_RUN, about, strict=True):
            columns[name] += [value] * count
        columns[STEP] += metrics.steps.tolist()
        for tag, values in metrics.items():
            column = columns.setdefault(names[tag], [])
            column += [None] * (begin - len(column))
            column += [None if x != x else x for x in values.tolist()]
    for column in columns.values():
        column += [None] * (len(columns[STEP]) - len(column))
    return columns


def _names(tags: Iterable[str], fixed: Sequence[str]) -> dict[str, str]:
    """What the column of each tag is called."""
    names = {tag: tag for tag in tags if tag not in fixed}
    for tag in fixed:
        name = f"{tag}_"
        while name in names:
            name += "_"
        names[tag] = name
    return names


def _text(name: str) -> str | None:
    """A name as Unicode, which that of a file need not be; None for none."""
    return name.encode("utf-8", "backslashreplace").decode() or None


def write_table(path: str | Path, columns: Table) -> None:
    """Writes a table as a file, whole or not at all, over what is there.

    Args:
        path: The file; its name's end says how: one of `FORMATS`.
        columns: What `table` gives.

    Raises:
        SettingError: There is no such format.
        ImportError: pyarrow is missing, for Parquet.
        OSError: The file cannot be written; what was there before is still there.
    """
    path = Path(path)
    if path.suffix not in FORMATS:
        raise SettingError("path", str(path), ", ".join(FORMATS), wrong="ends in no known format")
    write = FORMATS[path.suffix]
    content = write(columns)
    write_atomically(path, content)


Write = Callable[[BinaryIO], object]


def _rows(columns: Table) -> Iterator[tuple[Any, ...]]:
    return zip(*columns.values(), strict=True)


def _as_csv(columns: Table) -> Write:
    """RFC 4180, with the lines' ends of this system's tables; an empty cell is None."""

    def write(file: BinaryIO) -> None:
        text = io.TextIOWrapper(file, "utf-8", newline="")
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(columns)
        rows.writerows(_rows(columns))
        text.detach()

    return write


def _as_json(columns: Table) -> Write:
    """A list of objects, each in a line; null is None."""

    def write(file: BinaryIO) -> None:
        begin = b"[\n"
        for row in _rows(columns):
            file.write(begin + json.dumps(dict(zip(columns, row, strict=True))).encode())
            begin = b",\n"
        file.write(b"\n]\n" if begin == b",\n" else b"[]\n")

    return write


def _as_parquet(columns: Table) -> Write:
    """Texts, whole numbers of 64 bits and doubles; null is None."""
    try:
        arrow: Any = importlib.import_module("pyarrow")
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise ImportError("pyarrow is missing; pip install 'lerax[parquet]'") from None
    text, whole = arrow.string(), arrow.int64()
    kinds = {"run": text, "env": text, "algo": text, "seed": whole, STEP: whole}
    arrays = {name: arrow.array(column, kinds.get(name, arrow.float64())) for name, column in columns.items()}
    return lambda file: parquet.write_table(arrow.table(arrays), file)


FORMATS: dict[str, Callable[[Table], Write]] = {
    ".csv": _as_csv,
    ".json": _as_json,
    ".parquet": _as_parquet,
}
"""How each is written, by what the file's name ends in."""
