"""What is swept, from the command line, a file and the defaults."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import tomli_w

from lerax import registry
from lerax.errors import SettingError
from lerax.files import SWEEP, parse_toml
from lerax.names import hint
from lerax.settings import Limits, Setting
from lerax.sweep.plan import GOALS, PRUNERS, SAMPLERS, SweepPlan, grid_size
from lerax.sweep.plan import TRIALS as DEFAULT_TRIALS
from lerax.sweep.space import Choices, Tried, check, read_range

from . import naming
from .declared import TABLES, declared, setting_name
from .options import TrainingPlan, plan
from .report import BadInput
from .values import KEYS, Layer, checked, convert, read_file, read_setting, read_value

JOURNAL = "journal.log"  # in its folder
TABLE, TRY = "sweep", "try"
MOST_TRIALS = 1_000_000
TRIALS = Setting("trials", 0, "", Limits(at_least=1, at_most=MOST_TRIALS))
EXAMPLE = "--try learning_rate=log:1e-4..1e-2"
Key = tuple[str, str]
"""A setting: its table and its name."""


def choice(name: str, choices: Sequence[str]) -> Setting:
    """An option that is one of some words."""
    return Setting(name, choices[0], "", Limits(choices=tuple(choices)))


HOW = {
    "trials": TRIALS,
    "seeds": Setting("seeds", (0,), "", KEYS["seed"].limits),
    "sampler": choice("sampler", SAMPLERS),
    "pruner": choice("pruner", PRUNERS),
    "goal": choice("goal", GOALS),
}
"""Keys of the table `sweep`, but for what is tried."""


class Source(NamedTuple):
    """Where a sweep is described.

    Attributes:
        file: The file; None where the command line says all.
        content: What it says.
        folder: The folder of a sweep that there is already; None where it is to be found by its name.
    """

    file: Path | None
    content: dict[str, Any]
    folder: Path | None


@dataclass(frozen=True)
class Wanted:
    """A sweep that is fully decided, but for the settings' defaults.

    Attributes:
        plan: What is swept, and how.
        keys: Of each setting that is tried, its table and its name.
        base: A training with the first value of all that is tried.
        at_least: The trials that were asked for now; None where those that there are count.
        named: Environment, algorithm and policy, as far as the command line names them.
    """

    plan: SweepPlan
    keys: dict[str, Key]
    base: TrainingPlan
    at_least: int | None
    named: dict[str, str | None]

    def content(self, config: dict[str, Any]) -> dict[str, Any]:
        """What the sweep's file says.

        Args:
            config: That of the base.
        """
        config = parse_toml(tomli_w.dumps(config))
        for table, name in self.keys.values():
            config[table].pop(name, None)
        del config["seed"]
        return parse_toml(tomli_w.dumps({TABLE: self.plan.table()} | config))

    def training(
        self, layer: Layer, settings: Mapping[str, Any], warn: Callable[[str], None]
    ) -> TrainingPlan:
        """What a trial trains.

        Args:
            layer: What the sweep's file says of all trials.
            settings: What this one tries.
            warn: Takes a line of warning.
        """
        given = [(*self.keys[name], value) for name, value in settings.items()]
        return plan(
            self.named["env"],
            algo=self.named["algo"],
            policy=self.named["policy"],
            steps=None,
            seed=self.plan.seeds[0],
            backends=None,
            preset=None,
            config=None,
            settings=given,
            num_envs=None,
            nan=None,
            warn=warn,
            going_on=layer,
        )


def read_try(text: str) -> tuple[Key, str]:
    """A setting and what is tried of it, from the text of an option.

    Raises:
        BadInput: It has another form.
    """
    key, equals, spec = text.partition("=")
    if not equals or not key.strip() or not spec.strip():
        raise BadInput(
            "--try", f"not KEY=VALUES (got {text!r}); write for example {EXAMPLE} or --try gamma=0.95,0.99"
        )
    try:
        table, name, _ = read_setting(f"{key}=0")
    except BadInput as error:
        raise BadInput("--try", error.what) from None
    return (table, name), spec.strip()


def find(text: str, out: str, name: str | None) -> Source:
    """Where a sweep is described: a file, the folder of a sweep or its name in `out`, else nowhere.

    Raises:
        BadInput: The file cannot be read, or what it says is no sweep.
    """
    places = [Path(text), Path(out) / text] if text else []
    folder = next((place for place in places if (place / SWEEP).is_file()), None)
    if folder is not None:
        file = folder / SWEEP
    elif text.endswith(".toml"):
        file = Path(text)
    else:
        return Source(None, {}, None)
    content = read_file("SWEEP", str(file))
    own = file.parent if file.name == SWEEP and (file.parent / JOURNAL).exists() else folder
    if own is not None and name not in (None, own.absolute().name):
        raise BadInput(
            "--name", f"this sweep has its own, {own.absolute().name} (got {name!r}); leave it out"
        )
    return Source(file, content, own)


def want(
    source: Source,
    env: str | None,
    *,
    tried: list[tuple[Key, str]],
    how: dict[str, Any],
    settings: list[tuple[str, str, Any]],
    algo: str | None,
    policy: str | None,
    **given: Any,
) -> Wanted:
    """Decides everything that can be decided without importing JAX.

    Args:
        source: Where the sweep is described.
        env: The environment; None where the file names it.
        tried: What `--try` says.
        how: What the options say that are keys of the file's table `sweep`, or nothing.
        settings: What `--set` says.
        algo: The algorithm.
        policy: The policy.
        given: What else `options.plan` takes.

    Raises:
        BadInput: Something is wrong with what the user gave.
    """
    where = str(source.file)
    table, layer = _split(where, source.content) if source.file else ({}, None)
    specs: dict[Key, tuple[str, Any]] = {}
    for name, spec in table.pop(TRY, {}).items():
        key = read_setting(f"{name}=0")[:2]
        specs[key] = f"{where}: {TABLE}.{TRY}", spec
    for key, spec in tried:
        if specs.get(key, ("", ""))[0] == "--try":
            name, other = setting_name(*key), specs[key][1]
            raise BadInput("--try", f"{name}: given twice ({other} and {spec}); give all of it at once")
        specs[key] = "--try", spec
    if not specs:
        if env is not None:
            naming.find("ENV|FILE.toml|SWEEP", registry.ENV, env, trusted=True)  # it may be what is wrong
        raise BadInput("--try", f"missing: nothing is tried; give for example {EXAMPLE}")
    for where_set, (table_set, key_set, _) in (("--set", one) for one in settings):
        if (table_set, key_set) in specs:
            name = setting_name(table_set, key_set)
            raise BadInput(where_set, f"{name} is tried, too; give --set or --try")
    decide = lambda more: plan(
        env,
        algo=algo,
        policy=policy,
        seed=0,
        config=None,
        settings=[*settings, *more],
        going_on=layer,
        **given,
    )
    spaces = _read(specs, lambda first: decide(first))
    firsts = [(*key, next(iter(tried.bounds))) for key, tried in spaces.items()]
    names = {setting_name(*key): key for key in spaces}
    told = {key: how.get(key) or table.get(key) for key in HOW}
    said = {setting_name(*key): tried for key, tried in spaces.items()}
    size = grid_size(said)
    few = size is not None and size <= DEFAULT_TRIALS
    if few and told["sampler"] is None:
        told["sampler"] = "grid"
    sizes = size if size is not None and (few or told["sampler"] == "grid") else DEFAULT_TRIALS
    try:
        swept = SweepPlan(
            said,
            told["trials"] or sizes,
            tuple(told["seeds"] or (0,)),
            *(told[key] or HOW[key].default for key in ("sampler", "pruner", "goal")),
        )
    except SettingError as error:
        raise BadInput(f"--{error.name}", error.reason) from None
    base = decide(firsts)
    for key, number in base.layout.items():
        raise BadInput(key, f"not in a sweep (got {number}), whose trials have a core each; leave it out")
    return Wanted(swept, names, base, how["trials"], {"env": env, "algo": algo, "policy": policy})


def layer_of(where: str, content: dict[str, Any]) -> Layer:
    """What a sweep's file says of all trainings."""
    return checked(where, {key: value for key, value in content.items() if key != TABLE})


def _split(where: str, content: dict[str, Any]) -> tuple[dict[str, Any], Layer]:
    """The table `sweep` of a file, its values checked, and all else, which is a config."""
    table = content.get(TABLE, {})
    if not isinstance(table, dict) or not isinstance(table.get(TRY, {}), dict):
        raise BadInput(
            where,
            f'[{TABLE}] and [{TABLE}.{TRY}] are tables; write learning_rate = "log:1e-4..1e-2" in the latter',
        )
    for key in table:
        if key not in (*HOW, TRY):
            raise BadInput(where, f"{TABLE}.{key}: unknown key; {hint(key, [*HOW, TRY])}")
    found = {
        key: value if key == TRY else convert(f"{where}: {TABLE}.{key}", HOW[key], value)
        for key, value in table.items()
    }
    return found, layer_of(where, content)


def _read(specs: dict[Key, tuple[str, Any]], decide: Callable[[list[Any]], TrainingPlan]) -> dict[Key, Tried]:
    """What is tried of each setting, which may be all of it.

    Args:
        specs: Where it is said, and what.
        decide: Makes the plan of a training with some settings.
    """
    base = decide([])
    found: dict[Key, Tried] = {}
    for (table, name), (where, spec) in specs.items():
        key = setting_name(table, name)
        setting = _settings(table, base).get(name)
        if setting is None:
            try:
                decide([(table, name, "")])
            except BadInput as error:  # which says what there is instead
                raise BadInput(where, error.what) from None
            raise BadInput(where, f"{key}: there is no such setting")
        try:
            found[table, name] = _tried(spec, setting)
            check(found[table, name], setting)
        except SettingError as error:
            raise BadInput(f"{where}: {key}", error.reason) from None
    return found


def _tried(spec: Any, setting: Setting) -> Tried:
    """What is tried, from a text or from the list of a file."""
    if isinstance(spec, list):
        return Choices(tuple(spec))
    if isinstance(spec, str):
        if (between := read_range(spec, setting)) is not None:
            return between
        try:
            return Choices(tuple(parse_toml(f"values = [{spec}]")["values"]))
        except ValueError:
            return Choices(tuple(read_value(part) for part in spec.split(",")))
    return Choices((spec,))


def _settings(table: str, base: TrainingPlan) -> dict[str, Setting]:
    """The settings of what a training has; what is not ours is imported."""
    entry = {"env": base.env, "algorithm": base.algorithm, "policy": base.policy}[table]
    if entry is None:
        algorithm = naming.load(base.places["algorithm"], TABLES["algorithm"], base.algorithm)
        entry = naming.default_policy(base.places["algorithm"], algorithm)
    if entry.source:
        naming.load(base.places[table], TABLES[table], entry)  # whose faults are said as those of the user
    return declared(table, entry)
