"""Where trainings were made: machines, versions, and the code that they began with."""

from collections.abc import Iterable, Sequence
from typing import Any

from lerax.runs import Run
from lerax.study import tables
from lerax.study.groups import Group

from .blocks import Block, Code, Fold, Table, Text

MACHINE = ("processor", "cores", "system")
DIFFS = 4  # that are shown
NAMED = 4  # runs in a line


def machines(groups: Sequence[Group]) -> list[Block]:
    """Devices, machines and versions; several values where runs had several."""
    runs = [run for one in groups for run in one.runs]
    rows: tables.Rows = [("WHAT", "OF ALL RUNS")]
    facts = {"device": [run.facts.get("device") for run in runs]}
    facts |= {key: [_part(run, "machine").get(key) for run in runs] for key in MACHINE}
    versions = dict.fromkeys(name for run in runs for name in _part(run, "versions"))
    facts |= {name: [_part(run, "versions").get(name) for run in runs] for name in versions}
    for name, values in facts.items():
        if kept := dict.fromkeys(str(value) for value in values if value is not None):
            rows.append((name, ", ".join(kept)))
    return [Table(rows)] if len(rows) > 1 else []


def code(groups: Sequence[Group]) -> list[Block]:
    """The states of git's working folder that runs began in."""
    states: dict[tuple[str, Any, str], list[str]] = {}
    for run in (run for one in groups for run in one.runs):
        git = _part(run, "git")
        if "commit" in git:
            state = str(git["commit"]), git.get("dirty"), str(git.get("diff", ""))
            states.setdefault(state, []).append(run.name)
    blocks: list[Block] = []
    total = sum(len(one.runs) for one in groups)
    known = sum(map(len, states.values()))
    for (commit, dirty, diff), names in states.items():
        whose = "all runs" if len(names) == total else _names(names)
        how = {True: ", with changes", False: ", unchanged"}.get(dirty, ", whether changed is not known")
        blocks.append(Text(f"Commit {commit}{how}: {whose}."))
        if diff and len([one for one in blocks if isinstance(one, Fold)]) < DIFFS:
            lines = len(diff.splitlines())
            blocks.append(Fold(f"What was changed, {lines:,} lines", [Code(diff, "diff")]))
        elif diff:
            blocks.append(Text("What was changed stands in the run.json of these runs."))
    if 0 < known < total:
        blocks.append(Text(f"Of {total - known} more runs the commit is not known."))
    return blocks


def _part(run: Run, name: str) -> dict[str, Any]:
    part = run.facts.get(name)
    return part if isinstance(part, dict) else {}


def _names(names: Iterable[str]) -> str:
    names = [*names]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
