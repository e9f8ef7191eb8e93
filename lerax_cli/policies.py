"""Which environment and which policies are to be shown, and what is in a policy's file."""

import os
from pathlib import Path
from typing import Any, NamedTuple

from lerax import registry
from lerax.files import read_toml
from lerax.run import read_facts

from . import options
from .report import BadInput, Failure

RANDOM = "random"
CONFIG, LAST, BEST, CHECKPOINTS = "config.toml", "policy.eqx", "best.eqx", "checkpoints"


class Source(NamedTuple):
    """Where a policy comes from.

    Attributes:
        label: What to call it.
        path: Its file; None for the random policy.
    """

    label: str
    path: Path | None


def find_subject(text: str) -> tuple[registry.Entry, Path | None, list[str]]:
    """What ENV|RUN|FILE names: an environment, the directory of a run, and the policies that go with it.

    Raises:
        BadInput: It is none of them.
        Failure: The run's config cannot be read, or the file is no policy.
    """
    try:
        return registry.find("environment", registry.ENVS, text), None, []
    except registry.UnknownName as unknown:
        if os.path.isfile(text):
            return _env_of(Path(text)), None, [text]
        if not os.path.isdir(text):
            what = f"neither an environment nor the directory of a run nor a policy's file: {unknown}"
            raise BadInput("ENV|RUN", what) from None
    path = Path(text)
    if not (path / CONFIG).is_file():
        raise BadInput("ENV|RUN", f"not the directory of a run: it has no {CONFIG} (got {text!r})")
    try:
        env = read_toml(path / CONFIG)["env"]
    except (OSError, ValueError, KeyError) as error:
        raise Failure(str(path / CONFIG), f"names no environment ({error})") from None
    return options.find(f"{path / CONFIG}: env", "environment", registry.ENVS, str(env)), path, []


def _env_of(path: Path) -> registry.Entry:
    """The environment that a policy's file was made for."""
    from lerax import checkpoint

    try:
        metadata = checkpoint.read_metadata(path)
        return registry.find("environment", registry.ENVS, metadata["env"])
    except OSError as error:
        raise Failure(str(path), f"cannot be read ({error.strerror})") from None
    except registry.UnknownName as error:
        raise Failure(str(path), str(error)) from None
    except checkpoint.CheckpointError as error:
        run = path.parent
        if path.suffix != ".eqx" and (run / CONFIG).is_file():
            give = f"give {run}" + (f" or {run / LAST}" if (run / LAST).is_file() else "")
            raise BadInput("ENV|RUN", f"a file of a run, and no policy (got {str(path)!r}); {give}") from None
        raise Failure(str(path), error.reason) from None
    except (KeyError, TypeError, AttributeError):
        raise Failure(
            str(path), "its metadata name no environment; give one, and this file as --policy"
        ) from None


def find_sources(given: list[str], run: Path | None, grid: bool) -> list[Source]:
    """The policies to show: those that were named, else the run's last one (for a grid all), else random.

    Raises:
        BadInput: One is not there, or their number does not fit.
    """
    if not given:
        known = known_policies(run) if run else {}
        given = list(known) if grid and known else ["last"] if run else [RANDOM]
    sources = [_source(name, run) for name in given]
    if grid and len(sources) < 2:
        raise BadInput("--grid", f"needs at least two policies (got {given[0]}); repeat --policy")
    if not grid and len(sources) > 1:
        raise BadInput("--policy", f"one is enough without --grid (got {', '.join(given)})")
    return sources


def load(source: Source, env: Any) -> Any:
    """A policy from its file, whose metadata say what it is; its class is looked up by name.

    Raises:
        BadInput: It was made for another environment.
        Failure: The file is damaged, or holds no policy of a class that is known.
    """
    from lerax import checkpoint
    from lerax.policy import RandomPolicy

    path = source.path
    if path is None:
        return RandomPolicy(env)
    try:
        metadata = checkpoint.read_metadata(path)
        if not (isinstance(metadata, dict) and isinstance(metadata.get("policy"), str)):
            raise ValueError("holds no policy (its metadata name none)")
        made_for = metadata.get("env", env.name)
        if made_for != env.name:
            what = f"{path} is of another environment (expected {env.name}, got {made_for})"
            raise BadInput("--policy", what)
        return checkpoint.load(path, _form(metadata, env))
    except checkpoint.CheckpointError as error:
        raise Failure("--policy", str(error)) from error
    except (ValueError, TypeError, registry.UnknownName) as error:
        raise Failure("--policy", f"{path}: {error}") from error
    except OSError as error:
        raise Failure("--policy", f"{path} cannot be read ({error.strerror})") from None


def known_policies(run: Path) -> dict[str, Path]:
    """The policies that a run has, by name, the last one last."""
    kept = {path.stem: path for path in sorted((run / CHECKPOINTS).glob("*.eqx"), key=_number)}
    named = {"best": run / BEST, "last": run / LAST}
    return kept | {name: path for name, path in named.items() if path.is_file()}


def _story(run: Path) -> str:
    """Why a run has no policy."""
    try:
        facts = read_facts(run)
    except (OSError, ValueError):
        return "the run has saved no policy"
    if facts.get("status") == "running":
        return f"the run is at step {facts['steps']:,} and has saved no policy yet"
    if facts.get("status") == "died":
        return f"the run died at step {facts['steps']:,} ({facts['reason']}); it has saved no policy"
    return f"the run has ended ({facts.get('status')}) and saved no policy"


def _number(path: Path) -> tuple[int, str]:
    """Sorts names that differ in a number by it: 9 before 10."""
    return len(path.stem), path.stem


def _source(name: str, run: Path | None) -> Source:
    if name == RANDOM:
        return Source(RANDOM, None)
    known = known_policies(run) if run else {}
    label = name.removesuffix(".eqx")
    if label in known:
        return Source(label, known[label])
    path = Path(name)
    if os.path.isfile(name):
        return Source(path.parent.resolve().name if path.name == LAST else path.stem, path)
    if (path / CONFIG).is_file():
        others = known_policies(path)
        what = f"give one of its policies, such as {[*others.values()][-1]}" if others else _story(path)
        raise BadInput("--policy", f"the directory of a run (got {name!r}); {what}")
    if name == "last" and run:
        raise BadInput("--policy", f"{_story(run)} (got {str(run)!r})")
    choices = ", ".join([*known, RANDOM])
    raise BadInput("--policy", f"no such policy (got {name!r}); allowed: {choices}, or a policy's file")


def _form(metadata: dict[str, Any], env: Any) -> Any:
    """The form of a policy of the class and the settings that a file names."""
    import equinox as eqx
    import numpy as np
    from jax import random as jr

    from lerax.settings import settings_of

    cls = registry.find("policy", registry.POLICIES, metadata["policy"]).load()
    declared, settings = settings_of(cls), metadata.get("settings", {})
    if not (isinstance(settings, dict) and settings.keys() <= declared.keys()):
        raise ValueError(f"settings that {cls.__name__} does not have (got {settings})")
    settings = {name: declared[name].convert(value) for name, value in settings.items()}
    # To compute initial weights would take longer than all the rest.
    return eqx.filter_eval_shape(lambda seed: cls(env=env, **settings, key=jr.key(seed)), np.uint32(0))
