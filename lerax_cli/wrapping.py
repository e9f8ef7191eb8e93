"""The wrappers around the environment: from names and values to objects."""

import functools
from typing import Any, NamedTuple

from lerax.names import OBJECT, Entry, hint
from lerax.registry import WRAPPER
from lerax.settings import REQUIRED, Setting, plain, settings_of

from . import naming
from .declared import WRAP, declared, is_ours
from .report import BadInput, Failure
from .values import Given, as_text

NONE = "none"
OF_FUNCTIONS = ("transform_action", "transform_observation", "transform_reward")
SAME_TASK = (  # what is rewarded, and how much of it can be reached, is with them what it was
    "identity",
    "clip_action",
    "rescale_action",
    "clip_observation",
    "rescale_observation",
    "flatten_observation",
    "frame_stack",
)


class Wrap(NamedTuple):
    """A wrapper that was named.

    Attributes:
        entry: Its entry.
        value: Its settings by name, or the first one's value, or a list of those of the first ones.
        where: What to call its place in an error.
    """

    entry: Entry
    value: Any
    where: str

    def given(self, known: dict[str, Setting]) -> dict[str, Given]:
        """Its settings by name.

        Args:
            known: Those that it has.

        Raises:
            BadInput: It has none of a name, or not so many, or one without a default is not given.
        """
        named, name = self.value, self.entry.name
        if not isinstance(named, dict):
            values = named if isinstance(named, list) else [named]
            if len(values) > len(known):
                has = "it has " + (", ".join(known) or "no settings")
                raise BadInput(self.where, f"{name}: too many values (got {as_text(named)}); {has}")
            named = dict(zip(known, values, strict=False))
        for key in named:
            if key not in known:
                near = hint(key, known) if known else "it has none"
                raise BadInput(self.where, f"{name}.{key}: {name} has no such setting; {near}")
        if missing := [key for key, s in known.items() if s.default is REQUIRED and key not in named]:
            parts = ", ".join(f"{key} = {known[key].written}" for key in missing)
            example = f"{name}={known[missing[0]].written}" if len(known) == 1 else f"'{name}={{{parts}}}'"
            what = f"has no default for {', '.join(missing)}; give for example --wrap {example}"
            raise BadInput(self.where, f"{name}: {what}")
        return {key: Given(value, self.where, f"{name}.{key}") for key, value in named.items()}

    def values(self, known: dict[str, Setting]) -> dict[str, Any]:
        """All its settings, converted to their types, defaults included.

        Raises:
            BadInput: One is unknown, of the wrong type, out of range, or missing.
        """
        return naming.resolve(WRAP, self.entry, known, self.given(known))


def find(where: str, named: list[tuple[str, Any]], error: type[Failure] = BadInput) -> tuple[Wrap, ...]:
    """Wrappers by name; of ours the settings are checked, too.

    Args:
        where: What to call their place in an error.
        named: Name and value of each, the innermost first.
        error: What is raised of a name.

    Raises:
        Failure: There is none of a name, or it cannot be named.
        BadInput: A setting is wrong.
    """
    names = [name for name, _ in named]
    if NONE in names:
        if len(names) > 1:
            raise BadInput(where, f"none excludes all others (got {', '.join(names)})")
        return ()
    found = tuple(Wrap(_entry(where, name, error), value, where) for name, value in named)
    for wrap in found:
        if is_ours(WRAP, wrap.entry):
            wrap.values(declared(WRAP, wrap.entry))
    return found


def _entry(where: str, name: str, error: type[Failure]) -> Entry:
    if name.lower() in OF_FUNCTIONS or OBJECT.fullmatch(name):
        what = "no name of a wrapper" if ":" in name else "takes a Python function, which has no name here"
        way = "wrap it in an environment of your own: lerax train MODULE:CLASS"
        raise error(where, f"{what} (got {name!r}); {way}")
    return naming.find(where, WRAPPER, name, error=error)


def task(wraps: tuple[Wrap, ...]) -> list[tuple[str, Any]]:
    """What of the wrappers decides on what can be reached; those of others are taken to do so."""
    return [
        (
            wrap.entry.name,
            wrap.values(declared(WRAP, wrap.entry)) if is_ours(WRAP, wrap.entry) else wrap.value,
        )
        for wrap in wraps
        if wrap.entry.source or wrap.entry.name not in SAME_TASK
    ]


def around(env: Any, wraps: tuple[Wrap, ...]) -> tuple[Any, list[dict[str, Any]]]:
    """An environment with its wrappers around it, and these as a file has them.

    Raises:
        BadInput: One cannot be imported, does not fit, or a setting is wrong.
    """
    tables = []
    for wrap in wraps:
        entry, where = wrap.entry, wrap.where
        cls = naming.load(where, WRAPPER, entry)
        known = settings_of(cls)
        values, given = wrap.values(known), wrap.given(known)
        given |= {cls.__name__: Given(None, where, entry.name)}  # by which it is called where it does not fit
        env = naming.make(f"{where}: {entry.name}", functools.partial(cls, env), values, given)
        tables.append({"name": entry.name} | {key: plain(known[key], value) for key, value in values.items()})
    return env, tables


def said(tables: list[dict[str, Any]]) -> str:
    """The wrappers in a line."""
    settings = lambda table: ", ".join(
        f"{key}={as_text(value)}" for key, value in table.items() if key != "name"
    )
    return ", ".join(f"{table['name']}({settings(table)})" for table in tables)
