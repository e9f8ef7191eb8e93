"""What a run is to be, from the command line, the config file, the preset and the defaults."""

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lerax import registry
from lerax.errors import SettingError
from lerax.run import NAME

from .report import BadInput
from .values import DEFAULT_STEPS, KEYS, TABLES, Given, checked, read_config, read_settings

ALWAYS = ("none", "console", "jsonl")  # what changes nothing where it is named as a backend


@dataclass
class Plan:
    """A run that is fully decided, but for the settings' defaults.

    Attributes:
        env: The environment's entry.
        algorithm: The algorithm's entry.
        policy: The policy's entry.
        seed: Seed of all randomness.
        steps: Environment steps.
        steps_from: What to call the steps in an error.
        backends: Names of the logging backends, without the dashboard.
        nan: What to do about values that are not finite.
        video_interval: Iterations from one video to the next; 0 for no videos.
        score: Mean return that counts as solved; None where the environment has none.
        settings: Values by table (`algorithm`, `policy`) and name, as they were given.
    """

    env: registry.Entry
    algorithm: registry.Entry
    policy: registry.Entry
    seed: int
    steps: int
    steps_from: str
    backends: list[str]
    nan: str
    video_interval: int
    score: float | None
    settings: dict[str, dict[str, Given]] = field(default_factory=dict)


def plan(
    env: str | None,
    *,
    algo: str | None,
    steps: int | None,
    seed: int | None,
    backends: list[str] | None,
    preset: str | None,
    config: str | None,
    settings: list[tuple[str, str, Any]],
    num_envs: Any,
    nan: str | None,
    video_interval: int | None,
    warn: Any,
) -> Plan:
    """Decides everything that can be decided without importing JAX.

    Raises:
        BadInput: Something is wrong with what the user gave.
    """
    layers = [("--config", read_config(config) if config is not None else {})]
    where, wanted = pick("ENV", env, layers)
    if wanted is None:
        raise BadInput("ENV", "missing; name an environment, see `lerax list-envs`")
    env_entry = find(where, "environment", registry.ENVS, _no_run(where, wanted))
    where, wanted = pick("--algo", algo, layers, KEYS["algo"].default)
    algorithm = find(where, "algorithm", registry.ALGORITHMS, wanted)
    where, wanted = pick("--preset", preset, layers, KEYS["preset"].default)
    layers.append(("--preset", find_preset(where, wanted, env_entry, algorithm)))
    own = read_settings(settings, num_envs)
    merged = {
        table: {
            key: Given(value, where, f"{table}.{key}")
            for where, content in reversed(layers)
            for key, value in content.get(table, {}).items()
        }
        | own[table]
        for table in TABLES
    }
    steps_from, wanted_steps = pick("--steps", steps, layers, DEFAULT_STEPS)
    return Plan(
        env=env_entry,
        algorithm=algorithm,
        policy=registry.POLICIES["MLPActorCriticPolicy"],
        seed=pick("--seed", seed, layers, secrets.randbits(32))[1],
        steps=wanted_steps,
        steps_from=steps_from,
        backends=read_backends(*pick("--backend", backends or None, layers, []), warn),
        nan=pick("--nan", nan, layers, KEYS["nan"].default)[1],
        video_interval=pick("--video-interval", video_interval, layers, 0)[1],
        score=find_score(layers[0][1], env_entry, algorithm),
        settings=merged,
    )


def _no_run(where: str, env: str) -> str:
    """The name of an environment, unless it is that of a run, which its config repeats."""
    config = next((path for path in (env, os.path.join(env, "config.toml")) if os.path.isfile(path)), None)
    if config is not None and config.endswith(".toml"):
        raise BadInput(
            where, f"not an environment (got {env!r}); `lerax train --config {config}` repeats a run"
        )
    return env


def pick(option: str, value: Any, layers: list[tuple[str, Any]], default: Any = None) -> tuple[str, Any]:
    """What to call a value in an error, and the value: the option's, or that of the first layer with one."""
    key = option.strip("-").lower().replace("-", "_")
    given = [(option, value), *((f"{where}: {key}", content.get(key)) for where, content in layers)]
    return next((source for source in given if source[1] is not None), (option, default))


def find(where: str, kind: str, entries: dict[str, registry.Entry], name: str) -> registry.Entry:
    """An entry of the registry.

    Raises:
        BadInput: There is none of that name.
    """
    try:
        return registry.find(kind, entries, name)
    except registry.UnknownName as error:
        raise BadInput(where, str(error)) from None


def find_preset(where: str, name: str, env: registry.Entry, algorithm: registry.Entry) -> dict[str, Any]:
    """The preset's table for an algorithm: `auto` is the environment's own, if it has one."""
    if name == "none":
        return {}
    if name != "auto":
        env = find(where, "preset", registry.ENVS, name)
    tables = registry.presets(env.name)
    if name != "auto" and algorithm.name not in tables:
        raise BadInput(where, f"{env.name} has none for {algorithm.name}; allowed: auto, none")
    return checked("--preset", tables.get(algorithm.name, {}))


def find_score(config: dict[str, Any], env: registry.Entry, algorithm: registry.Entry) -> float | None:
    """The mean return that counts as solved: it belongs to an environment, and goes to no other one.

    A config's counts for the environment that it names, or for any if it names none; else that of the
    environment's own preset counts, whichever settings are taken.
    """
    if "score" in config and config.get("env", env.name).lower() == env.name.lower():
        return config["score"]
    return find_preset("--preset", "auto", env, algorithm).get("score")


def read_backends(where: str, names: list[str], warn: Any) -> list[str]:
    """Names of backends, checked, without those that there always are."""
    chosen: list[str] = []
    for name in names:
        lower = str(name).lower()
        if lower in registry.BACKENDS:
            reason = registry.obstacle(registry.BACKENDS[lower])
            if reason is not None:
                raise BadInput(where, f"{lower} is not available; {reason}")
        elif lower != "none" and lower not in registry.plugins():
            known = [*registry.backends(), "none"]
            raise BadInput(where, f"unknown backend (got {name!r}); {registry.hint(lower, known)}")
        if lower in chosen:
            warn(f"{where}: {lower} is named twice")
        else:
            chosen.append(lower)
    if "none" in chosen and len(chosen) > 1:
        raise BadInput(where, f"none excludes all others (got {', '.join(chosen)})")
    return [name for name in chosen if name not in ALWAYS]


def check_place(text: str, name: str | None) -> Path:
    """The folder for the runs, if a run of that name can be made there, as far as names tell."""
    if name is not None and not NAME.fullmatch(name):
        raise BadInput(
            "--name",
            f"not a name (got {name[:60]!r}); allowed: 1 to 200 letters, digits or . _ = + -, no dot first",
        )
    if not text:
        raise BadInput("--out", "empty (got ''); give a folder")
    out = Path(text)
    if "://" in text:
        raise BadInput("--out", f"not a local folder (got {text!r})")
    try:
        exists, is_folder = out.exists(), out.is_dir()
    except (OSError, ValueError) as error:
        raise BadInput("--out", f"not a usable path ({error})") from None
    if exists and not is_folder:
        raise BadInput("--out", f"not a folder (got {text!r})")
    if any(len(part.encode(errors="surrogateescape")) > 255 for part in out.parts) or len(text) > 3000:
        raise BadInput("--out", f"path too long ({len(text)} characters)")
    if name is not None and (out / name).exists():
        raise BadInput("--name", f"a run of that name exists (got {name!r}, {out / name}); choose another")
    return out


def settings_tables(algorithm: registry.Entry) -> dict[str, Any]:
    """Every setting of an algorithm and its policy by the name that `--set` takes."""
    from lerax.settings import settings_of

    policy = registry.POLICIES["MLPActorCriticPolicy"]
    own = settings_of(algorithm.load())
    return own | {f"policy.{name}": s for name, s in settings_of(policy.load()).items()}


def _elsewhere(key: str, where: str) -> str:
    """Where something belongs that is no setting of a class but one of the training; "" for anything else."""
    if key not in KEYS:
        return ""
    if where == "--config":
        return f"in a config {key} stands above all tables"
    named = {"env": "it is the argument ENV", "score": "it stands in a config, above all tables"}
    return named.get(key, f"it is the option --{key.replace('_', '-')}")


def all_settings(cls: type, given: dict[str, Given]) -> dict[str, Any]:
    """Every setting of a class: the given ones converted to their types, and the others' defaults.

    Raises:
        BadInput: One is unknown, of the wrong type, or out of range.
    """
    from lerax.settings import settings_of

    declared = settings_of(cls)
    values = {name: setting.default for name, setting in declared.items()}
    for key, (value, where, name) in given.items():
        if key not in declared:
            hint = _elsewhere(key, where) or registry.hint(key, declared)
            raise BadInput(where, f"{name}: {cls.__name__} has no such setting; {hint}")
        try:
            values[key] = declared[key].convert(value)
        except SettingError as error:
            raise BadInput(f"{where}: {name}", error.reason) from None
    return values
