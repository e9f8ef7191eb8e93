"""What `lerax export` writes of a run's metrics: tables, without JAX."""

import os
from pathlib import Path

from lerax.errors import SettingError
from lerax.runs import LoadedRun, find_all, find_group, table, write_table

from . import report
from .report import BadInput, Failure

READ = {"csv": "read_csv", "json": "read_json", "parquet": "read_parquet"}
"""The function of pandas that reads a format."""


def find(text: str, out: str) -> tuple[Path, list[LoadedRun]]:
    """What RUN names: a run, or all seeds of a training with several, and the directory of that.

    Raises:
        BadInput: There is no such run.
    """
    if os.path.isfile(text):
        raise BadInput("RUN", f"a file, and metrics are those of a run (got {text!r}); give its run")
    try:
        found = find_all([text], out)
    except SettingError as error:
        raise BadInput("RUN", error.reason) from None
    folder = find_group(text, out) or (found[0].path if found else Path(text))
    if not found:
        raise BadInput("RUN", f"has no seeds yet (got {text!r})")
    return folder, [LoadedRun(run) for run in found]


def export(
    path: Path, runs: list[LoadedRun], format: str, warned: report.Warnings, *, json: bool, quiet: bool
) -> int:
    """Writes the metrics of runs as one table; prints its path.

    Args:
        path: The file.
        runs: The runs.
        format: One of `READ`.
        warned: The warnings.
        json: Whether what was written is said as JSON.
        quiet: Whether nothing else is said.

    Raises:
        Failure: They have none, cannot be read, or the file cannot be written.
    """
    try:
        columns = table(runs)
    except OSError as error:
        raise Failure("RUN", f"its metrics cannot be read: {error.filename}: {error.strerror}") from None
    for run in runs:
        if run.metrics.damaged:
            lines = f"{run.metrics.damaged:,} line{'s' * (run.metrics.damaged > 1)}"
            warned.say(f"{run.path}: {lines} of its metrics.jsonl cannot be read and stay out")
    rows = len(columns["step"])
    if not rows:
        raise Failure("RUN", f"nothing is logged yet (got {str(runs[0].path)!r}); no file was written")
    try:
        write_table(path, columns)
    except ImportError as error:
        raise Failure("lerax export", str(error)) from None
    except OSError as error:
        raise Failure("-o", f"{path} cannot be written ({error.strerror})") from None
    if json:
        damaged = sum(run.metrics.damaged for run in runs)
        names = [run.run.name for run in runs]
        report.result_json(
            {"path": str(path), "runs": names, "rows": rows, "columns": [*columns], "damaged": damaged}
        )
        return 0
    if not quiet:
        of = f" of {len(runs)} runs" if len(runs) > 1 else ""
        report.entry("rows", f"{rows:,}{of}, {len(columns)} columns: run, env, algo, seed, step and the tags")
        report.entry("next", f'pandas.{READ[format]}("{path}")  # in Python')
    report.result(str(path))
    return 0
