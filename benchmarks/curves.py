"""One long training of lerax and of sbx with the same settings: returns of training episodes along the way.

    python benchmarks/curves.py sac                          # a million steps of HalfCheetah-v5: hours
    python benchmarks/curves.py crossq --steps 200000 --peers sbx

The contestants train one after the other, and a line is printed for each mark. Returns are the mean of the
last episodes: of the last 100 with sbx, the moving average `episode/return` with lerax.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from settings import OFF_POLICY, OffPolicySettings

LEARNING_STARTS = {"SAC": 10_000, "TD3": 10_000, "CrossQ": 5_000}
LEARNING_RATES = {"SAC": 3e-4, "TD3": 1e-3, "CrossQ": 1e-3}
NAMES = {name.lower(): name for name in LEARNING_STARTS}


def main() -> None:
    """Trains what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("algorithm", choices=NAMES)
    parser.add_argument("--env", default="HalfCheetah-v5")
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--marks", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peers", nargs="+", choices=("lerax", "sbx"), default=("lerax", "sbx"))
    arguments = parser.parse_args()
    name = NAMES[arguments.algorithm]
    settings = replace(
        OFF_POLICY[name],
        env=arguments.env,
        learning_starts=LEARNING_STARTS[name],
        learning_rate=LEARNING_RATES[name],
        timesteps=arguments.steps // arguments.marks,
    )
    for peer in arguments.peers:
        train = {"lerax": _lerax, "sbx": _sbx}[peer]
        began = time.perf_counter()
        for step, value in train(settings, arguments.steps, arguments.seed):
            print(f"{peer} {name} {step} {value:.0f}", flush=True)
        print(f"{peer} {name}: {time.perf_counter() - began:.0f} s", flush=True)


def _sbx(settings: OffPolicySettings, steps: int, seed: int) -> Iterator[tuple[int, float]]:
    from peers import sbx_off_policy

    model = sbx_off_policy.make(settings, settings.buffer_size, seed=seed)
    while model.num_timesteps < steps:
        model.learn(settings.timesteps, reset_num_timesteps=False)
        returns = [episode["r"] for episode in model.ep_info_buffer]
        yield model.num_timesteps, sum(returns) / max(1, len(returns))


def _lerax(settings: OffPolicySettings, steps: int, seed: int) -> Iterator[tuple[int, float]]:
    changes = {
        "learning_starts": settings.learning_starts,
        "learning_rate": settings.learning_rate,
        "batch_size": settings.batch_size,
        "policy.hidden_sizes": json.dumps(settings.hidden),
    }
    task = [settings.env, "--algo", settings.algorithm.lower(), "--steps", str(steps), "--seed", str(seed)]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "lerax_cli", "train", *task, "--out", folder, "--name", "run", "-q"]
        command += [part for name, value in changes.items() for part in ("--set", f"{name}={value}")]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        lines = (Path(folder) / "run/metrics.jsonl").read_text().splitlines()
    mark = settings.timesteps
    for record in map(json.loads, lines):
        if record["step"] >= mark and (value := record.get("episode/return")) is not None:
            mark += settings.timesteps
            yield record["step"], value


if __name__ == "__main__":
    main()
