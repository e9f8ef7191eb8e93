"""The job script of examples/slurm, stopped and started again by a test that plays the scheduler."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import terminal
from test_cli_resume import TRAIN, check_same, saved

from lerax.run import read_facts

SCRIPT = Path(__file__).parents[1] / "examples" / "slurm" / "train.sh"
ASKED = (*TRAIN[1:], "--save-every", "1d")  # so that checkpoints come of signals alone
VARIABLES = {"SLURM_JOB_NAME": "job", "SLURM_JOB_ID": "4711", "SLURM_ARRAY_TASK_ID": "1"}
GRACE_SECONDS = 30.0  # between SLURM's SIGTERM and its SIGKILL


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where jobs run, with a `scontrol` that writes down what it is asked for."""
    (tmp_path / "bin").mkdir()
    stub = tmp_path / "bin" / "scontrol"
    stub.write_text(f'#!/bin/sh\necho "$@" >> "{tmp_path}/asked"\n')
    stub.chmod(0o755)
    return tmp_path


@contextlib.contextmanager
def job(folder: Path, *options: str, left: int = 4 * 3600) -> Iterator[subprocess.Popen]:
    """The script, in a group of processes that stands for SLURM's batch step; it is killed at last."""
    path = os.pathsep.join((str(folder / "bin"), str(Path(terminal.LERAX).parent), os.environ["PATH"]))
    with terminal.ordinary_signals(), open(folder / "log", "a") as log:
        process = subprocess.Popen(
            [SCRIPT, *ASKED, *options],
            cwd=folder,
            env=terminal.environment(PATH=path, SLURM_JOB_END_TIME=str(int(time.time()) + left), **VARIABLES),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def save(run: Path, job: subprocess.Popen) -> int:
    """Waits until a job has trained, and tells its shell that time is nearly up; the steps that it saves."""
    before = saved(run)[-1] if run.exists() else 0
    trains = lambda: (run / "run.json").exists() and read_facts(run).get("steps", 0) > before
    terminal.wait_for(trains, job)
    job.send_signal(signal.SIGUSR1)
    terminal.wait_for(lambda: saved(run)[-1] > before, job)
    return saved(run)[-1]


def test_a_job_is_stopped_and_started_until_it_is_complete(folder: Path):
    """SIGUSR1 and SIGTERM, SIGUSR1 and SIGKILL, the end of its time: bitwise as if nothing had been."""
    run = folder / "logs" / "job-1"
    with job(folder) as first:
        at = save(run, first)
        os.killpg(first.pid, signal.SIGTERM)
        assert first.wait(GRACE_SECONDS) == 143
    facts = terminal.facts(run)
    assert facts["status"] == "interrupted" and saved(run)[-1] == facts["steps"] >= at
    with job(folder) as second:
        at = save(run, second)
        os.killpg(second.pid, signal.SIGKILL)
        assert second.wait() == -signal.SIGKILL
    end = time.monotonic() + GRACE_SECONDS
    while read_facts(run)["status"] == "running" and time.monotonic() < end:
        time.sleep(0.01)  # the script is gone, and lerax is about to be
    assert read_facts(run)["status"] == "died" and saved(run)[-1] == at
    assert not (folder / "asked").exists()
    with job(folder, left=301) as third:
        assert third.wait() == 0
    assert terminal.facts(run)["status"] == "paused"
    assert (folder / "asked").read_text() == "requeue 4711\n"
    with job(folder) as last:
        assert last.wait() == 0
    assert (folder / "asked").read_text() == "requeue 4711\n"
    facts = terminal.facts(run)
    assert [one["status"] for one in facts["sessions"]] == ["interrupted", "died", "paused"]
    assert facts["status"] == "finished" and facts["seed"] == 1
    whole = terminal.run(*TRAIN, "--name", "whole", cwd=folder)
    assert whole.returncode == 0, whole.stderr
    check_same(run, folder / "logs" / "whole")


def test_a_job_that_cannot_begin_is_not_started_again(folder: Path):
    """Also where the run that it belongs to was paused before."""
    run = folder / "logs" / "job-1"
    run.mkdir(parents=True)
    (run / "config.toml").write_text('seed = 1\nsteps = 8\nnan = "stop"\nenv = "CartPole-v1"\n')
    (run / "run.json").write_text('{"status": "paused"}')
    with job(folder, "--set", "nothing=1") as refused:
        assert refused.wait() == 2
    assert not (folder / "asked").exists()
