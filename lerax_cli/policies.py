"""Which environment and which policies are to be shown, and what is in a policy's file."""

import os
from pathlib import Path
from typing import Any, NamedTuple

from lerax import registry
from lerax.archive.folder import SUFFIX
from lerax.errors import SettingError
from lerax.files import read_toml
from lerax.named import table_of
from lerax.names import Entry, Kind, UnknownName
from lerax.runs import CONFIG, UnknownRun, read
from lerax.runs import find as find_run
from lerax.runs.loaded import LAST, policies_of, why_no_policy
from lerax.settings import settings_of

from . import naming, wrapping
from .declared import WRAP
from .report import BadInput, Failure
from .values import Given, wraps_in

RANDOM = "random"


class Source(NamedTuple):
    """Where a policy comes from.

    Attributes:
        label: What to call it.
        path: Its file; None for the random policy.
    """

    label: str
    path: Path | None


class Subject(NamedTuple):
    """What is to be shown.

    Attributes:
        env: The environment's entry.
        settings: What the run has set of it, by name.
        run: The run's directory; None for an environment.
        policies: Files of policies that go with it.
        trusted: Classes that may be imported although only a file names them.
        wraps: The wrappers around the environment, the innermost first.
    """

    env: Entry
    settings: dict[str, Given]
    run: Path | None
    policies: list[str]
    trusted: list[str]
    wraps: tuple[wrapping.Wrap, ...] = ()


def find_subject(text: str, trusted: list[str], out: str) -> Subject:
    """What ENV|RUN|FILE names: an environment, a run, or a policy's file.

    Args:
        text: What was given.
        trusted: Classes that may be imported although only a file names them.
        out: The folder that holds the runs.

    Raises:
        BadInput: It is none of them.
        Failure: The run's config cannot be read, or the file is no policy.
    """
    where = "ENV|RUN"
    if naming.is_place(text):
        return Subject(naming.find(where, registry.ENV, text, trusted=True), {}, None, [], trusted)
    try:
        return Subject(registry.ENV.find(text), {}, None, [], trusted)
    except UnknownName as unknown:
        return find_run_or_policy(where, text, trusted, out, unknown)


def find_run_or_policy(
    where: str, text: str, trusted: list[str], out: str, no_env: UnknownName | None = None
) -> Subject:
    """What RUN|FILE names: a run, with its environment and its policies, or a policy's file.

    Args:
        where: What to call it in an error.
        text: What was given.
        trusted: Classes that may be imported although only a file names them.
        out: The folder that holds the runs.
        no_env: Why it is no environment, where it might have been one.

    Raises:
        BadInput: It is neither.
        Failure: The run's config cannot be read, or the file is no policy.
    """
    if os.path.isfile(text):
        path = Path(text)
        (name, settings, wraps), said, around = _env_of(where, path), str(path), f"{path}: {WRAP}"
        run, own, error = None, [text], Failure
    else:
        try:
            run = find_run(text, out).path
        except UnknownRun as unknown:
            what = f"neither a run nor a policy's file (got {text!r}); {unknown.hint}"
            if no_env is not None:
                what = (
                    f"neither an environment nor a run nor a policy's file: {no_env}; of runs: {unknown.hint}"
                )
            raise BadInput(where, what) from None
        except SettingError as refused:
            raise BadInput(where, refused.reason) from None
        name, settings, wraps = _env_of_run(where, run)
        said, around = (f"{run / CONFIG}: {key}" for key in ("env", WRAP))
        own, error = [], BadInput
    entry = find_trusted(said, registry.ENV, name, trusted, error)
    found = wrapping.find(around, wraps_in(around, wraps), error)
    return Subject(entry, {key: Given(v, said, key) for key, v in settings.items()}, run, own, trusted, found)


def find_trusted(
    where: str, kind: Kind, name: str, trusted: list[str], error: type[Failure] = Failure
) -> Entry:
    """The entry of a name in a file; a class is taken by its place if the command line trusts it."""
    own = naming.trusted_as(name, trusted)
    return naming.find(where, kind, own or name, trusted=own is not None, option="--trust", error=error)


def _env_of_run(where: str, run: Path) -> tuple[str, dict[str, Any], Any]:
    """The name of a run's environment, its settings, and the wrappers around it."""
    if not (run / CONFIG).is_file():
        raise BadInput(where, f"not the directory of a run: it has no {CONFIG} (got {str(run)!r})")
    try:
        config = read_toml(run / CONFIG)
        return *table_of(config, "env"), config.get(WRAP, [])
    except (OSError, ValueError) as error:
        raise Failure(str(run / CONFIG), f"names no environment ({error})") from None


def _env_of(where: str, path: Path) -> tuple[str, dict[str, Any], Any]:
    """The name of the environment that a policy's file was made for, its settings, and its wrappers."""
    from lerax import checkpoint

    try:
        metadata = checkpoint.read_metadata(path)
        if not isinstance(metadata["env"], str):
            raise TypeError
        return metadata["env"], dict(metadata.get("env_settings", {})), metadata.get(WRAP, [])
    except OSError as error:
        raise Failure(str(path), f"cannot be read ({error.strerror})") from None
    except checkpoint.CheckpointError as error:
        run = path.parent
        if path.suffix != ".eqx" and (run / CONFIG).is_file():
            give = f"give {run}" + (f" or {run / LAST}" if (run / LAST).is_file() else "")
            raise BadInput(where, f"a file of a run, and no policy (got {str(path)!r}); {give}") from None
        raise Failure(str(path), error.reason) from None
    except (KeyError, TypeError, ValueError, AttributeError):
        run = path.parent.parent
        if path.suffix == SUFFIX and (run / CONFIG).is_file():
            raise BadInput(where, f"a checkpoint, and no policy (got {str(path)!r}); give {run}") from None
        hint = "" if where == "RUN" else "; give one, and this file as --policy"
        raise Failure(str(path), f"its metadata name no environment{hint}") from None


def find_sources(given: list[str], run: Path | None, grid: bool) -> list[Source]:
    """The policies to show: those that were named, else the run's last one (for a grid all), else random.

    Raises:
        BadInput: One is not there, or their number does not fit.
    """
    if not given:
        known = policies_of(run) if run else {}
        given = list(known) if grid and known else ["last"] if run else [RANDOM]
    sources = [_source("--policy", name, run) for name in given]
    if grid and len(sources) < 2:
        raise BadInput("--grid", f"needs at least two policies (got {given[0]}); repeat --policy")
    if not grid and len(sources) > 1:
        raise BadInput("--policy", f"one is enough without --grid (got {', '.join(given)})")
    return sources


def last(where: str, subject: Subject) -> Source:
    """The policy's file that was given, or the last one of the run.

    Raises:
        BadInput: The run has none.
    """
    return _source(where, subject.policies[0] if subject.policies else "last", subject.run)


def make_env(
    where: str, entry: Entry, settings: dict[str, Given], wraps: tuple[wrapping.Wrap, ...] = ()
) -> Any:
    """An environment with the settings and wrappers that were given or that a file has.

    Raises:
        BadInput: It cannot be imported, or a setting is wrong.
    """
    cls = naming.load(where, registry.ENV, entry)
    values = naming.resolve("env", entry, settings_of(cls), settings)
    return wrapping.around(naming.make(where, cls, values, settings), wraps)[0]


def load(source: Source, env: Any, subject: Subject, where: str = "--policy") -> Any:
    """A policy from its file, whose metadata say what it is; its class is looked up by name.

    Args:
        source: Where it comes from.
        env: The environment that it was made for.
        subject: What goes with it.
        where: What to call the file's place in an error.

    Raises:
        BadInput: It was made for another environment.
        Failure: The file is damaged, or holds no policy of a class that is known.
    """
    from lerax import checkpoint
    from lerax.policy import RandomPolicy, saving

    path = source.path
    if path is None:
        return RandomPolicy(env)
    try:
        metadata = checkpoint.read_metadata(path)
        if not (isinstance(metadata, dict) and isinstance(metadata.get("policy"), str)):
            raise ValueError("holds no policy (its metadata name none)")
        made_for = metadata.get("env", env.name)
        if made_for != env.name and not naming.same(made_for, subject.env.name):
            what = f"{path} is of another environment (expected {subject.env.name}, got {made_for})"
            raise BadInput(where, what)
        entry = find_trusted(f"{where}: {path}", registry.POLICY, metadata["policy"], subject.trusted)
        cls = naming.load(where, registry.POLICY, entry)
        return checkpoint.load(path, saving.blank(cls, env, saving.settings_in(cls, metadata)))
    except checkpoint.MisfitError as error:
        wrapped = not subject.wraps and checkpoint.read_metadata(path).get(WRAP)
        way = f"; its environment has wrappers: give {path} in place of {env.name}" if wrapped else ""
        raise Failure(where, f"{error}{way}") from error
    except checkpoint.CheckpointError as error:
        raise Failure(where, str(error)) from error
    except (ValueError, TypeError, UnknownName) as error:
        raise Failure(where, f"{path}: {error}") from error
    except OSError as error:
        raise Failure(where, f"{path} cannot be read ({error.strerror})") from None


def _source(where: str, name: str, run: Path | None) -> Source:
    if name == RANDOM:
        return Source(RANDOM, None)
    known = policies_of(run) if run else {}
    label = name.removesuffix(".eqx")
    if label in known:
        return Source(label, known[label])
    path = Path(name)
    if os.path.isfile(name):
        return Source(path.parent.resolve().name if path.name == LAST else path.stem, path)
    if (path / CONFIG).is_file():
        others = policies_of(path)
        last = f"give one of its policies, such as {[*others.values()][-1]}" if others else ""
        what = last or why_no_policy(read(path))
        raise BadInput(where, f"the directory of a run (got {name!r}); {what}")
    if name == "last" and run:
        raise BadInput(where, f"{why_no_policy(read(run))} (got {str(run)!r})")
    choices = ", ".join([*known, RANDOM])
    raise BadInput(where, f"no such policy (got {name!r}); allowed: {choices}, or a policy's file")
