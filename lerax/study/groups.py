"""Runs that belong together: those that differ in their seed alone, and what tells such groups apart."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lerax.errors import SettingError
from lerax.files import read_toml
from lerax.names import hint
from lerax.runs import CONFIG, FACTS, LIVES, Run, find_all, find_group, is_closed, is_run, seeds_named

TABLES = {"algorithm": "algo", "env": "env", "policy": "policy"}
"""The tables of a config, and what the name in each is called here."""
NO_SETTINGS = ("seed", "preset", "backend", "nan", "video_interval", "save_every", "keep", "score")
"""Keys of a config that change no training, and the seed."""
VARIOUS = "various"
"""In place of a value that the runs of a group do not share."""
LONGEST_NAME = 24  # of a name that is shown; what is longer has mostly been generated
NAMED = ("algo", "env", "policy")  # whose values say what they are


@dataclass(frozen=True)
class Group:
    """Runs that count as one training of several seeds.

    Attributes:
        name: What tells it from the others.
        runs: The runs.
        settings: The settings by what `--set` calls them, beside `env`, `algo`, `policy`, `steps` and `wrap`.
        own: What the run, or the folder of all seeds, is called; "" of single runs that were put together.
    """

    name: str
    runs: tuple[Run, ...]
    settings: dict[str, Any]
    own: str = ""

    @property
    def envs(self) -> list[str]:
        """The environments of its runs."""
        return [*dict.fromkeys(run.env for run in self.runs)]

    def on(self, env: str) -> list[Run]:
        """Its runs on an environment."""
        return [run for run in self.runs if run.env == env]


def settings_of(run: Run) -> dict[str, Any]:
    """The settings of a run, from its config.

    Raises:
        SettingError: Config or `run.json` cannot be read, or the latter does not say what was trained.
    """
    if run.problem:
        raise SettingError("run", run.name, wrong=run.problem)
    if not (run.env and run.algo):
        raise SettingError("run", run.name, wrong=f"{FACTS} names no environment or no algorithm")
    try:
        config = read_toml(run.path / CONFIG)
    except OSError as error:
        raise SettingError("run", run.name, wrong=f"{CONFIG} cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError):
        raise SettingError("run", run.name, wrong=f"{CONFIG} is damaged") from None
    found = {"algo": run.algo, "env": run.env}
    for table, name in TABLES.items():
        rows = config.pop(table, None)
        for key, value in rows.items() if isinstance(rows, dict) else ():
            found[name if key == "name" else key if table == "algorithm" else f"{table}.{key}"] = value
    return found | {key: value for key, value in config.items() if key not in NO_SETTINGS}


def group(runs: Iterable[Run], by: Sequence[str] = ()) -> tuple[list[Group], list[str]]:
    """Puts runs together.

    Args:
        runs: The runs.
        by: The settings in which those of a group are alike, whatever else differs; none for all of them.

    Returns:
        The groups in the order of their first runs, and a line for each run that is left out.

    Raises:
        SettingError: No run has a setting of that name.
    """
    of: dict[Path, dict[str, Any]] = {}
    found, problems = [], []
    for run in runs:
        try:
            of[run.path] = settings_of(run)
            found.append(run)
        except SettingError as error:
            problems.append(f"{run.name} is left out: {error.wrong}")
    known = dict.fromkeys(key for settings in of.values() for key in settings)
    for key in by:
        if key not in known and known:
            raise SettingError("by", key, wrong="no setting of these runs", hint=hint(key, known))
    together: dict[str, list[Run]] = {}
    for run in found:
        settings = of[run.path]
        alike = {key: settings.get(key) for key in by} if by else settings
        together.setdefault(json.dumps(alike, sort_keys=True, default=str), []).append(run)
    groups = [Group("", tuple(runs), _shared([of[run.path] for run in runs])) for runs in together.values()]
    return named(groups, by), problems


def contestants(
    texts: Sequence[str], folder: str | Path = "logs", by: Sequence[str] = ()
) -> tuple[list[Group], list[str]]:
    """What is to be compared.

    Args:
        texts: What `lerax.runs.find_all` takes each. A training of several seeds is one contestant; those
            that differ in their seeds alone, and single runs that do, are one together.
        folder: The folder that holds the runs.
        by: Settings by which all runs are put together instead, whatever they were named by.

    Returns:
        The contestants in the order of their first runs, and a line for each run that is left out or missing.

    Raises:
        SettingError: There is no such run, one is named twice, or none has a setting of that name.
        OSError: The folder cannot be read.
    """
    trainings = dict.fromkeys(find_group(text, folder) for text in texts)
    missing = [line for path in trainings if path is not None and (line := _missing(path))]
    if by:
        found, problems = group(find_all(texts, folder), by)
        return found, [*missing, *problems]
    place: dict[Path, int] = {}
    several: list[tuple[str, list[Run]]] = []
    single: list[Run] = []
    for text in texts:
        path, runs = find_group(text, folder), find_all([text], folder)
        if not runs:
            raise SettingError("run", text, wrong="a training of which no seed has begun")
        paths = [run.path.resolve() for run in runs]
        if not place.keys().isdisjoint(paths):
            raise SettingError("run", text, wrong="named twice", hint="a run counts once")
        place |= {each: len(place) + number for number, each in enumerate(paths)}
        if path is not None:
            several.append((_name_of(path), runs))
        else:
            single += runs
    found, problems = group(single)
    found = [replace(one, own=one.runs[0].name) if len(one.runs) == 1 else one for one in found]
    for name, runs in several:
        parts, left_out = group(runs)
        problems += left_out
        if parts:
            settings = _shared([part.settings for part in parts])
            found.append(Group("", tuple(run for part in parts for run in part.runs), settings, name))
    found.sort(key=lambda one: place[one.runs[0].path.resolve()])
    return named(_joined(found)), [*missing, *problems]


def not_yet(run: Run) -> str:
    """What is said of a living run that has not made a step, as one that waits for a core; "" of others."""
    return "it has not begun to train yet" if run.status == LIVES and not run.steps else ""


def _name_of(path: Path) -> str:
    """What a training of several seeds is called."""
    return (path if path.name else path.resolve()).name


def _missing(path: Path) -> str:
    """What is said of the seeds of a training that are not in its folder; "" where all are."""
    seeds = seeds_named(path)
    gone = [str(seed) for seed in seeds if not _is_there(path / f"seed_{seed}")]
    if not gone:
        return ""
    what = f"seed {gone[0]}" if len(gone) == 1 else f"seeds {', '.join(gone)}"
    verb = "is" if len(gone) == 1 else "are"
    return f"{_name_of(path)} is not complete: {what} of its {len(seeds)} {verb} not there"


def _is_there(path: Path) -> bool:
    return is_run(path) or is_closed(path)


def _joined(groups: Sequence[Group]) -> list[Group]:
    """Groups that differ in their seeds alone as one, under the name of the first."""
    seeds = lambda one: {run.facts.get("seed") for run in one.runs}
    found: dict[str, Group] = {}
    for number, one in enumerate(groups):
        alike = json.dumps([one.settings, one.runs[0].facts.get("versions")], sort_keys=True, default=str)
        before = found.get(alike)
        if before is None:
            found[alike] = one
        elif seeds(before).isdisjoint(seeds(one)) and VARIOUS not in one.settings.values():
            found[alike] = replace(before, runs=(*before.runs, *one.runs))
        else:
            found[f"{alike} {number}"] = one
    return list(found.values())


def named(groups: Sequence[Group], by: Sequence[str] = (), *, apart: Sequence[str] = ()) -> list[Group]:
    """Gives groups names that are short and differ, as far as there are such.

    Args:
        groups: The groups.
        by: Settings that alone tell them apart; none for all.
        apart: Settings that are said elsewhere.

    Returns:
        The groups by their own names, where these are short, else by what tells their settings apart, and by
        their runs where nothing does.
    """
    known = [
        {key: value for key, value in one.settings.items() if key not in apart and (not by or key in by)}
        for one in groups
    ]
    other, own = labels(known), [one.own for one in groups]
    mixed = [name or label for name, label in zip(own, other, strict=True)]
    differ = lambda names: len({*names}) == len(groups)
    if not by and max(map(len, own), default=0) <= LONGEST_NAME and differ(mixed):
        names = mixed
    elif differ(other):
        names = other
    elif differ(mixed):
        names = mixed
    else:
        names = [one.own or _of_runs(one.runs) for one in groups]
        if not differ(names):
            names = [f"{name} ({number})" for number, name in enumerate(names, 1)]
    return [replace(one, name=name) for one, name in zip(groups, names, strict=True)]


def _of_runs(runs: Sequence[Run]) -> str:
    """What single runs that were put together are called after."""
    more = f" and {len(runs) - 1} more" if len(runs) > 1 else ""
    return f"{runs[0].name}{more}"


def differing(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """The settings that are not the same everywhere, algorithm and environment first, `steps` last."""
    keys = dict.fromkeys((*NAMED, *(key for one in groups for key in one if key != "steps"), "steps"))
    return [key for key in keys if len({_text(one, key) for one in groups}) > 1]


def labels(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """What tells settings apart, in as few words as do: `sac`, or `ppo, gamma 0.9`."""
    keys, chosen = differing(groups), list[str]()
    kinds = lambda some: len({tuple(_text(one, key) for key in some) for one in groups})
    chosen = [key for key in keys if key in ("algo", "env")]  # which say more than what follows from them
    while kinds(chosen) < kinds(keys):
        chosen.append(max(keys, key=lambda key: kinds([*chosen, key])))
    chosen = chosen or ["algo"]
    return [", ".join(filter(None, (_label(one, key) for key in chosen))) or "default" for one in groups]


def written(value: Any) -> str:
    """The value of a setting in a few letters."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _label(settings: Mapping[str, Any], key: str) -> str:
    if settings.get(key) is None:
        return ""
    return f"{'' if key in NAMED else f'{key} '}{written(settings[key])}"


def _shared(all_settings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Settings, with `VARIOUS` where they are not the same everywhere."""
    differ = differing(all_settings)
    return {key: VARIOUS if key in differ else value for one in all_settings for key, value in one.items()}


def _text(settings: Mapping[str, Any], key: str) -> str:
    """A value as a text, equal where it is; of none, too."""
    return json.dumps(settings[key], sort_keys=True, default=str) if key in settings else ""
