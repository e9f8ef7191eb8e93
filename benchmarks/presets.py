"""Measures the presets again: trains each with some seeds, and evaluates 100 greedy episodes of each.

    python benchmarks/presets.py --env CartPole-v1 --algo dqn
    python benchmarks/presets.py --seeds 3 --jobs 2 --output benchmarks/RESULTS.md

Every training and every evaluation is a fresh process of the command. What is not measured stays in the file.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from statistics import mean, median
from typing import Any

from results import processor, update
from tables import markdown

from lerax import registry

KEY = "presets"
EPISODES = 100
HEAD = ("environment", "algorithm", "steps", "aim", "mean", "of each seed", "seconds of training", "measured")
GAMES = ("Asterix", "Breakout", "Freeway", "SpaceInvaders")
ENVS = (*registry.ENVS, "gymnasium:LunarLander-v3", *(f"gymnax:{game}-MinAtar" for game in GAMES))
ABOUT = f"""## Presets

`lerax train ENV --algo NAME --seed S`, seeds 0, 1, ...: mean return of {EPISODES} greedy episodes
(`lerax eval`) beside the score that the preset promises; seconds of training, compilation
included, are the median of the seeds."""


def main() -> int:
    """Measures what the command line asks for; 2 when there is no such preset, 1 when a score is missed."""
    arguments = _parser().parse_args()
    rows = _presets()
    wanted = [row for row in rows if arguments.env in (None, row[0]) and arguments.algo in (None, row[1])]
    if not wanted:
        print(f"no such preset; there are {', '.join('/'.join(row) for row in rows)}", file=sys.stderr)
        return 2
    old = arguments.output.read_text() if arguments.output and arguments.output.exists() else ""
    told = _told(old)
    missed = False
    for env, algo in wanted:
        preset = registry.presets(env)[algo]
        told[env, algo] = line = _measure(env, algo, preset, arguments)
        missed |= "MISSED" in line[4]
        print(" | ".join(line), flush=True)
        if arguments.output:  # after every one: a run that is stopped keeps what it has
            table = markdown(HEAD, [told.get(row) or _not_run(*row) for row in rows])
            block = f"{ABOUT}\n\n{table}"
            arguments.output.write_text(
                update(old, {KEY: block}, [*re.findall(r"<!-- begin (\S+)", old), KEY])
            )
    return int(missed)


def _presets() -> list[tuple[str, str]]:
    """Environment and algorithm of each preset."""
    return [(env, algo) for env in ENVS for algo in registry.presets(env)]


def _told(text: str) -> dict[tuple[str, str], list[str]]:
    """The rows of a file that were measured."""
    block = re.search(rf"<!-- begin {KEY} -->\n(.*?)<!-- end {KEY} -->", text, re.DOTALL)
    lines = [line.strip("| ").split(" | ") for line in (block.group(1) if block else "").splitlines()]
    measured = [line for line in lines if len(line) == len(HEAD) and line[4] != "not run"]
    return {(line[0], line[1]): line for line in measured if line[0] in ENVS}


def _aim(preset: dict[str, Any]) -> str:
    return f"{preset['score']:,g}" if "score" in preset else "-"


def _not_run(env: str, algo: str) -> list[str]:
    preset = registry.presets(env)[algo]
    command = f"`python benchmarks/presets.py --env {env} --algo {algo}`"
    return [env, algo, f"{preset['steps']:,}", _aim(preset), "not run", command, "-", "-"]


def _measure(env: str, algo: str, preset: dict[str, Any], arguments: argparse.Namespace) -> list[str]:
    """A row of the table."""
    with (
        tempfile.TemporaryDirectory(prefix="lerax-presets-") as folder,
        ThreadPoolExecutor(arguments.jobs) as pool,
    ):
        one = lambda seed: _train(env, algo, seed, folder)
        results = list(pool.map(one, range(arguments.seeds)))
    returns, seconds = zip(*results, strict=True)
    reached = mean(returns)
    missed = reached < preset.get("score", float("-inf"))
    return [
        env,
        algo,
        f"{preset['steps']:,}",
        _aim(preset),
        f"{_short(reached)}{' MISSED' if missed else ''}",
        ", ".join(map(_short, returns)),
        f"{median(seconds):.1f}",
        f"{date.today()}, {processor()}, {arguments.jobs} at a time",
    ]


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}"


def _train(env: str, algo: str, seed: int, folder: str) -> tuple[float, float]:
    """Mean return after a training, and the seconds that it took."""
    outcome = _lerax("train", env, "--algo", algo, "--seed", str(seed), "--out", folder, "--json", "-q")
    found = _lerax("eval", outcome["run"], "--episodes", str(EPISODES), "--json", "-q")
    return found["mean_return"], outcome["seconds_training"]


def _lerax(*words: str) -> dict[str, Any]:
    """What a command prints as JSON."""
    done = subprocess.run([sys.executable, "-m", "lerax_cli", *words], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"lerax {' '.join(words)}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", help="this environment only")
    parser.add_argument("--algo", help="this algorithm only")
    parser.add_argument("--seeds", type=int, default=3, help="how many (default: 3)")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time (default: 1)")
    parser.add_argument("--output", type=Path, help="the Markdown file to bring up to date")
    return parser


if __name__ == "__main__":
    sys.exit(main())
