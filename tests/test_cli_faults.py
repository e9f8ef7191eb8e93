"""What goes wrong while a run is made, and what becomes of it."""

import contextlib
import json
import shutil
import signal
from pathlib import Path

import jax
import numpy as np
import pytest
import terminal
from disks import fill, small_disk
from jax import random as jr

from lerax import checkpoint
from lerax.env.classic_control import CartPole
from lerax.policy import MLPActorCriticPolicy
from lerax_cli.compile_cache import cache_folder

DIVERGING = (*terminal.BRIEF, "--set", "learning_rate=1e30", "--set", "max_grad_norm=1e30")


def parameters(run: Path) -> list[np.ndarray]:
    """The numbers in a run's policy."""
    policy = checkpoint.load(run / "policy.eqx", MLPActorCriticPolicy(env=CartPole(), key=jr.key(0)))
    return [np.asarray(leaf) for leaf in jax.tree.leaves(policy)]


def test_training_that_diverges_ends_with_the_last_good_policy(tmp_path: Path):
    """P10: exit 1, the run says so, and the saved policy holds numbers."""
    done = terminal.warm("train", *DIVERGING, cwd=tmp_path)
    run = terminal.only_run(tmp_path / "logs")
    assert done.returncode == 1
    assert done.stdout == f"logs/{run.name}\n"
    assert "\nphase=diverged step=512 total=2048" in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("lerax: error: ")]
    assert len(errors) == 1 and "diverged" in errors[0] and "iteration 1;" in errors[0]
    facts = terminal.facts(run)
    assert (facts["status"], facts["diverged_at_iteration"], facts["steps"]) == ("diverged", 1, 512)
    assert all(np.isfinite(leaf).all() for leaf in parameters(run))
    assert len(terminal.records(run)) == 1  # noticed at once


@pytest.mark.parametrize("choice", ["warn", "off"])
def test_training_goes_on_with_what_is_not_finite_when_told_to(tmp_path: Path, choice: str):
    """P10: `--nan warn` says which values, `--nan off` says nothing; both exit with 0."""
    done = terminal.warm("train", *DIVERGING, "--nan", choice, "-q", cwd=tmp_path)
    run = terminal.only_run(tmp_path / "logs")
    assert done.returncode == 0, done.stderr
    assert terminal.facts(run)["status"] == "finished"
    assert not all(np.isfinite(leaf).all() for leaf in parameters(run))
    assert terminal.records(run)[2]["train/loss"] is None  # JSON has no NaN
    warned = [line for line in done.stderr.splitlines() if "not finite" in line and "train/loss" in line]
    assert bool(warned) == (choice == "warn")
    assert (done.stderr == "") == (choice == "off")


def test_more_than_memory_holds_is_one_line(tmp_path: Path):
    """Exit 1 and a line with what is needed and what there is; nothing is begun."""
    size = "--num-envs 1048576 --set num_steps=1024 --set num_batches=1 --steps 1073741824"
    line = f"ulimit -v 24000000; $LERAX train CartPole-v1 --preset none {size} --progress off"
    done = terminal.sh(line, tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("lerax: error: ") and len(done.stderr.splitlines()) == 1
    assert "memory: needs about" in done.stderr and "GiB are available" in done.stderr
    assert not list(tmp_path.iterdir())


def test_compilation_cache_that_cannot_be_written_is_a_warning(tmp_path: Path):
    """Training goes on without it; nobody's permissions let it write below /proc."""
    done = terminal.run("train", *terminal.BRIEF, "-q", cwd=tmp_path, JAX_COMPILATION_CACHE_DIR="/proc/fs")
    assert done.returncode == 0, done.stderr
    assert done.stderr and all(line.startswith("lerax: warning: ") for line in done.stderr.splitlines())
    assert "cache" in done.stderr
    assert terminal.facts(terminal.only_run(tmp_path / "logs"))["status"] == "finished"


@pytest.mark.parametrize("variable", ["HOME", "XDG_CACHE_HOME", "JAX_COMPILATION_CACHE_DIR"])
def test_no_place_for_the_compilation_cache_is_a_warning(monkeypatch: pytest.MonkeyPatch, variable: str):
    """Whichever variable points to a place that cannot be."""
    for name in ("XDG_CACHE_HOME", "JAX_COMPILATION_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "/proc/nowhere")
    said: list[str] = []
    assert cache_folder(said.append) is None
    assert len(said) == 1 and "/proc/nowhere" in said[0]


def test_home_is_not_needed(tmp_path: Path):
    """A service has none. Compiled as for users, without the flags of these tests."""
    done = terminal.run("train", *terminal.BRIEF, "-q", cwd=tmp_path, HOME=None, XLA_FLAGS=None)
    assert (done.returncode, done.stderr) == (0, "")


def test_runs_of_one_second_get_a_directory_each(tmp_path: Path):
    """P8: the name says the second, and still no run writes into another's directory."""
    command = (terminal.LERAX, "train", *terminal.BRIEF, "-q")
    with contextlib.ExitStack() as stack:
        runs = [stack.enter_context(terminal.started(*command, cwd=tmp_path)) for _ in range(4)]
        ended = [process.communicate(timeout=terminal.SECONDS) for process in runs]
    assert [err for _, err in ended] == [""] * 4
    paths = {out.strip() for out, _ in ended}
    assert len(paths) == 4
    for path in paths:
        assert terminal.facts(tmp_path / path)["status"] == "finished"
        assert len(terminal.records(tmp_path / path)) == 4  # its own iterations


@pytest.mark.parametrize("kib, backends", [(64, []), (96, ["--backend", "tensorboard", "--backend", "csv"])])
def test_disk_that_fills_up_while_training_costs_no_policy(tmp_path: Path, kib: int, backends: list[str]):
    """What is lost and where is said, exit 1; policy and run.json have room, tables hold whole lines."""
    with small_disk(tmp_path / "disk", kib) as disk:
        arguments = ("CartPole-v1", "--preset", "none", "--steps", "40000", *backends, "--name", "mine", "-q")
        done = terminal.warm("train", *arguments, "--out", "disk", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (1, "disk/mine\n"), done.stderr
        run = disk / "mine"
        *warned, last = done.stderr.splitlines()
        assert last == "lerax: error: disk/mine is not complete, see above; saved: policy.eqx and run.json"
        named = {
            line.partition("No space left on device: 'disk/mine/")[2].partition("'")[0] for line in warned
        }
        lost = {name for name in named if name and not name.startswith("checkpoints/")}
        assert "metrics.jsonl" in lost <= {path.name for path in run.iterdir()}
        facts = terminal.facts(run)
        assert facts["status"] == "finished" and facts["steps"] == 40448
        assert [f"lerax: warning: {text}" for text in facts["lost"]] == warned
        assert all(np.isfinite(leaf).all() for leaf in parameters(run))
        steps = [row["step"] for row in terminal.records(run)]
        assert steps and steps == [512 * (i + 1) for i in range(len(steps))]
        assert (run / "metrics.jsonl").read_bytes().endswith(b"}\n")
        if backends:
            assert (run / "metrics.csv").read_bytes().endswith(b"\n")
        assert not list(run.glob(".*"))


def test_too_little_room_for_the_policy_is_refused_at_the_beginning(tmp_path: Path):
    """With the figures, before anything is compiled; nothing is left. A limit of files' sizes is no other."""
    with small_disk(tmp_path / "disk", 48):
        done = terminal.warm("train", *terminal.BRIEF, "--out", "disk", cwd=tmp_path)
        assert not list((tmp_path / "disk").iterdir())
    error = "lerax: error: --out: cannot be written (got 'disk'): No space left on device; "
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(error) and "bytes, 49,152 are free" in done.stderr
    done = terminal.sh(f"ulimit -f 32; $LERAX train {' '.join(terminal.BRIEF)}", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "--out: cannot be written (got 'logs'): File too large" in done.stderr
    assert not list((tmp_path / "logs").iterdir())


def test_run_that_is_removed_while_it_trains(tmp_path: Path):
    """Nothing can be saved: each file is named, exit 1, and no traceback."""
    command = (terminal.LERAX, "train", *terminal.ENDLESS, "--name", "mine", "-q")
    with terminal.started(*command, cwd=tmp_path) as process:
        terminal.wait_for(lambda: terminal.trains(tmp_path), process)
        shutil.rmtree(tmp_path / "logs")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=terminal.SECONDS)
    assert (process.returncode, out) == (1, "logs/mine\n")
    errors = [line for line in err.splitlines() if line.startswith("lerax: error: ")]
    gone = [
        f"logs/mine/{name} is not saved: No such file or directory" for name in ("policy.eqx", "run.json")
    ]
    gone.append("logs/mine is not complete, see above; saved: nothing")
    assert errors == [f"lerax: error: {text}" for text in gone]
    assert all(line.startswith("lerax: ") for line in err.splitlines())


def test_outcome_that_a_full_disk_does_not_take(tmp_path: Path):
    """`--json > FILE`: exit 1, the run is saved, and the line that says so names it."""
    with small_disk(tmp_path / "disk", 64) as disk:
        fill(disk)
        line = f"$LERAX train {' '.join(terminal.BRIEF)} --name mine -q --json >disk/outcome"
        done = terminal.sh(line, tmp_path)
    assert done.returncode == 1
    _, _, lost = done.stderr.partition("standard output cannot be written (No space left on device); lost: ")
    assert lost.startswith(json.dumps({"run": "logs/mine", "status": "finished"})[:-1])
    assert terminal.facts(tmp_path / "logs" / "mine")["status"] == "finished"
