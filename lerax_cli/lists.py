"""`list-backends`, `list-envs` and `list-algos`."""

from typing import Annotated, Any

import typer

from lerax import registry

from . import report, words

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def list_backends(json: Json = False) -> None:
    """List the logging backends, whether they can be used, and where they write."""
    reasons = {entry: registry.obstacle(entry) for entry in registry.backends().values()}
    if json:
        rows = [
            {"name": e.name, "available": not why, "reason": why, "about": e.about, "writes": e.writes}
            for e, why in reasons.items()
        ]
        report.result_json(rows)
        return
    cells = [("NAME", "AVAILABLE", "WHAT IT IS", "WHERE IT WRITES")]
    for entry, why in reasons.items():
        cells.append((entry.name, f"no: {why}" if why else "yes", entry.about, entry.writes))
    report.table(cells)
    report.say("RUN is the run's directory, by default in logs/.")


def list_envs(json: Json = False) -> None:
    """List the environments."""
    _entries(registry.ENVS, json)


def list_algos(
    algorithm: Annotated[
        str | None,
        typer.Argument(
            help="Show the settings of this one.", show_default=False, autocompletion=words.algorithms
        ),
    ] = None,
    json: Json = False,
) -> None:
    """List the algorithms, or the settings of one of them."""
    if algorithm is None:
        _entries(registry.ALGORITHMS, json)
        return
    from .options import find, settings_tables

    entry = find("ALGORITHM", "algorithm", registry.ALGORITHMS, algorithm)
    tables = settings_tables(entry)
    if json:
        rows = {
            name: {"type": s.type_name, "default": s.default, "allowed": s.allowed, "help": s.help}
            for name, s in tables.items()
        }
        report.result_json(rows)
        return
    cells = [("SETTING", "TYPE", "DEFAULT", "ALLOWED", "WHAT IT DOES")]
    for name, s in tables.items():
        cells.append((name, s.type_name, _shown(s.default), s.allowed, s.help))
    report.table(cells)
    report.say("Set one with: lerax train ENV --set NAME=VALUE")


def _entries(entries: dict[str, registry.Entry], json: bool) -> None:
    if json:
        report.result_json([{"name": e.name, "about": e.about} for e in entries.values()])
    else:
        report.table([("NAME", "WHAT IT IS"), *[(e.name, e.about) for e in entries.values()]])


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(list(value)) if isinstance(value, tuple) else str(value)
