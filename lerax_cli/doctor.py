"""`lerax doctor`."""

import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import typer

from lerax.names import hint
from lerax.processes import python

from . import report, words
from .checks import Check, all_checks
from .report import BadInput
from .slurm_checks import slurm_checks

SECONDS = 60.0  # that a check may take
AT_ONCE = 4
WIDTH = 80  # of what a check said, in the table


def doctor(
    require: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Exit with 1 if this one does not work, needed or not; may be repeated.",
            autocompletion=words.begin(all_checks),
        ),
    ] = None,
    slurm: Annotated[
        bool,
        typer.Option("--slurm", help="Try what a job of SLURM's needs, too: srun lerax doctor --slurm."),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> int:
    """Try everything that lerax uses, and say what mends what does not work."""
    checks, required = all_checks() | (slurm_checks() if slurm else {}), require or []
    for name in required:
        if name not in checks:
            raise BadInput("--require", f"unknown (got {name!r}); {hint(name, checks)}")
    with ThreadPoolExecutor(min(AT_ONCE, os.cpu_count() or 1)) as pool:
        rows = list(pool.map(_row, checks, checks.values()))
    found = {row["name"]: row["works"] for row in rows}
    for row in rows:
        row["needed"] = row["name"] in required or _is_needed(checks[row["name"]], checks, found)
    missing = [row["name"] for row in rows if row["needed"] and not row["works"]]
    if json:
        report.result_json(rows)
    else:
        report.table([("NAME", "WORKS", "WHAT IT SAID", "WHAT MENDS IT"), *map(_cells, rows)])
    missed = f"needed, and does not work: {', '.join(missing)}" if missing else "all that is needed works"
    report.say(f"lerax: {missed}")
    return 1 if missing else 0


def _row(name: str, check: Check) -> dict[str, Any]:
    """Tries one thing in a process of its own, which may hang or crash."""
    began = time.monotonic()
    command, child = python("-m", "lerax_cli.checks", name)
    try:
        done = subprocess.run(
            command,
            env=child,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
        )
        works = done.returncode == 0
        lines = (done.stdout if works else done.stderr).strip().splitlines()
        said = lines[-1] if lines else f"ended with exit code {done.returncode}"
    except subprocess.TimeoutExpired:
        works, said = False, f"not done after {SECONDS:g} s"
    seconds = round(time.monotonic() - began, 2)
    mend = None if works else check.mend
    return {"name": name, "works": works, "said": said, "mend": mend, "seconds": seconds}


def _is_needed(check: Check, checks: dict[str, Check], found: dict[str, bool]) -> bool:
    """Whether lerax needs it; where one of several will do, only if none of them works."""
    if not check.purpose:
        return check.needed
    return not any(found[name] for name, other in checks.items() if other.purpose == check.purpose)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    works = "yes" if row["works"] else "no" if row["needed"] else "no, not needed"
    said = row["said"] if len(row["said"]) <= WIDTH else row["said"][: WIDTH - 3] + "..."
    return row["name"], works, said, row["mend"] or ""
