"""`list-backends`, `list-envs` and `list-algos`."""

from importlib.util import find_spec
from typing import Annotated, Any

import typer

from lerax import registry

from . import report

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

REQUIREMENTS = {"tensorboard": "tensorboardX", "console": "rich"}


def backend_rows() -> list[dict[str, Any]]:
    """Name, availability, the reason against it, and purpose of every backend."""
    rows = []
    for entry in registry.BACKENDS.values():
        package = REQUIREMENTS[entry.name]
        missing = find_spec(package) is None
        reason = f"pip install {package}" if missing else None
        rows.append({"name": entry.name, "available": not missing, "reason": reason, "about": entry.about})
    return rows


def list_backends(json: Json = False) -> None:
    """List the logging backends and whether they can be used."""
    rows = backend_rows()
    if json:
        report.result_json(rows)
        return
    cells = [("NAME", "AVAILABLE", "WHAT IT DOES")]
    for row in rows:
        available = "yes" if row["available"] else f"no: {row['reason']}"
        cells.append((row["name"], available, row["about"]))
    report.table(cells)
    report.say("metrics.jsonl is always written into the run directory.")


def list_envs(json: Json = False) -> None:
    """List the environments."""
    _entries(registry.ENVS, json)


def list_algos(
    algorithm: Annotated[
        str | None, typer.Argument(help="Show the settings of this one.", show_default=False)
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
