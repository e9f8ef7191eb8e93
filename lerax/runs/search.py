"""Runs in a folder: listed, and found by what they are called."""

import contextlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from lerax.errors import SettingError
from lerax.files import SEEDS, SWEEP
from lerax.names import nearest

from .run import CONFIG, FACTS, SEED, Run, is_closed, is_group, is_run, read

LATEST, BEST = "latest", "best:"
NAMED = 8  # of many candidates, those that a message names


class UnknownRun(SettingError):
    """There is no such run; the message says which names come close."""


def seeds_of(path: str | Path) -> list[Run]:
    """The runs of a group, in the order of their seeds; also those that cannot be read.

    Raises:
        OSError: It cannot be read.
    """
    return sorted(map(read, _seeds_in(path)), key=lambda run: int(run.path.name.removeprefix("seed_")))


def seeds_named(group: str | Path) -> list[int]:
    """The seeds that a group was begun with, whatever has become of them; none where it does not say."""
    with contextlib.suppress(OSError, ValueError, RecursionError, AttributeError):
        told = json.loads((Path(group) / SEEDS).read_bytes()).get("seeds")
        return [seed for seed in told if type(seed) is int] if isinstance(told, list) else []
    return []


def runs_in(folder: str | Path) -> list[Run]:
    """The runs in a folder, in the order in which they began; none where there is no such folder.

    Raises:
        OSError: It cannot be read.
    """
    return sorted(map(read, _paths_in(folder)), key=_in_order)


def names_in(folder: str | Path) -> list[str]:
    """The names of the runs in a folder; none where it cannot be read."""
    with contextlib.suppress(OSError):
        return sorted(path.relative_to(folder).as_posix() for path in _paths_in(folder))
    return []


def find(text: str, folder: str | Path = "logs") -> Run:
    """The run that is meant.

    Args:
        text: The path of its directory; or, of the runs in the folder, its name, the beginning of just one
            name, `latest` for the one that began last, or `best:ENV` for the finished one of that environment
            that has the best score.
        folder: The folder that holds the runs.

    Raises:
        UnknownRun: There is none.
        SettingError: There are several, or none of them is what is asked for.
        OSError: The folder cannot be read.
    """
    if text == LATEST:
        if not (found := runs_in(folder)):
            raise _refused(text, f"there is no run in {folder}")
        return found[-1]
    if text.startswith(BEST):
        return _best(text, folder)
    if text and is_run(text):
        return read(text)
    if group := _group(text, folder):
        seeds = [f"{text}/{run.path.name}" for run in seeds_of(group)]
        raise _refused(text, "a training of several seeds", f"name one of them: {', '.join(seeds[:NAMED])}")
    if sweep := _sweep(text, folder):
        shown = quote(text if folder == "logs" or sweep == Path(text) else str(sweep))
        hint = f"`lerax sweep show {shown}` ranks its trials, of which {text}/trial_0000 is the first"
        raise _refused(text, "a sweep of many trainings", hint)
    names = names_in(folder)
    meant = [name for name in names if name == text] or [
        name for name in names if text and name.startswith(text)
    ]
    if len(meant) == 1:
        return read(Path(folder) / meant[0])
    if meant:
        more = f" and {len(meant) - NAMED} more" if len(meant) > NAMED else ""
        raise _refused(text, f"{len(meant)} runs begin so", ", ".join(meant[:NAMED]) + more)
    if text and is_closed(text):
        raise _refused(text, "its folder cannot be read (permission denied)")
    if text and os.path.isdir(text):
        raise _refused(text, f"not the directory of a run: it has no {CONFIG} and no {FACTS}")
    near = nearest(text, names)
    hint = f"did you mean {' or '.join(near)}?" if near else _what_there_is(len(names), folder)
    raise UnknownRun("run", text, wrong="no such run", hint=hint)


def find_all(texts: Sequence[str], folder: str | Path = "logs") -> list[Run]:
    """The runs that are meant, each once; all seeds where a text names a training with several.

    Args:
        texts: What `find` takes each, and besides the path or the name of a group.
        folder: The folder that holds the runs.

    Raises:
        UnknownRun: There is none.
        SettingError: There are several, or none of them is what is asked for.
        OSError: The folder cannot be read.
    """
    found: dict[Path, Run] = {}
    for text in texts:
        group = find_group(text, folder)
        for run in seeds_of(group) if group else [find(text, folder)]:
            found.setdefault(run.path.resolve(), run)
    return list(found.values())


def find_group(text: str, folder: str | Path = "logs") -> Path | None:
    """The training of several seeds that is meant; None where none is.

    Args:
        text: Its path; or, in the folder, its name, or how its name alone begins; or `latest`, where the run
            that began last is one of several seeds.
        folder: The folder that holds the runs.
    """
    if text == LATEST:
        return next(filter(is_group, (run.path.parent for run in runs_in(folder)[-1:])), None)
    if (group := _group(text, folder)) or not text or "/" in text or is_run(text):
        return group
    meant = {name.partition("/")[0] for name in names_in(folder) if name.startswith(text)}
    return next(filter(is_group, (Path(folder) / name for name in meant)), None) if len(meant) == 1 else None


def _group(text: str, folder: str | Path) -> Path | None:
    """The group that a path, or the name of one in the folder, leads to."""
    return next(filter(is_group, (Path(text), Path(folder) / text)), None) if text else None


def _sweep(text: str, folder: str | Path) -> Path | None:
    """The sweep that a path, or the name of one in the folder, leads to."""
    places = (Path(text), Path(folder) / text)
    return next((place for place in places if text and os.path.isfile(place / SWEEP)), None)


def _best(text: str, folder: str | Path) -> Run:
    env = text.removeprefix(BEST)
    finished = [run for run in runs_in(folder) if run.status == "finished" and run.score is not None]
    meant = [run for run in finished if run.env.casefold() == env.casefold()]
    if not meant:
        envs = dict.fromkeys(run.env for run in finished)
        hint = f"finished in {folder}: {', '.join(envs)}" if envs else f"there is none in {folder}"
        raise _refused(text, f"no finished run of {env or 'no environment'}", hint)
    return max(meant, key=lambda run: (run.score or 0.0, run.began))


def _refused(text: str, wrong: str, hint: str = "") -> SettingError:
    return SettingError("run", text, wrong=wrong, hint=hint)


def _what_there_is(count: int, folder: str | Path) -> str:
    return f"`lerax runs --out {folder}` lists {count}" if count else f"there is no run in {folder}"


def _in_order(run: Run) -> tuple[float, int, str]:
    """Runs that began in one second have names that differ in a number: 9 before 10."""
    return run.began, len(run.name), run.name


def _paths_in(folder: str | Path) -> list[Path]:
    found: list[Path] = []
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            if is_run(entry.path):
                found.append(Path(entry.path))
            elif is_group(entry.path):
                found += _seeds_in(entry.path)
    return found


def _seeds_in(group: str | Path) -> list[Path]:
    with os.scandir(group) as entries:
        seeds = [entry.path for entry in entries if SEED.fullmatch(entry.name)]
    return [Path(path) for path in seeds if is_run(path) or is_closed(path)]
