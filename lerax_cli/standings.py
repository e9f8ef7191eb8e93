"""How a sweep stands, as it is shown and said."""

from pathlib import Path
from shlex import quote
from typing import Any

from lerax.backend.sweep import BEST as SHOWN_LIVE
from lerax.backend.sweep import Ranked, Standing, words
from lerax.files import SWEEP, parse_toml
from lerax.sweep.ranking import BEST, Row, counts, importances, ranking
from lerax.sweep.study import Sweep

from . import report
from .naming import is_place, written

LEFT = "left"  # a trial whose process has ended before it
SAID = 3  # of the best trials, at the end


def standing(sweep: Sweep) -> Standing:
    """How a sweep stands, as the table in a terminal shows it."""
    trials = sweep.trials()
    rows = [row for row in ranking(trials) if row.score is not None]
    best = [Ranked(row.trial, row.score or 0.0, between(row), row.settings) for row in rows[:SHOWN_LIVE]]
    curve: list[tuple[float, float]] = []
    for row in sorted(rows, key=lambda row: row.trial):
        score = row.score or 0.0
        curve.append((row.trial + 1, max(score, curve[-1][1]) if curve else score))
    return Standing(counts(trials), sweep.plan.trials, best, curve)


def between(row: Row) -> str:
    """A trial's interval in words; "" where there is none."""
    return f"{row.interval[0]:.1f} to {row.interval[1]:.1f}" if row.interval else ""


def outcome(sweep: Sweep, status: str) -> dict[str, Any]:
    """What came of a sweep, as `--json` prints it."""
    rows = _rows(sweep)
    trials = counts(sweep.trials()) | {LEFT: sum(row.state == LEFT for row in rows)}
    best = sweep.path / BEST
    return {
        "sweep": str(sweep.path),
        "status": status,
        "trials": trials | {"running": trials["running"] - trials[LEFT]},
        "best": str(best) if best.is_file() else None,
        "ranking": [row._asdict() for row in rows],
        "importances": importances(sweep),
    }


def _rows(sweep: Sweep) -> list[Row]:
    """The ranking, in which a trial that runs in no process is left for the next one."""
    left = lambda row: row.state == "running" and sweep.is_left(row.trial)
    return [row._replace(state=LEFT) if left(row) else row for row in ranking(sweep.trials())]


def summarize(sweep: Sweep, found: dict[str, Any]) -> None:
    """The end of a process's work in a few lines on standard error."""
    counted = ", ".join(f"{count} {state}" for state, count in found["trials"].items() if count)
    report.say(f"{sweep.path.name}: {counted or 'no trial yet'}, of {sweep.plan.trials} trials")
    for row in ranking(sweep.trials())[:SAID]:
        if row.score is not None:
            sure = f" ({between(row)})" if row.interval else ""
            report.entry(f"trial {row.trial}", f"{row.score:.1f}{sure}  {words(row.settings)}")
    place = quote(str(sweep.path))
    report.entry("ranking", f"lerax sweep show {place}")
    if found["status"] in ("interrupted", "paused"):
        report.entry("go on", f"lerax sweep {place}")
    elif found["trials"]["running"]:
        report.entry("still run", f"{found['trials']['running']}; if one dies, `lerax sweep {place}` goes on")
    _next(sweep.path)


def show(folder: Path, most: int | None, *, json: bool) -> int:
    """Prints a sweep's ranking.

    Args:
        folder: The sweep's.
        most: How many trials a table shows; None for all.
        json: Whether all of it is printed as JSON.
    """
    sweep = Sweep(folder)
    found = outcome(sweep, "shown")
    if json:
        del found["status"]
        report.result_json(found)
        return 0
    rows = _rows(sweep)
    names = [*dict.fromkeys(name for row in rows for name in row.settings)]
    table: list[tuple[str, ...]] = [("TRIAL", "SCORE", "95 % INTERVAL", "SEEDS", *names, "STATE")]
    for row in rows[:most]:
        score = "" if row.score is None else f"{row.score:.1f}"
        settings = (words({"": row.settings[name]})[1:] if name in row.settings else "" for name in names)
        state = f"{row.state}: {row.reason}" if row.reason else row.state
        table.append((str(row.trial), score, between(row), str(len(row.scores) or ""), *settings, state))
    if rows:
        kept = [cells for cells in zip(*table, strict=True) if any(cells[1:])]  # one seed has no interval
        report.table([*zip(*kept, strict=True)], spare=("SEEDS", "95 % INTERVAL"))
    counted = ", ".join(f"{count} {state}" for state, count in found["trials"].items() if count)
    hidden = len(rows) - len(table) + 1
    more = f"; {hidden} more with --all" if hidden > 0 else ""
    report.say(f"{folder.name}: {counted or 'no trial yet'}{more}")
    if len(found["importances"]) > 1:
        parts = ", ".join(f"{name} {share:.0%}" for name, share in found["importances"].items())
        report.entry("matters", parts)
    if found["trials"][LEFT]:
        report.entry("go on", f"lerax sweep {quote(str(folder))}")
    _next(folder)
    return 0


def _next(folder: Path) -> None:
    """What one would do with the winner."""
    best = folder / BEST
    if best.is_file():
        env = parse_toml((folder / SWEEP).read_text())["env"]["name"]
        named = written(env) if is_place(env) else quote(env)
        report.entry("train", f"lerax train {named} --preset {quote(str(best))}")
