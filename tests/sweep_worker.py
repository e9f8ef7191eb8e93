"""A worker of a sweep whose trials are no trainings: each writes when it begins and when it has ended."""

import os
import random
import sys
import time
from pathlib import Path

from lerax.sweep.plan import SweepPlan
from lerax.sweep.space import Range
from lerax.sweep.study import Sweep
from lerax.sweep.trial import COMPLETE, Verdict

folder, trials, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
sweep = Sweep(folder, SweepPlan({"x": Range(0.0, 1.0)}, trials, (0,), "random"))


def note(word: str, number: int) -> None:
    with open(folder / "notes", "a") as file:
        file.write(f"{word} {number} {os.getpid()}\n")


while trial := sweep.begin():
    note("begun", trial.number)
    time.sleep(random.random() * 2 * seconds)
    sweep.finish(trial, Verdict(COMPLETE, trial.settings["x"], {"scores": {"0": trial.settings["x"]}}))
    note("ended", trial.number)
