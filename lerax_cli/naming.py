"""From names, of the command line or a file, to entries of the registry, and on to classes and objects."""

import contextlib
import inspect
import os
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lerax import class_file
from lerax.class_file import FILE, SourceError
from lerax.errors import SettingError
from lerax.named import is_place as is_place
from lerax.named import same as same
from lerax.named import trusted_as as trusted_as
from lerax.names import MODULE, Entry, Kind, UnknownName, hint
from lerax.registry import ENV, POLICY
from lerax.runs import Run
from lerax.runs import find as find_in
from lerax.settings import REQUIRED, Setting, from_plain

from .declared import TABLES, ours, setting_name
from .report import BadInput, Failure
from .values import KEYS, SHORT, Given

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
        name: A name of the registry, or the place of a class: `package.module:Class` or `file.py:Class`.
        trusted: Whether the user's own command line names it. No class is taken from a file by its place.
        option: What of the command line may name it, too.
        error: What is raised.

    Raises:
        Failure: There is none of that name, or it would have to be imported for a file.
    """
    by_place = kind.word in NAMED_BY and _place(where, name, error)
    if by_place:
        if not trusted:
            hint = f"{option or NAMED_BY[kind.word]} {written(name)}"
            raise error(where, f"imported only if the command line names it, too (got {name!r}); add {hint}")
        if kind.behind_door(name):
            return kind.find(name)
        name = _absolute(where, name, error) if FILE.fullmatch(name) else name
        return Entry(name, name, "", source="the command line")
    try:
        return kind.find(name)
    except UnknownName as unknown:
        raise error(where, str(unknown)) from None


def _place(where: str, name: str, error: type[Failure]) -> bool:
    """Whether a name is the place of a class.

    Raises:
        Failure: It is meant to be one, and has another form.
    """
    if is_place(name):
        return True
    if ":" in name and not ENV.behind_door(name):
        forms = "such as my_package.my_module:MyClass or ./my_file.py:MyClass"
        raise error(where, f"not MODULE:CLASS or FILE.py:CLASS (got {name!r}); {forms}")
    return False


def _absolute(where: str, name: str, error: type[Failure]) -> str:
    """The name of a class in a file that means the same in any folder.

    Raises:
        Failure: There is no such file.
    """
    path, cls = class_file.split(name)
    if not path.is_file():
        there = [os.path.relpath(found) for found in sorted(path.parent.glob("*.py"))]
        near = hint(os.path.relpath(path), there) if there else f"there is no file in Python in {path.parent}"
        raise error(where, f"no such file (got {name!r}); {near}")
    return f"{path}:{cls}" if cls else str(path)


def complete(entry: Entry, cls: type) -> Entry:
    """An entry whose name says which class of a file it is, where the user has left that open."""
    if not FILE.fullmatch(entry.name) or class_file.split(entry.name)[1]:
        return entry
    name = f"{entry.name}:{cls.__qualname__}"
    return entry._replace(name=name, target=name)


def of_package(env: str | None, package: str | None) -> str | None:
    """The name of an environment of Gymnasium that a package registers.

    Args:
        env: The environment as it was named.
        package: The package, or a module of it; None where nothing has to be imported first.

    Raises:
        BadInput: It is no environment of Gymnasium, or the package no name of one.
    """
    if package is None:
        return env
    prefix, _, id = (env or "").partition(":")
    if prefix != "gymnasium" or not id:
        raise BadInput("--env-package", f"is for an environment of Gymnasium (got {env!r}); gymnasium:ID")
    if not MODULE.fullmatch(package):
        raise BadInput("--env-package", f"not a package (got {package!r}); such as my_package or its module")
    return f"{prefix}:{package}:{id}"


def written(name: str) -> str:
    """A name as one would write it here: a file that lies in this folder by a short path."""
    if not FILE.fullmatch(name):
        return name
    path, cls = class_file.split(name)
    short = f"./{path.relative_to(here)}" if path.is_relative_to(here := Path.cwd()) else str(path)
    return shlex.quote(f"{short}:{cls}" if cls else short)


def label(name: str) -> str:
    """A name for files: of a class by its place, the class, or the file that it is in."""
    return name.rpartition(":")[2].rpartition("/")[2].removesuffix(".py")


def trusting(names: Iterable[str]) -> str:
    """The options with which a command takes a run's own classes; "" where it has none."""
    return "".join(f" --trust {written(name)}" for name in names if is_place(name))


def run_again(run: Path) -> str:
    """What a command takes for a run: its name where it is in `logs`, else its path."""
    return shlex.quote(run.name if run.parent == Path("logs") else str(run))


def training_again(names: Iterable[str], config: str | Path) -> str:
    """The command that trains as a run was trained.

    Args:
        names: Those of its environment, algorithm and policy: with a config, whoever trains on classes of
            their own names them as well.
        config: Its config.
    """
    named = zip(("", "--algo ", "--policy "), names, strict=False)
    again = "".join(f"{option}{written(name)} " for option, name in named if is_place(name))
    return f"lerax train {again}--config {shlex.quote(str(config))}"


def find_run(where: str, text: str, out: str) -> Run:
    """The run that RUN names: a path, or of the runs in a folder a name, its beginning, latest or best:ENV.

    Raises:
        BadInput: There is none, or more than one.
    """
    try:
        return find_in(text, out)
    except SettingError as error:
        raise BadInput(where, error.reason) from None


@contextlib.contextmanager
def looking_here(names: Iterable[str]) -> Iterator[None]:
    """While classes of such names are imported: their modules may lie in the current folder."""
    by_module = any(is_place(name) and not FILE.fullmatch(name) for name in names)
    if by_module and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m` does
    with contextlib.redirect_stdout(sys.stderr):  # standard output is for results alone
        yield


def load(where: str, kind: Kind, entry: Entry) -> Any:
    """The class of an entry; what the command line names by its place may lie in the current directory.

    Raises:
        BadInput: It cannot be imported, or is none.
    """
    if not entry.source:
        return entry.load()
    try:
        with looking_here([entry.name]):
            return kind.load(entry)
    except SourceError as error:
        raise BadInput(where, str(error)) from error
    except (Exception, SystemExit) as error:  # others' code may raise what it likes
        what = f"not available (got {entry.name!r}); {type(error).__name__}: {error}"
        raise BadInput(where, what) from error


def default_policy(where: str, algorithm: Any) -> Entry:
    """The policy that an algorithm's class trains where none is named."""
    return find(f"{where}: default_policy", POLICY, algorithm.default_policy, trusted=True)


def make(where: str, cls: Any, values: dict[str, Any], given: dict[str, Given]) -> Any:
    """Makes an environment, a policy or an algorithm of its settings.

    Args:
        where: Where it was named.
        cls: Its class, or a function that takes the settings.
        values: The settings.
        given: Those that were given, and where.

    Raises:
        BadInput: A setting does not fit the others, or what it names is not there.
    """
    try:
        return cls(**values)
    except SettingError as error:
        source = given.get(error.name)
        raise BadInput(f"{source.where}: {source.name}" if source else error.name, error.reason) from None
    except (ValueError, TypeError, LookupError, OSError, ImportError) as error:
        raise BadInput(where, f"{str(error) or type(error).__name__}{_unbound(cls, values)}") from error
    except Exception as error:  # others' code may raise what it likes
        raise BadInput(where, f"{type(error).__name__}: {error}") from error


def _unbound(cls: Any, values: dict[str, Any]) -> str:
    """What to do where a class cannot be called with its settings; "" where it can."""
    try:
        inspect.signature(cls).bind(**values)
    except TypeError:
        takes = f"such as ({', '.join(f'{name}=...' for name in values)})" if values else "here none"
        return f"; its __init__ has to take each of its settings by name and need nothing more, {takes}"
    except ValueError:  # it has no signature
        pass
    return ""


def no_run(where: str, env: str) -> str:
    """The name of an environment, unless it is that of a run, which its config repeats."""
    config = next((path for path in (env, os.path.join(env, "config.toml")) if os.path.isfile(path)), None)
    if config is not None and config.endswith(".toml"):
        raise BadInput(
            where, f"not an environment (got {env!r}); `lerax train --config {config}` repeats a run"
        )
    return env


def resolve(
    table: str,
    entry: Entry,
    declared: dict[str, Setting],
    given: dict[str, Given],
    beside: Mapping[str, Iterable[str]] | None = None,
) -> dict[str, Any]:
    """Every setting of something: the given ones converted to their types, and the others' defaults.

    Args:
        table: Its table.
        entry: It.
        declared: Its settings.
        given: Those that were given.
        beside: The names of the settings of what is beside it in a training, by table.

    Raises:
        BadInput: One is unknown, of the wrong type, out of range, or missing.
    """
    what = entry.name if ENV.behind_door(entry.name) else entry.target.rpartition(":")[2]
    values = {name: setting.default for name, setting in declared.items()}
    for key, (value, where, name) in given.items():
        if key not in declared:
            better = _elsewhere(name.partition(".")[0], key, where)
            better = better or _of_others(table, key, declared, beside or {})
            raise BadInput(where, f"{name}: {what} has no such setting; {better}")
        try:
            values[key] = declared[key].convert(from_plain(declared[key], value))
        except SettingError as error:
            raise BadInput(f"{where}: {name}", error.reason) from None
    missing = [name for name, value in values.items() if value is REQUIRED]
    if missing:
        written = " ".join(f"--set {setting_name(table, name)}={declared[name].written}" for name in missing)
        raise BadInput(what, f"has no default for {', '.join(missing)}; give for example {written}")
    return values


def _of_others(
    table: str, key: str, declared: dict[str, Setting], beside: Mapping[str, Iterable[str]]
) -> str:
    """What to say of a setting that something does not have: what else does, or else what comes close."""
    for other, names in beside.items():
        if other != table and key in names:
            return f"it is one of the {TABLES[other].word}: {setting_name(other, key)}"
    owners = [name for name, rows in ours()[table].items() if key in rows]
    if table == "algorithm" and owners:
        return f"it is one of {', '.join(owners)}: add --algo {owners[0]}"
    return hint(key, declared)


def _elsewhere(table: str, key: str, where: str) -> str:
    """Where something belongs that is no setting of a class but one of the training; "" for anything else."""
    if key == "name" or key in SHORT:
        table = SHORT.get(key, table)
        return {"env": "it is the argument ENV", "policy": "it is the option --policy"}.get(
            table, "it is the option --algo"
        )
    if key not in KEYS:
        return ""
    if where == "--config":
        return f"in a config {key} stands above all tables"
    if key == "score":
        return "it stands in a config, above all tables"
    return f"it is the option --{key.replace('_', '-')}"
