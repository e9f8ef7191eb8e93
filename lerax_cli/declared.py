"""What can be set of an environment, a policy or an algorithm: of ours it is known without importing JAX."""

import functools
import json
from importlib import resources
from typing import Any

from lerax.named import WRAP as WRAP
from lerax.names import Entry
from lerax.registry import ALGORITHM, ENV, POLICY, WRAPPER
from lerax.settings import REQUIRED, Limits, Setting, from_plain, plain, settings_of

TABLES = {"env": ENV, "algorithm": ALGORITHM, "policy": POLICY}
"""What a training has one of, with settings, by the name of its table in a config."""
KINDS = TABLES | {WRAP: WRAPPER}
"""All that has settings."""
FILE = "settings.json"  # written by completions/generate.py
ACTIONS = "actions"  # its table of kinds of actions
Known = dict[str, dict[str, dict[str, Setting]]]


def is_ours(table: str, entry: Entry) -> bool:
    """Whether the settings are known without an import."""
    return KINDS[table].entries.get(entry.name) is entry


def declared(table: str, entry: Entry) -> dict[str, Setting]:
    """The settings by name.

    Raises:
        Exception: Whatever the import of what is not ours raises.
    """
    return ours()[table][entry.name] if is_ours(table, entry) else settings_of(KINDS[table].load(entry))


def from_classes() -> Known:
    """All settings of ours, by table and by name, from the classes themselves."""
    return {
        table: {name: settings_of(entry.load()) for name, entry in kind.entries.items()}
        for table, kind in KINDS.items()
    }


@functools.cache
def ours() -> Known:
    """The same from the file."""
    return {
        table: {
            name: {key: _setting(key, **row) for key, row in rows.items()}
            for name, rows in _content()[table].items()
        }
        for table in KINDS
    }


def action_kinds(table: str, entry: Entry) -> tuple[str, ...] | None:
    """Kinds of actions, such as `Box`: that of an environment, or those that an algorithm fits.

    None where only an import would tell.
    """
    return tuple(_content()[ACTIONS][table][entry.name]) if is_ours(table, entry) else None


@functools.cache
def _content() -> dict[str, Any]:
    return json.loads((resources.files("lerax_cli") / FILE).read_text("utf-8"))


def text(known: Known, actions: dict[str, dict[str, list[str]]]) -> str:
    """What the file holds: settings, and kinds of actions."""
    write = lambda settings: {name: _row(s) for name, s in settings.items()}
    rows = {table: {name: write(s) for name, s in found.items()} for table, found in known.items()}
    return json.dumps(rows | {ACTIONS: actions}, indent=1) + "\n"


def setting_name(table: str, key: str) -> str:
    """What `--set` calls a setting: those of the algorithm go without their table, as those of `--wrap`."""
    return key if table in ("algorithm", WRAP) else f"{table}.{key}"


def _row(declared: Setting) -> dict[str, Any]:
    limits = {name: limit for name, limit in declared.limits._asdict().items() if limit not in (None, ())}
    usual = {} if declared.default is REQUIRED else {"default": plain(declared, declared.default)}
    return {"help": declared.help, "kind": declared.type_name} | usual | limits


def _setting(name: str, help: str, kind: str, default: Any = REQUIRED, **limits: Any) -> Setting:
    limits["choices"] = tuple(limits.get("choices", ()))
    found = Setting(name, default, help, Limits(**limits), kind)
    if default is REQUIRED:
        return found
    return found._replace(default=found.convert(from_plain(found, default)))
