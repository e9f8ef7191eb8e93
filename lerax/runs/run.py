"""A run on disk, whatever state it is in."""

import contextlib
import json
import math
import os
import re
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from lerax.archive.folder import files_in, steps_of
from lerax.files import SEEDS, parse_toml, try_lock
from lerax.run import LONGEST_LINE, read_facts

FACTS, CONFIG, LOCK, METRICS = "run.json", "config.toml", "run.lock", "metrics.jsonl"
LIVES, UNKNOWN = "running", "unknown"
ENDED = ("finished", "interrupted", "paused", "pruned", "diverged", "failed", "died")
OVER = ("finished", "pruned", "diverged", "failed")  # which nobody is likely to go on with
STATUSES = (LIVES, *ENDED, UNKNOWN)
"""What the status of a run can be; `unknown` where `run.json` is missing or damaged."""
SEED = re.compile(r"seed_([0-9]+)")
SCORES = ("eval/return", "episode/return")  # tags, the better first


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
        """What it is called: the directory's name, that of a seed behind the one that holds all of them."""
        path = self.path if self.path.name not in ("", "..") else self.path.resolve()
        is_seed = SEED.fullmatch(path.name) and is_group(path.parent)
        return f"{path.parent.name}/{path.name}" if is_seed else path.name

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
        return int(number(self.facts.get("steps")) or 0)

    @property
    def saved_steps(self) -> int:
        """Environment steps at its newest checkpoint; 0 where there is none."""
        with contextlib.suppress(OSError):  # a folder that may not be read
            return max(map(steps_of, files_in(self.path / "checkpoints")), default=0)
        return 0

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
        if told := int(number(self.facts.get("total_steps")) or 0):
            return told
        with contextlib.suppress(OSError, ValueError):
            head = _start(self.path / CONFIG).partition(b"\n[")[0]  # all of it would take ten times as long
            return int(number(parse_toml(head.decode()).get("steps")) or 0)
        return 0

    @cached_property
    def score(self) -> float | None:
        """Mean return of its evaluation, else of its last episodes; None where there is neither."""
        return self.last(*SCORES) if self.evaluated is None else self.evaluated

    @property
    def evaluated(self) -> float | None:
        """Mean return of the evaluation at its end; None where there was none."""
        evaluation = self.facts.get("evaluation")
        return number(evaluation.get("mean_return")) if isinstance(evaluation, dict) else None

    def last(self, *tags: str) -> float | None:
        """The last that was logged of a tag, of several in a line the first; None where it is far back."""
        return _last_of(self.path / METRICS, tags)

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
        done = number(self.facts.get("seconds"))
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


def is_closed(path: str | Path) -> bool:
    """Whether a path is a directory that does not let one look whether it is that of a run."""
    try:
        os.stat(os.path.join(path, FACTS))
    except PermissionError:
        return True
    except (OSError, ValueError):
        pass
    return False


def is_group(path: str | Path) -> bool:
    """Whether a path is the directory of one training with several seeds, each of them a run in it."""
    return os.path.isfile(os.path.join(path, SEEDS))


def size_of(path: str | Path) -> int:
    """Bytes that a file or a folder takes on the disk; links are not followed."""
    facts = os.lstat(path)
    inside = _walk(path) if stat.S_ISDIR(facts.st_mode) else ()
    return facts.st_blocks * 512 + sum(one.st_blocks * 512 for one in inside)


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


def _last_of(path: Path, tags: Sequence[str]) -> float | None:
    """The last number of some tags in a `metrics.jsonl`, as far as it is near the end."""
    lines: list[bytes] = []
    with contextlib.suppress(OSError), open(path, "rb") as file:
        file.seek(-min(file.seek(0, os.SEEK_END), LONGEST_LINE), os.SEEK_END)
        lines = file.read().split(b"\n")[:-1]
    for line in reversed(lines):
        with contextlib.suppress(ValueError, RecursionError):
            row = json.loads(line)
            found = [number(row.get(tag)) for tag in tags] if isinstance(row, dict) else []
            if numbers := [one for one in found if one is not None]:
                return numbers[0]
    return None


def number(value: Any) -> float | None:
    """A number that is finite; None for anything else."""
    with contextlib.suppress(OverflowError):
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    return None
