"""Runs that are killed at any time go on as if nothing had been: the parameters and all that was logged.

`make test-faults` kills 40 times and more; here is a sample.
"""

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import terminal
from faults import chance_of, count
from test_cli_resume import check_same, saved

from lerax import checkpoint

SUBJECTS = {
    "CartPole-v1": ("CartPole-v1", "--preset", "none", "--steps", "60_000", "--save-every", "4096")
    + ("--video-interval", "20"),
    "toys": ("toys:Target", "--algo", "toys:Replays", "--policy", "toys:Steered", "--steps", "20_000")
    + ("--set", "warm_up=16", "--save-every", "1000"),
    "Hopper-v5": ("Hopper-v5", "--steps", "8192", "--save-every", "1024", "--num-envs", "4")
    + ("--set", "num_steps=64"),
}
CHANGES = {"MUJOCO_GL": "off", "PYTHONPATH": str(Path(__file__).parent)}
# The phases in which a kill comes: a sign that it has begun, and how much later at most.
PHASES: dict[str, tuple[Callable[[Path], object], float]] = {
    "import": (lambda run: True, 1.5),
    "compile": (lambda run: (run / "config.toml").exists(), 1.0),
    "train": (lambda run: (run / "metrics.jsonl").exists() and (run / "metrics.jsonl").stat().st_size, 1.0),
    "save": (lambda run: list(run.glob("checkpoints/.*")) or saved(run)[-1:] > [0], 0.02),
    "evaluate": (lambda run: (run / "policy.eqx").exists(), 0.3),
    "video": (lambda run: list(run.glob("videos/*")), 0.5),
}


def line(subject: str, name: str) -> tuple[str, ...]:
    return (
        "train",
        *SUBJECTS[subject],
        "--seed",
        "1",
        "--name",
        name,
        "--resume",
        "auto",
        "--progress",
        "off",
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kills")


def whole(folder: Path, subject: str) -> Path:
    """A run of its kind that was never interrupted."""
    path = folder / "logs" / f"whole-{subject}"
    if not path.exists():
        done = terminal.forked(*line(subject, path.name), cwd=folder, **CHANGES)
        assert done.returncode == 0, done.stderr
    return path


def kill(run: Path, command: tuple[str, ...], phase: str, chance: random.Random) -> bool:
    """Starts the command, and kills it within a phase; whether it had not ended before."""
    sign, most = PHASES[phase]
    cwd, delay = run.parent.parent, chance.uniform(0, most)

    def meanwhile(pid: int) -> None:
        with contextlib.suppress(OSError):  # it has ended
            while not sign(run):
                if terminal.state_of(pid) == "Z":
                    return
                time.sleep(0.002)
            time.sleep(delay)
            os.kill(pid, signal.SIGKILL)

    if phase == "import":
        with terminal.started(terminal.LERAX, *command, cwd=cwd, anew=True, **CHANGES) as process:
            meanwhile(process.pid)
            code = process.wait()
    else:
        code = terminal.forked_beside(meanwhile, *command, cwd=cwd, **CHANGES).returncode
    assert code in (0, -signal.SIGKILL)
    return code != 0


@pytest.mark.parametrize("number", count(42, 2))
def test_kill(folder: Path, number: int, record_property: Callable[[str, object], None]):
    """In each phase, some of them several times, and some while they go on from the kill before."""
    chance = chance_of("kill", number)
    subject = [*SUBJECTS][number % len(SUBJECTS)]
    expected = whole(folder, subject)
    run = folder / "logs" / f"killed-{number}"
    kills: list[str] = []
    for phase in chance.choices([*PHASES], k=chance.choice((1, 1, 2, 3))):
        if phase == "video" and subject != "CartPole-v1":
            phase = "train"
        if kill(run, line(subject, run.name), phase, chance):
            kills.append(phase)
        for path in run.glob("checkpoints/*.lerax"):
            checkpoint.check(path)
    record_property("kills", " ".join(kills))
    done = terminal.forked(*line(subject, run.name), cwd=folder, **CHANGES)
    assert done.returncode == 0, (kills, done.stderr)
    check_same(run, expected)
    facts = terminal.facts(run)
    assert facts["status"] == "finished" and saved(run)[-1] == facts["steps"]
    left = [path.name for path in run.rglob(".*")]
    assert not left


@pytest.mark.parametrize("number", count(3, 0))
def test_an_environment_that_breaks(folder: Path, number: int):
    """The run says which, and goes on where the environment is mended."""
    words = ("faulty:Breaks", "--algo", "toys:Replays", "--policy", "toys:Steered", "--steps", "4000")
    names = ("--set", "warm_up=16", "--seed", "1", "--save-every", "200", "--progress", "off")
    train = ("train", *words, *names, "--resume", "auto", "--name")
    whole, run = folder / "logs" / "mended", folder / "logs" / f"broken-{number}"
    if not whole.exists():
        assert terminal.forked(*train, whole.name, cwd=folder, **CHANGES).returncode == 0
    step = chance_of("environment", number).randrange(10, 3999)
    done = terminal.forked(*train, run.name, cwd=folder, FAULTY=f"env={step}", **CHANGES)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "a fault in the environment" in done.stderr.splitlines()[-1]
    facts = terminal.facts(run)
    assert facts["status"] == "failed" and "a fault in the environment" in facts["error"]
    assert saved(run) and saved(run)[-1] <= step
    assert terminal.forked(*train, run.name, cwd=folder, **CHANGES).returncode == 0
    check_same(run, whole)
