"""Runs contestants as fresh processes, taking turns, so that a drift of the machine meets all."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

Row = dict[str, Any]
Rows = dict[str, list[Row]]  # by contestant, one row a round

WORKER = Path(__file__).with_name("worker.py")
TIMEOUT = 1800  # seconds until a process counts as hung


class Contestant(NamedTuple):
    """Something to measure.

    Attributes:
        name: Its name in the tables.
        command: Its command line for a round's seed.
        cache: Gives the compilation cache's directory for each process; None for no cache.
        warm_up: Whether a process that is not measured runs first.
    """

    name: str
    command: Callable[[int], Sequence[str]]
    cache: Callable[[], str] | None = None
    warm_up: bool = False


def worker(measure: str, peer: str, **options: Any) -> Callable[[int], list[str]]:
    """The command of a measurement in worker.py; an option that is True becomes a flag."""
    words = [sys.executable, str(WORKER), measure, peer]
    for name, value in options.items():
        words.append("--" + name.replace("_", "-"))
        words += [] if value is True else [str(value)]
    return lambda seed: [*words, "--seed", str(seed)]


def take_turns(contestants: Sequence[Contestant], rounds: int, directory: Path) -> Rows:
    """Measures every contestant once a round: A B C A B C.

    A contestant that is not installed or that fails is left out, with a line that says why.

    Args:
        contestants: What to measure.
        rounds: How often.
        directory: Where the processes run and may write.
    """
    rows: Rows = {contestant.name: [] for contestant in contestants}
    for round_ in range(rounds):
        for contestant in contestants:
            if contestant.name not in rows:
                continue
            if round_ == 0 and contestant.warm_up:
                measure(contestant, 0, directory)
            row = measure(contestant, round_, directory)
            if "skipped" in row:
                print(f"{contestant.name}: left out, {row['skipped']}", file=sys.stderr)
                del rows[contestant.name]
                continue
            print(f"{contestant.name}: {json.dumps(row)}", file=sys.stderr, flush=True)
            rows[contestant.name].append(row)
    return rows


def measure(contestant: Contestant, seed: int, directory: Path) -> Row:
    """Runs one process; what it printed as JSON, with its seconds from start to exit."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    try:
        done = subprocess.run(
            contestant.command(seed),
            cwd=directory,
            env=_environment(contestant),
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"skipped": str(error)}
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return {"skipped": f"exit {done.returncode}: {last}"}
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    row = _last_json(done.stdout)
    row |= row.get("evaluation", {})  # `lerax train --json` keeps the mean return in there
    return row | {"process_seconds": seconds, "process_cpu_seconds": cpu}


def _environment(contestant: Contestant) -> dict[str, str]:
    """This process's environment, with a compilation cache only where it is asked for."""
    caches = ("JAX_COMPILATION_CACHE", "JAX_PERSISTENT_CACHE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(caches)}
    cache = {"JAX_COMPILATION_CACHE_DIR": contestant.cache()} if contestant.cache else {}
    return kept | cache


def _last_json(text: str) -> Row:
    """The JSON object that ends a process's output; empty when there is none."""
    start = 0 if text.startswith("{") else text.rfind("\n{") + 1
    try:
        return json.loads(text[start:])
    except ValueError:
        return {}
