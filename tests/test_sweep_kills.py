"""Workers of a sweep that are killed at random and started again: none of their trials is lost.

A sample of this, whose trials are no trainings, is in `test_sweep.py`.
"""

import contextlib
import subprocess
import time
from pathlib import Path

import pytest
import terminal
from faults import chance_of, count
from test_cli_resume import check_same

from lerax import runs
from lerax.sweep.ranking import counts
from lerax.sweep.study import Sweep

TRIALS, WORKERS, KILLS = 200, 3, 20
SWEEP = (
    "sweep",
    "CartPole-v1",
    "--preset",
    "none",
    "--num-envs",
    "4",
    "--steps",
    "4096",
    "--save-every",
    "512",
)
SWEEP = (*SWEEP, "--try", "learning_rate=log:1e-4..1e-2", "--sampler", "random", "--name", "killed")
KILLED = -9
TRAINING = 0.8  # of the kills come while a trial is trained
NEWEST = 2 * WORKERS  # trials that are looked at


def training(folder: Path) -> set[int]:
    """The processes that train one of the newest trials."""
    trials = sorted(folder.glob("trial_*"))[-NEWEST:]
    found = [runs.read(trial / "seed_0") for trial in trials]
    return {run.facts["process"]["pid"] for run in found if run.status == runs.LIVES}


def wait_until_it_trains(worker: "subprocess.Popen[str]", folder: Path) -> None:
    """Or until it has ended."""
    terminal.wait_for(lambda: worker.pid in training(folder) or worker.poll() is not None, worker)


@pytest.mark.parametrize("number", count(1, 0))
def test_of_two_hundred_trials_none_is_lost(tmp_path: Path, number: int):
    chance, folder = chance_of("sweep", number), tmp_path / "logs" / "killed"
    line = (terminal.LERAX, *SWEEP, "--trials", str(TRIALS), "--progress", "off", "-q")
    cache = str(terminal.own_cache(tmp_path))
    with contextlib.ExitStack() as stack:
        process = lambda: terminal.started(*line, cwd=tmp_path, JAX_COMPILATION_CACHE_DIR=cache)
        start = lambda: stack.enter_context(process())
        workers, killed = [start() for _ in range(WORKERS)], 0
        while killed < KILLS:
            place = chance.randrange(WORKERS)
            if chance.random() < TRAINING:
                wait_until_it_trains(workers[place], folder)
            time.sleep(chance.uniform(0.0, 1.0))
            if workers[place].poll() is not None:
                break  # all is done
            workers[place].kill()
            assert workers[place].wait() == KILLED
            workers[place], killed = start(), killed + 1
            assert len([*folder.glob("trial_*")]) <= TRIALS
        said = [worker.communicate()[1] for worker in workers]
        assert [worker.returncode for worker in workers] == [0] * WORKERS, said
    assert terminal.run(*SWEEP, "--trials", str(TRIALS), "-q", cwd=tmp_path).returncode == 0
    sweep = Sweep(folder)
    assert counts(sweep.trials()) == {"complete": TRIALS, "running": 0, "pruned": 0, "failed": 0}
    assert len([*folder.glob("trial_*")]) == TRIALS
    again = []
    for trial in sweep.trials():
        run = runs.read(sweep.directory(trial.number) / "seed_0")
        before = run.facts.get("sessions", [])
        assert run.status == "finished" and trial.value == run.score
        assert all(session["status"] == "running" or session["status"] == "died" for session in before)
        again += [run.path] * bool(before)
    print(f"{killed} kills, {len(again)} trials went on in another process")
    assert killed == KILLS and len(again) >= KILLS // 4
    for path in again[:5]:
        whole = ("train", "--config", str(path / "config.toml"), "--name", f"whole-{path.parent.name}", "-q")
        assert terminal.run(*whole, cwd=tmp_path).returncode == 0
        check_same(path, tmp_path / "logs" / f"whole-{path.parent.name}")
