"""From names, of the command line or a file, to entries of the registry, and on to classes."""

import os
import sys
from typing import Any

from lerax.registry import OBJECT, POLICY, Entry, Kind, UnknownName

from .report import BadInput, Failure

NAMED_BY = {"environment": "ENV", "algorithm": "--algo", "policy": "--policy"}
"""What of the command line names a class, which a file must not."""


def find(
    where: str,
    kind: Kind,
    name: str,
    *,
    trusted: bool = False,
    option: str = "",
    error: type[Failure] = BadInput,
) -> Entry:
    """The entry of a name.

    Args:
        where: What to call the name's place in an error.
        kind: What is named.
        name: A name of the registry, or the place of a class: `package.module:Class`.
        trusted: Whether the user's own command line names it. No class is taken from a file by its place.
        option: What of the command line may name it, too.
        error: What is raised.

    Raises:
        Failure: There is none of that name, or it would have to be imported for a file.
    """
    if OBJECT.fullmatch(name):
        if not trusted:
            hint = f"{option or NAMED_BY[kind.word]} {name}"
            raise error(where, f"imported only if the command line names it, too (got {name!r}); add {hint}")
        return Entry(name, name, "", source="the command line")
    try:
        return kind.find(name)
    except UnknownName as unknown:
        raise error(where, str(unknown)) from None


def load(where: str, kind: Kind, entry: Entry) -> Any:
    """The class of an entry; what the command line names by its place may lie in the current directory.

    Raises:
        BadInput: It cannot be imported, or is none.
    """
    if not entry.source:
        return entry.load()
    if entry.name == entry.target and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m` does
    try:
        return kind.load(entry)
    except (Exception, SystemExit) as error:  # others' code may raise what it likes
        what = f"not available (got {entry.name!r}); {type(error).__name__}: {error}"
        raise BadInput(where, what) from error


def default_policy(where: str, algorithm: Any) -> Entry:
    """The policy that an algorithm's class trains where none is named."""
    return find(f"{where}: default_policy", POLICY, algorithm.default_policy, trusted=True)
