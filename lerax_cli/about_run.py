"""All that is known of a run, for `lerax runs`."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lerax import registry
from lerax import runs as found
from lerax.archive import Archive, CheckpointError
from lerax.files import read_toml
from lerax.runs import Run
from lerax.settings import plain

from . import forms, naming, wrapping
from .declared import TABLES, WRAP, declared, is_ours, ours, setting_name
from .naming import training_again, trusting
from .parsing import COMMANDS
from .report import Failure
from .values import read_config

GYMNASIUM = "gymnasium:"  # environments that nothing can repeat

ABOVE = ("name", "env", "algo", "status", "steps", "started")  # facts that have lines of their own


def row(run: Run) -> dict[str, Any]:
    """A run in a few facts, as `--json` has them."""
    return {
        "name": run.name,
        "path": str(run.path),
        "env": run.env,
        "algo": run.algo,
        "status": run.status,
        "problem": run.problem or None,
        "steps": run.steps,
        "total": run.total or None,
        "score": run.score,
        "started": run.facts.get("started"),
        "age_seconds": round(time.time() - run.began) if run.began else None,
        "bytes": run.size,
    }


def tell(run: Run) -> dict[str, Any]:
    """A run in all that is known of it, as `--json` has it."""
    return row(run) | {
        "facts": run.facts,
        "settings": _differences(run),
        "checkpoints": _checkpoints(run),
        "files": {path.name: found.size_of(path) for path in sorted(run.path.iterdir())},
        "go_on": ways_on(run),
    }


def lines(told: dict[str, Any]) -> Iterator[str]:
    """The same for people to read, in paragraphs."""
    age = forms.span(told["age_seconds"]) + " ago" if told["age_seconds"] is not None else ""
    above = {
        "run": told["path"],
        "trains": f"{told['algo']} on {told['env']}".strip(" on"),
        "status": told["status"],
        "problem": told["problem"],
        "steps": forms.steps(told["steps"], told["total"] or 0),
        "score": forms.score(told["score"]),
        "began": f"{age}, {told['started']}" if age else "",
        "size": forms.size(told["bytes"]),
    }
    facts = {name: _fact(name, value) for name, value in told["facts"].items() if name not in ABOVE}
    yield from _paragraph("", above)
    yield from _paragraph("What run.json says", facts)
    for head, known in (
        ("Settings that are not the preset's or the defaults", True),
        ("Settings of classes whose defaults are not known here", False),
    ):
        some = {name: parts for name, parts in told["settings"].items() if (len(parts) > 1) == known}
        yield from _paragraph(head, dict(map(_setting, some.items())))
    yield from _paragraph("Checkpoints", {one["name"]: _checkpoint(one) for one in told["checkpoints"]})
    yield from _paragraph("Files", {name: forms.size(size) for name, size in told["files"].items()})
    yield from _paragraph("How to go on", {line: " " for line in told["go_on"]})


def ways_on(run: Run) -> list[str]:
    """The commands that go on with a run."""
    name = naming.run_again(run.path)
    diverged = run.status == "diverged"  # and would again, bit for bit
    repeatable = not str(run.facts.get("env")).startswith(GYMNASIUM)
    config = run.path / found.CONFIG
    whole = _is_whole(config)
    goes_on = not diverged and (run.can_go_on or run.status == found.UNKNOWN and bool(_checkpoints(run)))
    ways = {
        "watch": run.status == found.LIVES,
        "resume": whole and goes_on,
        "replay": diverged and repeatable,
    }
    ways |= dict.fromkeys(("eval", "record-video"), (run.path / "policy.eqx").is_file())
    repeats = whole and "branched_from" not in run.facts
    names = [str(table.get("name", "")) for table in _tables(_config(run)).values()]
    repeat = [training_again(names if len(names) == len(TABLES) else (), config)] if repeats else []
    can = [way for way, can in ways.items() if can and way in COMMANDS]
    return [f"lerax {way} {name}{'' if way == 'watch' else trusting(names)}" for way in can] + repeat


def _is_whole(config: Path) -> bool:
    """Whether the config of a run is there, and nothing in it is refused, as far as that needs no import."""
    try:
        layer = read_config(str(config))
        for table, named in layer.names.items():
            entry = naming.find("", TABLES[table], named.value, trusted=True)
            if is_ours(table, entry):
                naming.resolve(table, entry, declared(table, entry), layer.tables[table])
        wrapping.find("", layer.keys.get(WRAP, []))
    except Failure:
        return False
    return True


def _paragraph(head: str, rows: dict[str, Any]) -> Iterator[str]:
    """Rows of names and what is known of them, those of nothing left out, below a head."""
    kept = {name: text for name, text in rows.items() if text}
    if kept and head:
        yield f"\n{head}:"
    width = max(map(len, kept), default=0)
    for name, text in kept.items():
        yield f"{'  ' if head else ''}{name:<{width}}  {text}".rstrip()


def _fact(name: str, value: Any) -> str:
    """A fact in a line; of changes to files, which are many, only how many lines they take."""
    if name == "git" and isinstance(value, dict) and "diff" in value:
        value = value | {"diff": f"{len(str(value['diff']).splitlines()):,} lines"}
    return _shown(value)


def _shown(value: Any) -> str:
    """A fact in a line."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(part)}" for name, part in value.items())
    return value if isinstance(value, str) else json.dumps(value)


def _setting(named: tuple[str, dict[str, Any]]) -> tuple[str, str]:
    name, parts = named
    usual = "".join(f" ({what} {_shown(parts[what])})" for what in ("preset", "default") if what in parts)
    return name, _shown(parts["value"]) + usual


def _checkpoint(one: dict[str, Any]) -> str:
    known = f"step {one['steps']:,}" if isinstance(one.get("steps"), int) else ""
    scored = isinstance(one.get("score"), int | float)
    parts = (
        known,
        f"score {one['score']:.1f}" if scored else "",
        forms.size(one["bytes"]),
        one.get("problem"),
    )
    return ", ".join(filter(None, parts))


def _config(run: Run) -> dict[str, Any]:
    """Its config; nothing where that cannot be read."""
    try:
        return read_toml(run.path / found.CONFIG)
    except (OSError, ValueError):
        return {}


def _tables(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The tables of a config that name something."""
    return {table: dict(config[table]) for table in TABLES if isinstance(config.get(table), dict)}


def _differences(run: Run) -> dict[str, dict[str, Any]]:
    """The settings that are not those of the preset, or else the defaults, by what `--set` calls them.

    What is not ours has defaults that only its import would tell: of it all are there.
    """
    config = _config(run)
    tables = _tables(config)
    names = {table: str(settings.pop("name", "")) for table, settings in tables.items()}
    preset = registry.presets(names.get("env", "")).get(names.get("algorithm", ""), {})
    different: dict[str, dict[str, Any]] = {}
    for table, settings in tables.items():
        declared, tuned = ours()[table].get(names[table], {}), preset.get(table, {})
        for key, value in settings.items():
            usual = (
                {"default": _as_list(plain(declared[key], declared[key].default))} if key in declared else {}
            )
            usual = {"preset": tuned[key]} if key in tuned else usual
            if [value] != list(usual.values()):
                different[setting_name(table, key)] = {"value": value} | usual
    if WRAP in config:
        different[WRAP] = {"value": config[WRAP], "default": wrapping.NONE}
    return different


def _as_list(value: Any) -> Any:
    """A value as TOML gives it back."""
    return [*map(_as_list, value)] if isinstance(value, tuple) else value


def _checkpoints(run: Run) -> list[dict[str, Any]]:
    """The checkpoints, in the order of their steps."""
    rows = []
    for path in sorted((run.path / "checkpoints").glob("*.lerax")):
        row: dict[str, Any] = {"name": path.name, "bytes": found.size_of(path)}
        try:
            with Archive(path) as file:
                row |= {key: file.metadata.get(key) for key in ("steps", "score")}
        except OSError as error:
            row["problem"] = f"cannot be read ({error.strerror})"
        except CheckpointError as error:
            row["problem"] = error.reason
        rows.append(row)
    return rows
