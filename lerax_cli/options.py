"""What a run is to be, from the command line, the config file, the preset and the defaults."""

import math
import secrets
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from lerax import registry
from lerax.run import NAME

from .report import BadInput

TABLES = ("algorithm", "policy")  # of settings, in a config file and in a preset
KEYS = {
    "env": (str, "a string"),
    "algo": (str, "a string"),
    "seed": (int, "a whole number"),
    "steps": (int, "a whole number"),
    "preset": (str, "a string"),
    "backend": (list, "a list"),
    "nan": (str, "a string"),
    "video_interval": (int, "a whole number"),
    "score": (int | float, "a finite number"),
    **{table: (dict, "a table") for table in TABLES},
}
DEFAULT_STEPS = 1_000_000
NAN_CHOICES = ("stop", "warn", "off")
ALWAYS = ("none", "console", "jsonl")  # what changes nothing where it is named as a backend


class Given(NamedTuple):
    """A setting's value, and what to call it in an error.

    Attributes:
        value: The value, as it was read.
        where: The option that it came with.
        name: What the user called it.
    """

    value: Any
    where: str
    name: str


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
        score: Mean return that counts as solved; None where neither config nor preset says one.
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
    steps: str | None,
    seed: str | None,
    backends: list[str] | None,
    preset: str | None,
    config: str | None,
    settings: list[str],
    num_envs: str | None,
    nan: str | None,
    video_interval: str | None,
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
    env_entry = find(where, "environment", registry.ENVS, wanted)
    where, wanted = pick("--algo", algo, layers, "ppo")
    algorithm = find(where, "algorithm", registry.ALGORITHMS, wanted)
    where, wanted = pick("--preset", preset, layers, "auto")
    layers.append(("--preset", find_preset(where, wanted, env_entry, algorithm)))
    merged = {
        table: {
            key: Given(value, where, f"{table}.{key}")
            for where, content in reversed(layers)
            for key, value in content.get(table, {}).items()
        }
        for table in TABLES
    }
    for text in settings:
        table, key, value = read_setting(text)
        merged[table][key] = Given(value, "--set", key if table == "algorithm" else f"{table}.{key}")
    if num_envs is not None:
        number = whole("--num-envs", num_envs, 1, 2**20)
        merged["algorithm"]["num_envs"] = Given(number, "--num-envs", "num_envs")
    steps_from, wanted = pick("--steps", steps, layers, DEFAULT_STEPS)
    return Plan(
        env=env_entry,
        algorithm=algorithm,
        policy=registry.POLICIES["MLPActorCriticPolicy"],
        seed=whole(*pick("--seed", seed, layers, secrets.randbits(32)), 0, 2**32 - 1),
        steps=whole(steps_from, wanted, 1, 2**63 - 1),
        steps_from=steps_from,
        backends=read_backends(*pick("--backend", backends or None, layers, []), warn),
        nan=one_of(*pick("--nan", nan, layers, "stop"), NAN_CHOICES),
        video_interval=whole(*pick("--video-interval", video_interval, layers, 0), 0, 2**31 - 1),
        score=pick("score", None, layers)[1],
        settings=merged,
    )


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
    return tables.get(algorithm.name, {})


def read_config(path: str) -> dict[str, Any]:
    """A config file, its keys and their types checked."""
    if not path:
        raise BadInput("--config", "empty (got ''); give a file")
    try:
        content = tomllib.loads(Path(path).read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise BadInput("--config", f"{path} is not TOML ({error})") from None
    except UnicodeDecodeError:
        raise BadInput("--config", f"{path} is not TOML (not UTF-8)") from None
    except OSError as error:
        raise BadInput("--config", f"{path} cannot be read ({error.strerror})") from None
    for key, value in content.items():
        if key not in KEYS:
            raise BadInput("--config", f"unknown key (got {key!r}); {registry.hint(key, KEYS)}")
        wanted, name = KEYS[key]
        endless = isinstance(value, float) and not math.isfinite(value)
        if not isinstance(value, wanted) or isinstance(value, bool) or endless:
            raise BadInput("--config", f"{key}: not {name} (got {value!r})")
    return content


def read_setting(text: str) -> tuple[str, str, Any]:
    """Table, key and value of a `--set key=value`."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise BadInput("--set", f"not KEY=VALUE (got {text!r})")
    table, dot, name = key.strip().partition(".")
    if not dot:
        return "algorithm", table, read_value(value)
    if table not in TABLES:
        raise BadInput("--set", f"unknown table (got {table!r}); allowed: {', '.join(TABLES)}")
    return table, name, read_value(value)


def read_value(text: str) -> Any:
    """A value as TOML has it; anything else is a string."""
    if "\n" not in text:
        try:
            return tomllib.loads(f"value = {text.strip()}")["value"]
        except tomllib.TOMLDecodeError:
            pass
    try:
        return float(text)  # more than TOML allows: ".5", "1."
    except ValueError:
        return text.strip()


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
            hint = registry.hint(key, declared)
            raise BadInput(where, f"{name}: {cls.__name__} has no such setting; {hint}")
        try:
            values[key] = declared[key].convert(value)
        except ValueError as error:
            raise BadInput(where, name + str(error).removeprefix(key)) from None
    return values


def whole(where: str, value: Any, least: int, most: int) -> int:
    """A whole number in a range; `1e6` and `1_000_000` are allowed.

    Raises:
        BadInput: It is none, or out of range.
    """
    allowed = f"allowed: whole numbers from {least} to {most}"
    try:
        number = int(value)
    except ValueError:
        try:
            number = float(value)
        except ValueError:
            raise BadInput(where, f"not a whole number (got {value!r}); {allowed}") from None
        if not number.is_integer():
            raise BadInput(where, f"not a whole number (got {value!r}); {allowed}") from None
    if not least <= number <= most:
        raise BadInput(where, f"out of range (got {value}); {allowed}")
    return int(number)


def one_of(where: str, value: str, choices: tuple[str, ...]) -> str:
    """One of several words.

    Raises:
        BadInput: It is none of them.
    """
    if value not in choices:
        raise BadInput(where, f"unknown choice (got {value!r}); allowed: {', '.join(choices)}")
    return value
