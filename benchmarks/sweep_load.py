"""How long a sweep of 10,000 finished trials takes to be read and ranked, in a process of its own.

python benchmarks/sweep_load.py [TRIALS]
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lerax.files import SWEEP
from lerax.sweep.plan import SweepPlan
from lerax.sweep.space import Choices, Range
from lerax.sweep.study import Sweep
from lerax.sweep.trial import verdict

SEEDS = (0, 1, 2)
TRIED = {"learning_rate": Range(1e-4, 1e-2, log=True), "gamma": Choices((0.95, 0.98, 0.99))}


def make(path: Path, trials: int) -> None:
    """A sweep whose trials all have come to their end, as workers write it but for waiting for the disk."""
    os.fsync = lambda file: None
    sweep = Sweep(path, SweepPlan(TRIED, trials, SEEDS, "random"))
    (path / SWEEP).write_text('[env]\nname = "CartPole-v1"\n')
    while trial := sweep.begin():
        score = 100 * trial.settings["gamma"] - 1e3 * abs(trial.settings["learning_rate"] - 1e-3)
        ends = [{"seed": s, "status": "finished", "evaluation": {"mean_return": score + s}} for s in SEEDS]
        found = verdict(ends, SEEDS, "iqm")
        assert found is not None
        sweep.finish(trial, found)


def main() -> None:
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sweep"
        path.mkdir()
        make(path, trials)
        size = (path / "journal.log").stat().st_size
        for _ in range(3):
            began, before = time.monotonic(), used()
            command = [sys.executable, "-m", "lerax_cli", "sweep", "show", str(path)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            took, computed = time.monotonic() - began, used() - before
            print(f"{trials:,} trials, {size / 1e6:.1f} MB: {took:.2f} s, of the processor {computed:.2f} s")


def used() -> float:
    """Seconds of the processor that the processes which have ended took."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


if __name__ == "__main__":
    main()
