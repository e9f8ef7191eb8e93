"""`list-backends`, `list-envs`, `list-policies` and `list-algos`."""

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import typer

from lerax.names import Entry, Kind
from lerax.registry import ALGORITHM, BACKEND, POLICIES, obstacle
from lerax.settings import REQUIRED, Setting, settings_of

from . import naming, report, words
from .declared import TABLES, declared, is_ours, plain, setting_name

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def _argument(complete: Any) -> Any:
    return typer.Argument(help="Show the settings of this one.", show_default=False, autocompletion=complete)


def list_backends(json: Json = False) -> None:
    """List the logging backends, whether they can be used, and where they write."""
    reasons = _reasons(BACKEND)
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


def list_envs(env: Annotated[str | None, _argument(words.envs)] = None, json: Json = False) -> None:
    """List the environments, or the settings of one of them."""
    _list("env", "ENV", env, json)


def list_policies(
    policy: Annotated[str | None, _argument(words.trainable)] = None, json: Json = False
) -> None:
    """List the policies that can be trained, or the settings of one of them."""
    _list("policy", "POLICY", policy, json)


def list_algos(
    algorithm: Annotated[str | None, _argument(words.algorithms)] = None, json: Json = False
) -> None:
    """List the algorithms, or the settings of one of them and of the policy that it trains."""
    _list("algorithm", "ALGORITHM", algorithm, json)


def _list(table: str, where: str, name: str | None, json: bool) -> None:
    kind = TABLES[table]
    if name is None:
        _list_entries(kind, json)
    else:
        _list_settings(_settings(table, where, naming.find(where, kind, name, trusted=True)), json)


def _reasons(kind: Kind) -> dict[Entry, str | None]:
    """All of a kind, and why they cannot be used."""
    entries = kind.known().values()
    with ThreadPoolExecutor() as pool:  # a plugin is tried in a process of its own
        return dict(zip(entries, pool.map(lambda entry: obstacle(entry, kind), entries), strict=True))


def _list_entries(kind: Kind, json: bool) -> None:
    reasons = _reasons(kind)
    if json:
        rows = [
            {"name": e.name, "about": e.about, "available": not why, "reason": why}
            for e, why in reasons.items()
        ]
        report.result_json(rows)
        return
    about = lambda entry, why: f"not available: {why}" if why else entry.about
    report.table([("NAME", "WHAT IT IS"), *[(e.name, about(e, why)) for e, why in reasons.items()]])


def _settings(table: str, where: str, entry: Entry) -> dict[str, Setting]:
    """The settings of an entry, and those of an algorithm's policy, by the names that `--set` takes."""
    if is_ours(table, entry):
        found, policy = declared(table, entry), POLICIES.get(entry.policy)
    else:
        cls = naming.load(where, TABLES[table], entry)
        found = settings_of(cls)
        policy = naming.default_policy(where, cls) if TABLES[table] is ALGORITHM else None
    named = {setting_name(table, name): s for name, s in found.items()}
    return named | (_settings("policy", where, policy) if policy else {})


def _list_settings(settings: dict[str, Setting], json: bool) -> None:
    if json:
        rows = {
            name: {
                "type": s.type_name,
                "default": _as_json(_default(s)),
                "allowed": s.allowed,
                "help": s.help,
            }
            for name, s in settings.items()
        }
        report.result_json(rows)
        return
    cells = [("SETTING", "TYPE", "DEFAULT", "ALLOWED", "WHAT IT DOES")]
    for name, s in settings.items():
        cells.append((name, s.type_name, _shown(_default(s)), s.allowed, s.help))
    report.table(cells)
    report.say("Set one with: lerax train ENV --set SETTING=VALUE")


def _default(setting: Setting) -> Any:
    return "" if setting.default is REQUIRED else plain(setting, setting.default)


def _as_json(value: Any) -> Any:
    """A default as JSON has it, which knows no infinity."""
    if isinstance(value, tuple):
        return [_as_json(item) for item in value]
    return str(value) if isinstance(value, float) and math.isinf(value) else value


def _shown(value: Any) -> str:
    """A default as `--set` takes it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {_shown(item)}" for name, item in value.items()) + "}"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_shown, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)
