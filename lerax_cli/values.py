"""Values as users write them: on the command line, in a config file or in a preset, read by one rule."""

import functools
import json
import os
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from lerax.errors import SettingError, shown
from lerax.files import parse_toml, read_toml
from lerax.interval import read_interval, read_seconds
from lerax.named import FORMER
from lerax.names import hint
from lerax.settings import Limits, Setting

from . import words
from .declared import TABLES, WRAP, setting_name
from .report import BadInput

SHORT = {"env": "env", "policy": "policy", "algo": "algorithm"}
"""Keys that name something in place of the `name` in its table."""
NAME = Setting("name", "", "What is named.", Limits())
DEFAULT_STEPS = 1_000_000
OTHERS = (".json", ".yaml", ".yml")  # files that other programs take for configs
MOST_SEEDS = 1_000
SEEDS = Setting("seeds", 1, "", Limits(at_least=1, at_most=MOST_SEEDS))
NAN_CHOICES = ("stop", "warn", "off")
ALL = "all"
COUNT = Limits(at_least=1, at_most=2**63 - 1)
KEYS = {
    key.name: key
    for key in (
        Setting("seed", 0, "Seed of all randomness.", Limits(at_least=0, at_most=2**32 - 1)),
        Setting("steps", DEFAULT_STEPS, "Environment steps.", COUNT),
        Setting("preset", "auto", "Tuned settings.", Limits()),
        Setting("backend", ("none",), "Logging backends.", Limits()),
        Setting("nan", "stop", "What to do about values that are not finite.", Limits(choices=NAN_CHOICES)),
        Setting("video_interval", 0, "Iterations between videos.", Limits(at_least=0, at_most=2**31 - 1)),
        Setting("save_every", "10m", "How often the whole state is saved.", Limits()),
        Setting("devices", 1, "Devices that training is divided among.", Limits(at_least=1, at_most=65_536)),
        Setting(
            "processes", 1, "Processes that training is divided among.", Limits(at_least=1, at_most=65_536)
        ),
        Setting("keep", 2, "Newest checkpoints that are kept.", Limits(at_least=1, at_most=10_000)),
        Setting("score", 0.0, "Mean return that counts as solved.", Limits()),
    )
}


Out = Annotated[str, typer.Option(metavar="DIR", help="Folder that holds the runs.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists already.")]


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


class Layer(NamedTuple):
    """What a config or a preset says.

    Attributes:
        where: What to call it in an error.
        keys: What stands above all tables.
        names: What is named, by table.
        tables: Settings by table and name.
    """

    where: str
    keys: dict[str, Any]
    names: dict[str, Given]
    tables: dict[str, dict[str, Given]]


def convert(where: str, wanted: Setting, value: Any) -> Any:
    """A value of the wanted type and range; `where` is what to call it in an error.

    Raises:
        BadInput: It has another type, or is out of range.
    """
    try:
        return wanted.convert(value)
    except SettingError as error:
        raise BadInput(where, error.reason) from None


def read_option(where: str, wanted: Setting, given: Any) -> Any:
    """The value of an option from its text; a default is a value already."""
    is_text = isinstance(given, str) and not isinstance(wanted.default, str)
    return convert(where, wanted, read_value(given) if is_text else given)


class More(int):
    """So many more, as `+N` says it."""


def read_steps(text: str) -> int:
    """Environment steps from the text of an option: `N`, or `+N` for a run that goes on."""
    steps = read_option("--steps", KEYS["steps"], text)
    return More(steps) if text.strip().startswith("+") else steps


class Count(int):
    """So many seeds, whichever they are."""


def read_seeds(text: str) -> list[int] | Count:
    """Seeds from the text of an option: `5` is how many, `3,4` and `0..9` are which.

    Raises:
        BadInput: It is none of these, or names one twice.
    """
    parts = [part.strip() for part in text.split(",")]
    if len(parts) == 1 and parts[0].isdecimal():
        return Count(convert("--seeds", SEEDS, int(text)))
    found: list[int] = []
    for part in parts:
        first, dots, last = part.partition("..")
        ends = [first, last] if dots else [first]
        if not all(end.strip().isdecimal() for end in ends):
            raise BadInput("--seeds", f"not seeds (got {text!r}); give how many, or which: 5 or 3,4 or 0..9")
        low, high = (read_option("--seeds", KEYS["seed"], end) for end in (ends[0], ends[-1]))
        if high < low or high - low >= MOST_SEEDS:
            what = f"not at most {MOST_SEEDS:,} in rising order (got {part!r})"
            raise BadInput("--seeds", f"{what}; write for example 0..9")
        found += range(low, high + 1)
    if len(set(found)) < len(found) or len(found) > MOST_SEEDS:
        twice = next((seed for seed in found if found.count(seed) > 1), None)
        what = f"more than {MOST_SEEDS:,}" if twice is None else f"{twice} twice"
        raise BadInput("--seeds", f"{what} (got {text!r}); name each once")
    return found


def read_devices(text: str) -> int | str:
    """How many devices, from the text of an option: `all` is all that there are."""
    return ALL if text.strip() == ALL else read_option("--devices", KEYS["devices"], text)


def read_time(where: str, text: str) -> float:
    """Seconds from the text of an option."""
    try:
        return read_seconds(where, text)
    except SettingError as error:
        raise BadInput(where, error.reason) from None


def check_interval(where: str, text: str) -> str:
    """The text of an interval, which it has to be."""
    try:
        read_interval(where, text)
    except SettingError as error:
        raise BadInput(where, error.reason) from None
    return text


def option(wanted: Setting, help: str, metavar: str = "N") -> Any:
    """The option that is called as a setting is, and takes what the setting may be."""
    choices = wanted.limits.choices
    return typer.Option(
        metavar="|".join(choices) or metavar,
        help=help,
        parser=functools.partial(read_option, f"--{wanted.name.replace('_', '-')}", wanted),
        autocompletion=words.begin(choices) if choices else None,
    )


def read_value(text: str) -> Any:
    """A value as TOML has it; anything else is a string."""
    if "\n" not in text:
        try:
            return parse_toml(f"value = {text.strip()}")["value"]
        except ValueError:
            pass
    try:
        return float(text)  # more than TOML allows: ".5", "1."
    except ValueError:
        return text.strip()


def as_text(value: Any) -> str:
    """The text that `read_value` makes a value of."""
    return value if isinstance(value, str) else _as_toml(value)


def _as_toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_as_toml(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_as_toml, value))}]"
    return json.dumps(value) if isinstance(value, str | bool) else str(value)


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


def read_wrap(text: str) -> tuple[str, Any]:
    """Name and value of a `--wrap name=value`; no value is a table without settings."""
    name, equals, value = text.partition("=")
    if not name.strip():
        raise BadInput("--wrap", f"not NAME or NAME=VALUE (got {text!r})")
    return name.strip(), read_value(value) if equals else {}


def wraps_in(where: str, tables: Any) -> list[tuple[str, Any]]:
    """The same of each wrapper in a file, the innermost first.

    Raises:
        BadInput: They are no tables with a name each.
    """
    whole = isinstance(tables, list) and all(isinstance(table, dict) for table in tables)
    if not whole or not all(isinstance(table.get("name"), str) for table in tables):
        what = f"not tables with a name (got {shown(tables)})"
        raise BadInput(where, f'{what}; write name = "clip_reward" and settings below [[{WRAP}]] for each')
    return [(table["name"], {key: table[key] for key in table if key != "name"}) for table in tables]


def read_settings(settings: list[tuple[str, str, Any]], num_envs: Any) -> dict[str, dict[str, Given]]:
    """The settings of the command line by table and name.

    Raises:
        BadInput: One has two values.
    """
    given = [("--set", *setting) for setting in settings]
    if num_envs is not None:
        given.append(("--num-envs", "algorithm", "num_envs", num_envs))
    found: dict[str, dict[str, Given]] = {table: {} for table in TABLES}
    for where, table, key, value in given:
        name = setting_name(table, key)
        before = found[table].get(key)
        if before is not None and before.value != value:
            others = f"{before.value!r} with {before.where} and {value!r} with {where}"
            raise BadInput(where, f"{name}: two values ({others}); give one of them")
        found[table][key] = Given(value, where, name)
    return found


def read_config(path: str, where: str = "--config") -> Layer:
    """A config file, its keys and their values checked.

    Args:
        path: The file.
        where: What to call it in an error.

    Raises:
        BadInput: It cannot be read, or holds what a config does not have.
    """
    return checked(where, read_file(where, path))


def read_file(where: str, path: str) -> dict[str, Any]:
    """What a TOML file says, of a config or the like.

    Raises:
        BadInput: It cannot be read.
    """
    if not path:
        raise BadInput(where, "empty (got ''); give a file")
    said = "" if where == path else f"{path} "
    try:
        content = read_toml(path)
    except IsADirectoryError:
        own = Path(path) / "config.toml"
        hint = f"; give {own}" if own.is_file() else ""
        raise BadInput(where, f"{said}is a directory{hint}") from None
    except OSError as error:
        raise BadInput(where, f"{said}cannot be read ({error.strerror})") from None
    except ValueError as error:
        hint = "; a config is TOML, as RUN/config.toml is: steps = 1000" if path.endswith(OTHERS) else ""
        if "overwrite a value" in str(error):  # as env = "..." and a table [env]
            hint = "; what has a table is named in it: write name = ... below [env]"
        raise BadInput(where, f"{said}{error}{hint}") from None
    return content


def checked(where: str, content: dict[str, Any]) -> Layer:
    """The keys and tables of a config or a preset, their values brought to their types.

    Raises:
        BadInput: A key is unknown, or its value of another type or out of range; something is named twice.
    """
    layer = Layer(where, {}, {}, {table: {} for table in TABLES})

    def name(table: str, key: str, value: Any) -> None:
        given = Given(convert(f"{where}: {key}", NAME, value), f"{where}: {key}", key)
        if table in layer.names:
            raise BadInput(where, f"{layer.names[table].name} and {key} name the same; give one of them")
        layer.names[table] = given

    for key, value in content.items():
        if key in TABLES and isinstance(value, dict):
            for setting, inner in value.items():
                full = f"{key}.{setting}"
                if setting == "name":
                    name(key, full, inner)
                else:
                    layer.tables[key][setting] = Given(inner, where, full)
        elif key in SHORT and isinstance(value, str):
            name(SHORT[key], key, value)
        elif key in SHORT or key in TABLES:
            raise BadInput(where, _of_wrong_kind(key, value))
        elif key == WRAP:
            layer.keys[key] = wraps_in(f"{where}: {key}", value)
        elif key in KEYS:
            value = str(value) if key == "save_every" and type(value) is int else value
            layer.keys[key] = convert(f"{where}: {key}", KEYS[key], value)
        else:
            known = dict.fromkeys([*KEYS, *SHORT, *TABLES, WRAP])
            raise BadInput(where, f"unknown key (got {key!r}); {hint(key, known)}")
    for table, named in layer.names.items():
        for setting in FORMER.get(named.value, ()):
            layer.tables[table].pop(setting, None)
    return layer


def _of_wrong_kind(key: str, value: Any) -> str:
    """What to say of a key that names something or is its table, where its value can be neither."""
    table = SHORT.get(key, key)
    several = isinstance(value, list) and value and isinstance(value[0], dict)
    got = f"[{key}]" if isinstance(value, dict) else f"[[{key}]]" if several else shown(value)
    example = next(iter(TABLES[table].entries))
    wanted = " or ".join(["a name (a str)"] * (key in SHORT) + ["a table"] * (key in TABLES))
    return f'{key}: not {wanted} (got {got}); write name = "{example}" and settings below [{table}]'


def check_free(path: str | Path, overwrite: bool) -> None:
    """Raises: BadInput: There is a folder, or a file that is not to be replaced."""
    if os.path.isdir(path):
        raise BadInput("-o", f"a folder (got {str(path)!r}); give a file")
    if os.path.lexists(path) and not overwrite:
        raise BadInput("-o", f"it exists already (got {str(path)!r}); replace it with --overwrite")


def check_quiet(quiet: bool, progress: str) -> None:
    """Raises: BadInput: The dashboard is asked for and forbidden."""
    if quiet and progress in ("full", "plain"):
        raise BadInput("--quiet", f"excludes --progress {progress}; give one of them")
