"""What a run is to be, from the command line, the config file, the preset and the defaults."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lerax import registry
from lerax.names import Entry
from lerax.run import NAME

from . import fitting, naming, wrapping
from .declared import TABLES, WRAP, action_kinds, declared, is_ours
from .fitting import SECONDS
from .report import BadInput
from .values import (
    DEFAULT_STEPS,
    KEYS,
    Given,
    Layer,
    More,
    check_interval,
    checked,
    read_config,
    read_file,
    read_settings,
)

NO_BACKEND = {"none": Entry("none", "", "Nothing but the run's directory.")}
BESIDE_THE_TASK = ("default_camera_config", "physics", "threads")  # how an environment is computed and seen
ALWAYS = ("none", "console", "jsonl")  # what changes nothing where it is named as a backend


@dataclass
class TrainingPlan:
    """A run that is fully decided, but for the settings' defaults.

    Attributes:
        env: The environment's entry.
        algorithm: The algorithm's entry.
        policy: The policy's entry; None for the one that the algorithm's class names.
        places: Where these were named, by table.
        seed: Seed of all randomness.
        steps: Environment steps.
        steps_from: What to call the steps in an error.
        backends: Names of the logging backends, without the dashboard.
        nan: What to do about values that are not finite.
        videos: When videos are recorded, in the words of a config and of `LoggingCallback`.
        save_every: How often the whole state is saved.
        keep: Newest checkpoints that are kept.
        devices: How many devices of each process training is divided among; `all` is all that JAX finds.
        processes: How many processes it is divided among, as a config says until they are counted.
        score: Mean return that counts as solved; None where the environment has none.
        untuned: Whether a preset was looked for, and there is none.
        settings: Values by table (`env`, `policy`, `algorithm`) and name, as they were given.
        wraps: The wrappers around the environment, the innermost first.
    """

    env: Entry
    algorithm: Entry
    policy: Entry | None
    places: dict[str, str]
    seed: int
    steps: int
    steps_from: str
    backends: list[str]
    nan: str
    videos: dict[str, Any]
    save_every: str
    keep: int
    devices: int | str
    processes: int
    score: float | None
    untuned: bool
    settings: dict[str, dict[str, Given]] = field(default_factory=dict)
    wraps: tuple[wrapping.Wrap, ...] = ()

    @property
    def layout(self) -> dict[str, Any]:
        """What training is divided among, as a config has it: nothing for one device of one process."""
        return layout_of({"processes": self.processes, "devices": self.devices})

    @property
    def records_videos(self) -> bool:
        """Whether videos are recorded at all."""
        return any(self.videos.values())


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
    warn: Any,
    policy: str | None = None,
    wrap: list[tuple[str, Any]] | None = None,
    save_every: str | None = None,
    keep: int | None = None,
    devices: int | str | None = None,
    going_on: Layer | None = None,
    **videos: int | None,
) -> TrainingPlan:
    """Decides everything that can be decided without importing JAX.

    `going_on` is the config of a run that goes on: it says what nobody says otherwise.

    Raises:
        BadInput: Something is wrong with what the user gave.
    """
    layers = [read_config(config)] if config is not None else []
    layers += [going_on] if going_on is not None else []
    configs = list(layers)
    at_env, env_entry = _named("env", "ENV", env, layers)
    if env_entry is None:
        raise BadInput("ENV", "missing; name an environment, see `lerax list-envs`")
    where, wanted = pick("--preset", preset, layers, KEYS["preset"].default)
    tuned, tables = find_presets(where, wanted, env_entry)
    at_algo, algorithm = _named("algorithm", "--algo", algo, layers)
    if (
        algorithm is None and wanted.endswith(".toml") and len(tables) == 1
    ):  # what a preset of one's own is of
        algorithm = naming.find(where, registry.ALGORITHM, next(iter(tables)))
    if algorithm is None:
        _, its_policy = _named("policy", "--policy", policy, layers)
        algorithm = fitting.default_algorithm(env_entry, tables, its_policy.name if its_policy else "")
    layers.append(preset_of(where, wanted, tuned, tables, algorithm))
    default = registry.POLICIES.get(algorithm.policy)
    at_policy, policy_entry = _named("policy", "--policy", policy, layers, default)
    if policy_entry is default:
        fitting.check(at_algo, algorithm, env_entry.name, action_kinds("env", env_entry))
    named = {"env": env_entry, "policy": policy_entry, "algorithm": algorithm}
    own = read_settings(settings, num_envs)
    inherited = {table: _merged(table, entry, layers) for table, entry in named.items()}
    merged = {table: inherited[table] | own[table] for table in named}
    ours = {table: entry for table, entry in named.items() if entry is not None and is_ours(table, entry)}
    known = {table: declared(table, entry) for table, entry in ours.items()}
    for table, entry in ours.items():
        naming.resolve(table, entry, known[table], merged[table], known)
    wraps = wrapping.find(*pick("--wrap", wrap or None, layers, []))
    steps_from, wanted_steps = pick("--steps", steps, layers, DEFAULT_STEPS)
    if isinstance(steps, More):
        if going_on is None:
            raise BadInput("--steps", f"+{steps} is for a run that goes on; leave out the +, or --resume RUN")
        wanted_steps = going_on.keys["steps"] + steps
    at_every, every = pick("--save-every", save_every, layers, KEYS["save_every"].default)
    return TrainingPlan(
        env=env_entry,
        algorithm=algorithm,
        policy=policy_entry,
        places={"env": at_env, "policy": at_policy, "algorithm": at_algo},
        seed=pick("--seed", seed, layers, secrets.randbits(32))[1],
        steps=wanted_steps,
        steps_from=steps_from,
        backends=read_backends(*pick("--backend", backends or None, layers, []), warn),
        nan=pick("--nan", nan, layers, KEYS["nan"].default)[1],
        videos={key: pick(f"--{key}", value, layers, KEYS[key].default)[1] for key, value in videos.items()},
        save_every=check_interval(at_every, every),
        keep=pick("--keep", keep, layers, KEYS["keep"].default)[1],
        devices=pick("--devices", devices, layers, KEYS["devices"].default)[1],
        processes=pick("--processes", None, layers, 1)[1],
        score=find_score(
            configs[-1] if configs else None, env_entry, algorithm, inherited["env"], merged["env"], wraps
        ),
        untuned=wanted == "auto" and algorithm.name not in tables,
        settings=merged,
        wraps=wraps,
    )


def layout_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """What of a config says what training is divided among."""
    return {name: config[name] for name in ("processes", "devices") if config.get(name, 1) != 1}


def simulate_on_gpu(plan: TrainingPlan) -> bool:
    """Has MuJoCo's physics computed on the GPU that training is on, by MJX, where nobody says otherwise.

    Returns:
        Whether the plan says so now.
    """
    known = declared("env", plan.env) if is_ours("env", plan.env) else {}
    if "physics" not in known or "physics" in plan.settings["env"]:
        return False
    plan.settings["env"]["physics"] = Given("mjx", "--device", "env.physics")
    return True


def _named(
    table: str, option: str, value: str | None, layers: list[Layer], default: Entry | None = None
) -> tuple[str, Entry | None]:
    """What to call the name's place in an error, and what is named: by the option, or the first layer."""
    kind = TABLES[table]
    given = Given(value, option, "") if value is not None else None
    given = given or next((layer.names[table] for layer in layers if table in layer.names), None)
    if given is None:
        return option, default
    name = naming.no_run(given.where, given.value) if table == "env" else given.value
    return given.where, naming.find(given.where, kind, name, trusted=value is not None)


def _merged(table: str, entry: Entry | None, layers: list[Layer]) -> dict[str, Given]:
    """The settings of all layers, the first one's before all; those of something else stay behind."""
    found: dict[str, Given] = {}
    for layer in reversed(layers):
        of = layer.names.get(table)
        if of is None or entry is None or naming.same(of.value, entry.name):
            found |= layer.tables[table]
    return found


def pick(option: str, value: Any, layers: list[Layer], default: Any = None) -> tuple[str, Any]:
    """What to call a value in an error, and the value: the option's, or that of the first layer with one."""
    key = option.strip("-").lower().replace("-", "_")
    given = [(option, value), *((f"{layer.where}: {key}", layer.keys.get(key)) for layer in layers)]
    return next((source for source in given if source[1] is not None), (option, default))


def find_presets(where: str, name: str, env: Entry) -> tuple[Entry, dict[str, dict[str, Any]]]:
    """An environment and its tuned settings by algorithm; `auto` is the one that is trained."""
    if name.endswith(".toml"):
        return _preset_file(where, name, env)
    if name not in ("auto", "none"):
        env = naming.find(where, registry.ENV._replace(word="preset"), name)
    return env, {} if name == "none" else registry.presets(env.name)


def _preset_file(where: str, path: str, env: Entry) -> tuple[Entry, dict[str, dict[str, Any]]]:
    """The environment that a file names, else the one that is trained, and its tables by algorithm."""
    content = read_file(where, path)
    of = content.pop("env", env.name)
    if wrong := [key for key, table in content.items() if not isinstance(table, dict)]:
        form = "a preset has `env` and a table for each algorithm: [ppo], [ppo.algorithm]"
        raise BadInput(where, f"{path} has {wrong[0]!r} above all tables; {form}")
    if not isinstance(of, str):
        raise BadInput(where, f"{path}: env is not a name (got {of!r})")
    own = naming.same(of, env.name)
    return env if own else naming.find(f"{where}: env", registry.ENV, of), content


def preset_of(
    where: str, name: str, env: Entry, tables: dict[str, dict[str, Any]], algorithm: Entry
) -> Layer:
    """The table of an algorithm, of the preset that is called `name` and is the environment's."""
    if name not in ("auto", "none") and algorithm.name not in tables:
        there = f"it has one for {', '.join(tables)}" if tables else "allowed: auto, none"
        of = name if name.endswith(".toml") else env.name
        raise BadInput(where, f"{of} has none for {algorithm.name}; {there}")
    table = tables.get(algorithm.name, {})
    found = checked("--preset", {key: value for key, value in table.items() if key != SECONDS})
    if name != "none":  # whose settings those of its tables are
        found.names["env"] = Given(env.name, where, "env")
        if algorithm.policy:
            found.names.setdefault("policy", Given(algorithm.policy, where, "policy"))
    return found


def find_score(
    config: Layer | None,
    env: Entry,
    algorithm: Entry,
    inherited: dict[str, Given],
    given: dict[str, Given],
    wraps: tuple[wrapping.Wrap, ...] = (),
) -> float | None:
    """The mean return that counts as solved: it belongs to an environment, and goes to no other one.

    A config's counts for the environment that it names, or for any if it names none; else that of the
    environment's own preset counts, whichever settings of the algorithm are taken. Where the environment has
    other settings than it is of, or wrappers that change what can be reached, none counts: it may be out of
    reach, or no feat.

    Args:
        config: The config, if there is one.
        env: The environment.
        algorithm: The algorithm.
        inherited: The environment's settings of config and preset.
        given: These and those of the command line.
        wraps: The wrappers around it.
    """
    layer, base = config, inherited
    of = config.names.get("env") if config is not None else None
    others = of is not None and not naming.same(of.value, env.name)
    if layer is None or others or "score" not in layer.keys:
        layer = preset_of("--preset", "auto", env, registry.presets(env.name), algorithm)
        base = layer.tables["env"]
    own = wrapping.find(f"{layer.where}: {WRAP}", layer.keys.get(WRAP, []))
    same = _task(env, base) == _task(env, given) and wrapping.task(own) == wrapping.task(wraps)
    return layer.keys.get("score") if same else None


def _task(env: Entry, given: dict[str, Given]) -> dict[str, Any]:
    """The settings of an environment that decide on what can be reached in it."""
    values = {name: setting.value for name, setting in given.items()}
    if is_ours("env", env):
        values = naming.resolve("env", env, declared("env", env), given)
    return {name: value for name, value in values.items() if name not in BESIDE_THE_TASK}


def read_backends(where: str, names: list[str], warn: Any) -> list[str]:
    """Names of backends, checked, without those that there always are."""
    chosen: list[str] = []
    for name in names:
        known = registry.BACKEND._replace(entries=registry.BACKENDS | NO_BACKEND)
        entry = naming.find(where, known, name)
        if not entry.source and (reason := registry.obstacle(entry)) is not None:
            raise BadInput(where, f"{entry.name} is not available; {reason}")
        if entry.name in chosen:
            warn(f"{where}: {entry.name} is named twice")
        else:
            chosen.append(entry.name)
    if "none" in chosen and len(chosen) > 1:
        raise BadInput(where, f"none excludes all others (got {', '.join(chosen)})")
    return [name for name in chosen if name not in ALWAYS]


def check_place(text: str, name: str | None, *, taken: bool = False) -> Path:
    """The folder for the runs, if a run of that name can be made there, as far as names tell.

    Args:
        text: The folder.
        name: The name.
        taken: Whether a run may have it.
    """
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
    if not taken and name is not None and (out / name).exists():
        raise BadInput(
            "--name",
            f"a run of that name exists (got {name!r}, {out / name}); choose another, or --resume it",
        )
    return out
