"""Runs on disk: what there is in a folder of them, which one is meant, and which can go."""

import contextlib
import json
import math
import os
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from .errors import SettingError
from .files import parse_toml, try_lock
from .names import nearest
from .run import LONGEST_LINE, read_facts

LATEST, BEST = "latest", "best:"
FACTS, CONFIG, LOCK, METRICS = "run.json", "config.toml", "run.lock", "metrics.jsonl"
LIVES, UNKNOWN = "running", "unknown"
ENDED = ("finished", "interrupted", "paused", "diverged", "failed", "died")
OVER = ("finished", "diverged", "failed")  # which nobody is likely to go on with
STATUSES = (LIVES, *ENDED, UNKNOWN)
"""What the status of a run can be; `unknown` where `run.json` is missing or damaged."""
SCORES = ("eval/return", "episode/return")  # tags, the better first
NAMED = 8  # of many candidates, those that a message names


class UnknownRun(SettingError):
    """There is no such run; the message says which names come close."""


@dataclass(frozen=True)
class Run:
    """A directory that holds a run, whatever state it is in.

    Attributes:
        path: The directory.
        facts: What `lerax.run.read_facts` says; empty where it cannot say anything.
        problem: Why it cannot, else "".
    """

    path: Path
    facts: dict[str, Any]
    problem: str = ""

    @property
    def name(self) -> str:
        """What it is called: the directory's name."""
        return self.path.name or self.path.resolve().name

    @property
    def status(self) -> str:
        """One of `STATUSES`, or what a newer version says."""
        return self._text("status") or UNKNOWN

    @property
    def env(self) -> str:
        """The name of its environment; "" where it is not known."""
        return self._text("env")

    @property
    def algo(self) -> str:
        """The name of its algorithm; "" where it is not known."""
        return self._text("algo")

    @property
    def steps(self) -> int:
        """Environment steps done."""
        return int(_number(self.facts.get("steps")) or 0)

    @property
    def began(self) -> float:
        """When it began, in seconds since the epoch; 0 where that is not known."""
        with contextlib.suppress(ValueError, OverflowError):
            return datetime.fromisoformat(self._text("started")).timestamp()
        return 0.0

    @property
    def heard(self) -> float:
        """When it gave its last sign of life, in seconds since the epoch; 0 where that is not known."""
        signs = [0.0]
        for name in (FACTS, METRICS):
            with contextlib.suppress(OSError):
                signs.append((self.path / name).stat().st_mtime)
        return max(signs)

    @cached_property
    def total(self) -> int:
        """Environment steps of the whole training, in whole iterations; 0 where that is not known."""
        if told := int(_number(self.facts.get("total_steps")) or 0):
            return told
        with contextlib.suppress(OSError, ValueError):
            head = _start(self.path / CONFIG).partition(b"\n[")[0]  # all of it would take ten times as long
            return int(_number(parse_toml(head.decode()).get("steps")) or 0)
        return 0

    @cached_property
    def score(self) -> float | None:
        """Mean return of its evaluation, else of its last episodes; None where there is neither."""
        evaluation = self.facts.get("evaluation")
        found = _number(evaluation.get("mean_return")) if isinstance(evaluation, dict) else None
        return _last_score(self.path / METRICS) if found is None else found

    @cached_property
    def size(self) -> int:
        """Bytes that it takes on the disk; links are not followed."""
        return size_of(self.path)

    @property
    def device(self) -> str:
        """What it trains on; "" where that is not known."""
        return self._text("device").partition(":")[0]

    @property
    def reason(self) -> str:
        """Why it counts as dead; "" where it does not."""
        return self._text("reason")

    @property
    def spent(self) -> float | None:
        """Seconds from its beginning to its end, or to now where it lives.

        None where that is not known, or where it has gone on from a checkpoint: its logs know.
        """
        if not self.began or "resumed" in self.facts:
            return None
        if self.status == LIVES:
            return time.time() - self.began
        done = _number(self.facts.get("seconds"))
        return max(self.heard - self.began, 0.0) if done is None else done

    @property
    def can_go_on(self) -> bool:
        """Whether it has ended before its time."""
        return self.status in ENDED and self.steps < self.total

    def _text(self, name: str) -> str:
        value = self.facts.get(name)
        return value if isinstance(value, str) else ""


def read(path: str | Path) -> Run:
    """A run from its directory, in whatever state that is."""
    path = Path(path)
    try:
        if not stat.S_ISREG((path / FACTS).stat().st_mode):  # a pipe would be waited for
            return Run(path, {}, f"{FACTS} is not a file")
        return Run(path, read_facts(path))
    except OSError as error:
        return Run(path, {}, f"{FACTS} cannot be read ({error.strerror})")
    except (ValueError, RecursionError):
        return Run(path, {}, f"{FACTS} is damaged")


def is_run(path: str | Path) -> bool:
    """Whether a path is the directory of a run, however damaged."""
    return any(os.path.isfile(os.path.join(path, name)) for name in (FACTS, CONFIG))


def runs_in(folder: str | Path) -> list[Run]:
    """The runs in a folder, in the order in which they began; none where there is no such folder.

    Raises:
        OSError: It cannot be read.
    """
    return sorted(map(read, _paths_in(folder)), key=_in_order)


def names_in(folder: str | Path) -> list[str]:
    """The names of the runs in a folder; none where it cannot be read."""
    with contextlib.suppress(OSError):
        return sorted(path.name for path in _paths_in(folder))
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
    names = names_in(folder)
    meant = [name for name in names if name == text] or [
        name for name in names if text and name.startswith(text)
    ]
    if len(meant) == 1:
        return read(Path(folder) / meant[0])
    if meant:
        more = f" and {len(meant) - NAMED} more" if len(meant) > NAMED else ""
        raise _refused(text, f"{len(meant)} runs begin so", ", ".join(meant[:NAMED]) + more)
    if text and os.path.isdir(text):
        raise _refused(text, f"not the directory of a run: it has no {CONFIG} and no {FACTS}")
    near = nearest(text, names)
    hint = f"did you mean {' or '.join(near)}?" if near else _what_there_is(len(names), folder)
    raise UnknownRun("run", text, wrong="no such run", hint=hint)


def size_of(path: str | Path) -> int:
    """Bytes that a file or a folder takes on the disk; links are not followed."""
    facts = os.lstat(path)
    inside = _walk(path) if stat.S_ISDIR(facts.st_mode) else ()
    return facts.st_blocks * 512 + sum(one.st_blocks * 512 for one in inside)


def prunable(
    runs: Sequence[Run], *, keep_best: int = 0, older_than: float = 0.0, statuses: Sequence[str] = ENDED
) -> list[Run]:
    """The runs that can go: no link, and none that lives.

    Args:
        runs: All there are.
        keep_best: Of each environment, so many of the best score stay.
        older_than: Seconds since the last sign of life.
        statuses: The status of those that may go.
    """
    now, kept = time.time(), set()
    for env in {run.env for run in runs}:
        scored = [run for run in runs if run.env == env and run.score is not None]
        best = sorted(scored, key=lambda run: run.score or 0.0, reverse=True)[:keep_best]
        kept |= {run.path for run in best}
    return [
        run
        for run in runs
        if run.status in statuses
        and run.status != LIVES
        and run.path not in kept
        and now - run.heard >= older_than
        and not run.path.is_symlink()
    ]


def remove(run: Run) -> bool:
    """Removes a run with all it has; links in it go, what they lead to stays.

    Returns:
        Whether it is gone; not where it lives, or is a link.

    Raises:
        OSError: Something of it cannot be removed.
    """
    with held(run.path) as free:
        if not free or run.path.is_symlink() or read(run.path).status == LIVES:
            return False
        shutil.rmtree(run.path)
    return True


@contextlib.contextmanager
def held(path: Path) -> Iterator[bool]:
    """Holds the lock of a run, if it has one; whether nobody else does."""
    try:
        file = os.open(path / LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        yield True
        return
    except OSError:  # a link, or somebody else's: who may not lock it may not remove it
        yield False
        return
    try:
        yield try_lock(file) is not False  # where there are no locks, run.json alone tells
    finally:
        os.close(file)


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
    try:
        with os.scandir(folder) as entries:
            return [Path(entry.path) for entry in entries if is_run(entry.path)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _walk(folder: str | Path) -> Iterator[os.stat_result]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):  # gone in the meantime
                yield entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    yield from _walk(entry.path)


def _start(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(LONGEST_LINE)


def _last_score(path: Path) -> float | None:
    """The last score in a `metrics.jsonl`, as far as it is near the end."""
    lines: list[bytes] = []
    with contextlib.suppress(OSError), open(path, "rb") as file:
        file.seek(-min(file.seek(0, os.SEEK_END), LONGEST_LINE), os.SEEK_END)
        lines = file.read().split(b"\n")[:-1]
    for line in reversed(lines):
        with contextlib.suppress(ValueError, RecursionError):
            row = json.loads(line)
            found = [_number(row.get(tag)) for tag in SCORES] if isinstance(row, dict) else []
            if scores := [one for one in found if one is not None]:
                return scores[0]
    return None


def _number(value: Any) -> float | None:
    """A number that is finite; None for anything else."""
    with contextlib.suppress(OverflowError):
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    return None
