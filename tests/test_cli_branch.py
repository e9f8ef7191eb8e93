"""A new run from a checkpoint of another: its curves begin with the old ones, its settings are its own."""

import csv
import dataclasses
import os
import re
import shlex
from pathlib import Path
from typing import Any

import in_process
import numpy as np
import pytest
import terminal
from jax import numpy as jnp
from jax import random as jr
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lerax import checkpoint
from lerax.archive import SEGMENTS, Segments
from lerax.branch import branch_off, copy_logs
from lerax.callback import TensorBoardBackend
from lerax.files import read_toml
from lerax.run import hold, read_facts
from lerax.runs import Run
from lerax_cli.begun import Begun
from lerax_cli.branched import fill
from lerax_cli.continued import read

STEPS, AT = 2048, 1024
EACH = 512  # steps of an iteration
QUIET = ("--progress", "off")
FORK = ("--at", str(AT), "--seed", "7", "--set", "env.max_episode_steps=50")
FORK += ("--set", "learning_rate=0.01", "--set", "learning_rate_schedule=linear")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a complete run, in two parts, and a branch of it that has other settings."""
    folder = tmp_path_factory.mktemp("branch")
    options = ("--keep", "9", "--backend", "tensorboard", "--backend", "csv", "--name", "old")
    lines = (
        ("train", "CartPole-v1", "--preset", "none", "--steps", str(AT), "--seed", "1", *options, *QUIET),
        ("resume", "old", "--steps", str(STEPS), *QUIET),
        ("branch", "old", *FORK, "--steps", "+2048", "--name", "fork", *QUIET),
    )
    for line in lines:
        done = terminal.warm(*line, cwd=folder)
        assert done.returncode == 0, done.stderr
    return folder


def learned(run: Path) -> bytes:
    """The numbers of the policy, without what its file says of them."""
    return (run / "policy.eqx").read_bytes().split(b"\n", 2)[2]


def logged(run: Path, start: int = 0, end: int = STEPS) -> list[dict]:
    """`metrics.jsonl` without the times, of the steps behind `start`."""
    rows = [row for row in terminal.records(run) if start < row["step"] <= end]
    return [{tag: x for tag, x in row.items() if not tag.startswith("time/")} for row in rows]


def table(run: Path) -> list[dict[str, str]]:
    with open(run / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def contents(run: Path) -> dict[Path, tuple[int, bytes]]:
    """All files, and when each was written to."""
    files = [path for path in run.rglob("*") if path.is_file()]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def curves(run: Path) -> EventAccumulator:
    return EventAccumulator(str(run), size_guidance={"scalars": 0, "tensors": 0}).Reload()


def test_a_branch_without_other_settings_is_the_same_training(folder: Path):
    """Bit for bit, while the other run is held by the process that trains it, and is not written to."""
    old, before, lock = folder / "logs" / "old", contents(folder / "logs" / "old"), hold(folder / "logs/old")
    try:
        options = ("--at", "1_024", "--steps", str(STEPS))
        done = terminal.warm("branch", "old", *options, *QUIET, cwd=folder)
    finally:
        os.close(lock)
    assert (done.returncode, done.stdout) == (0, "logs/old-branch\n"), done.stderr
    assert contents(old) == before
    new = folder / "logs" / "old-branch"
    assert (learned(new), logged(new)) == (learned(old), logged(old))
    assert read_facts(new)["branched_from"] == {"run": "old", "path": str(old), "step": AT}
    assert [int(path.stem) for path in sorted(new.glob("checkpoints/*.lerax"))] == [1024, 2048]
    for path in new.glob("checkpoints/*.lerax"):
        assert checkpoint.check(path)["steps"] == int(path.stem)


def test_all_logs_begin_with_those_of_the_other_run(folder: Path):
    old, new, end = folder / "logs" / "old", folder / "logs" / "fork", AT + 2048
    steps = [*range(EACH, end + 1, EACH)]
    assert [row["step"] for row in logged(new, end=end)] == steps
    assert [int(row["step"]) for row in table(new)] == steps
    assert logged(new, end=AT) == logged(old, end=AT)
    assert table(new)[: AT // EACH] == table(old)[: AT // EACH]
    shown, before = curves(new), curves(old)
    for tag in ("train/loss", "train/learning_rate"):
        assert [event.step for event in shown.Scalars(tag)] == steps
        assert shown.Scalars(tag)[: AT // EACH] == before.Scalars(tag)[: AT // EACH]
    # What is said of the run are its own settings, once.
    (text,) = shown.Tensors("hparams/text_summary")
    assert "| learning_rate | 0.01 |" in text.tensor_proto.string_val[0].decode()


def test_a_branch_has_its_own_settings(folder: Path):
    run, end = folder / "logs" / "fork", AT + 2048
    config = read_toml(run / "config.toml")
    assert (config["seed"], config["steps"], config["algorithm"]["learning_rate"]) == (7, end, 0.01)
    rates = [row["train/learning_rate"] for row in logged(run, end=end)]
    falling = [0.01 * (1 - done / end) for done in range(AT, end, EACH)]
    assert rates == pytest.approx([2.5e-4] * (AT // EACH) + falling)
    lengths = [row["episode/length"] for row in logged(run, AT, end) if "episode/length" in row]
    assert lengths and read_facts(run)["evaluation"]["mean_length"] <= 50


def test_a_branch_that_was_killed_goes_on_from_its_first_checkpoint(folder: Path):
    run, whole = folder / "logs" / "killed", folder / "logs" / "fork"
    done = terminal.run("branch", "old", *FORK, "--steps", "+2048", "--name", "killed", *QUIET, cwd=folder)
    assert done.returncode == 0, done.stderr
    for path in sorted(run.glob("checkpoints/*.lerax"))[1:]:
        path.unlink()
    (run / "policy.eqx").unlink()
    text = (run / "run.json").read_text()
    (run / "run.json").write_text(text.replace('"finished"', '"running"'))
    done = terminal.warm("resume", "killed", *QUIET, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert learned(run) == learned(whole)
    assert logged(run, end=AT + 2048)[:-1] == logged(whole, end=AT + 2048)[:-1]
    assert read_facts(run)["branched_from"]["run"] == "old"


def test_names_are_numbered(folder: Path):
    done = terminal.warm("branch", "fork", "--steps", "+512", "--json", *QUIET, cwd=folder)
    again = terminal.warm("branch", "fork", "--steps", "+512", "--json", *QUIET, cwd=folder)
    assert re.search('"run": "logs/fork-branch"', done.stdout), done.stderr
    assert re.search('"run": "logs/fork-branch-1"', again.stdout), again.stderr


def refused(code: int, said: str, *arguments: str, cwd: Path) -> str:
    """A line of the command ends at once, with one line that says why."""
    before = sorted((cwd / "logs").iterdir())
    done = in_process.run(*arguments, *QUIET, cwd=cwd)
    assert done.returncode == code, done.stderr
    assert re.search(said, done.stderr) and done.stderr.count("\n") == 1, done.stderr
    assert sorted((cwd / "logs").iterdir()) == before
    return done.stderr


@pytest.mark.parametrize(
    ("said", "options"),
    [
        (r"--at: .*no such checkpoint \(got '1000'\); there are: 0, 1024, 2048, .*best", ("--at", "1000")),
        (r"--at: .*\(got 'last'\); there are: 0, 1024", ("--at", "last")),
        (r"--steps: missing; old is complete", ()),
        (r"--steps: not beyond the checkpoint at 1,024 \(got 1,024\)", ("--at", "1024", "--steps", "1024")),
        (r"--set: gama: .*gamma", ("--steps", "+512", "--set", "gama=0.5")),
        (r"--set: gamma: .*at most 1", ("--steps", "+512", "--set", "gamma=1.5")),
        (r"--set: a branch keeps .*environment", ("--steps", "+512", "--set", "env.name=Acrobot-v1")),
        (r"--set: a branch keeps .*algorithm", ("--steps", "+512", "--set", "algo=dqn")),
        (r"--set: no setting .*it is the option --seed", ("--steps", "+512", "--set", "seed=2")),
        (r"--env: .*a branch has that of its run", ("--env", "Acrobot-v1")),
        (r"--name: a run of that name exists", ("--steps", "+512", "--name", "old")),
        (r"--name: not a name", ("--steps", "+512", "--name", "../x")),
        (
            r"--set: policy.hidden_sizes = \[8\] does not fit \(saved: \[64, 64\]\)",
            ("--steps", "+512", "--set", "policy.hidden_sizes=[8]"),
        ),
        (
            r"--set: num_envs = 8 does not fit \(saved: 4\); .*`lerax train --config .*config.toml",
            ("--steps", "+512", "--set", "num_envs=8", "--set", "gamma=0.5"),
        ),
        (r"--set: the 2,048 steps .* no whole iterations", ("--steps", "+4096", "--set", "num_steps=96")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_branched_is_refused_before_there_is_a_directory(folder: Path, said: str, options):
    refused(2, said, "branch", "old", *options, cwd=folder)


def test_a_damaged_checkpoint_and_a_missing_run_are_refused(folder: Path, tmp_path: Path):
    refused(2, "RUN: .*'nope'", "branch", "nope", cwd=folder)
    copy = tmp_path / "logs" / "old"
    (copy / "checkpoints").mkdir(parents=True)
    for name in ("config.toml", "run.json"):
        (copy / name).write_bytes((folder / "logs" / "old" / name).read_bytes())
    refused(2, "--at: .*has no checkpoint", "branch", "old", cwd=tmp_path)
    said = r"--at: no checkpoint can be read \(got 'best'\): .*/000000000512.lerax: not a file of lerax"
    (copy / "checkpoints" / "000000000512.lerax").write_bytes(b"\x80\x04pickle")
    refused(1, said, "branch", "old", "--at", "best", cwd=tmp_path)
    refused(1, "--at: .*not a file of lerax", "branch", "old", "--steps", "+512", cwd=tmp_path)


def test_the_best_of_checkpoints_without_a_score_is_refused(folder: Path, tmp_path: Path):
    copy = tmp_path / "logs" / "old"
    (copy / "checkpoints").mkdir(parents=True)
    for name in ("config.toml", "run.json"):
        (copy / name).write_bytes((folder / "logs" / "old" / name).read_bytes())
    checkpoint.save(copy / "checkpoints" / "000000000512.lerax", {}, {"score": None})
    said = r"--at: no checkpoint has a score \(got 'best'\); there are: 512, newest$"
    refused(2, said, "branch", "old", "--at", "best", cwd=tmp_path)


def test_a_branch_lies_beside_its_run(folder: Path, tmp_path: Path):
    """Wherever it is called, unless `--out` says otherwise; and its name has to be free there."""
    (tmp_path / "logs" / "old").mkdir(parents=True)
    options = ("--at", str(AT), "--steps", "+512", "--time-limit", "0.001s", *QUIET)
    done = terminal.warm("branch", str(folder / "logs" / "old"), *options, "--name", "beside", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"{folder / 'logs' / 'beside'}\n"), done.stderr
    done = in_process.run("branch", ".", *options, "--name", "fork", cwd=folder / "logs" / "old")
    assert done.returncode == 2 and "a run of that name exists" in done.stderr


def test_a_refusal_to_go_on_names_a_line_that_works(folder: Path):
    others = ("--seed", "3", "--set", "gamma=0.5", "--set", "policy.activation=relu")
    told = refused(2, "old has seed = 1", "train", "--resume", "old", *others, cwd=folder)
    (line,) = re.findall("`(lerax branch [^`]*)`", told)
    done = terminal.warm(*shlex.split(line)[1:], *QUIET, cwd=folder)
    assert done.returncode == 0, done.stderr
    config = read_toml(folder / done.stdout.strip() / "config.toml")
    own = config["seed"], config["algorithm"]["gamma"], config["policy"]["activation"]
    assert own == (3, 0.5, "relu")


def test_large_arrays_are_shared_with_the_other_run(tmp_path: Path, folder: Path):
    at = tmp_path / "old" / "checkpoints" / "000000000512.lerax"
    run = read("old", str(folder / "logs"))._replace(run=Run(tmp_path / "old", {}), at=at)
    state: Any = {"replay": np.arange(2_000_000, dtype=np.float32), "count": np.int32(3)}
    at.parent.mkdir(parents=True)
    checkpoint.save(at, state, {"score": 1.0}, segments=Segments(at.parent / SEGMENTS))
    before = contents(run.path)
    (tmp_path / "new").mkdir()
    begun = Begun(None, state | {"count": np.int32(4)}, {"steps": 512})
    told = fill(tmp_path / "new", run, begun, {"config": {}})
    assert told["step"] == 512 and contents(run.path) == before
    links = [path.stat().st_nlink for path in (tmp_path / "new/checkpoints" / SEGMENTS).iterdir()]
    assert links == [2, 2]
    first = tmp_path / "new" / "checkpoints" / "000000000512.lerax"
    assert checkpoint.check(first) == {"steps": 512, "config": {}}
    assert int(checkpoint.load(first, state)["count"]) == 4


def test_event_files_are_copied_up_to_a_step_and_to_where_they_are_torn(tmp_path: Path):
    backend = TensorBoardBackend(tmp_path)
    backend.open("old")
    backend.log_hparams({"gamma": 0.9})
    for step in (1, 2, 3):
        backend.log_scalars({"x": float(step)}, step)
    backend.close()
    (file,) = (tmp_path / "old").iterdir()
    whole = file.read_bytes()
    for name, end in (("cut", whole[-9:-5]), ("flipped", b"x" + whole[-8:])):
        file.write_bytes(whole[:-9] + end)
        (tmp_path / name).mkdir()
        copy_logs(tmp_path / "old", tmp_path / name, 3)
        shown = curves(tmp_path / name)
        assert [event.step for event in shown.Scalars("x")] == [1, 2]
        assert shown.Tags()["tensors"] == []


def test_a_state_branches_off_in_python(algorithm, env, policy):
    start = algorithm.init(env, policy, key=jr.key(1), total_timesteps=256)
    saved = algorithm.run(start, 128)
    other = dataclasses.replace(algorithm, learning_rate=0.125)
    fresh = other.init(env, policy, key=jr.key(2), total_timesteps=512)
    state = branch_off(saved, fresh)
    assert int(state.iteration_count) == 128 // algorithm.steps_per_iteration
    assert int(state.total_iterations) == 512 // algorithm.steps_per_iteration
    assert float(state.opt_state.hyperparams["learning_rate"]) == 0.125
    assert jnp.array_equal(jr.key_data(state.key), jr.key_data(fresh.key))
    inner = lambda state: state.opt_state.inner_state[0].mu
    assert jnp.array_equal(inner(state), inner(saved)) and not jnp.array_equal(inner(state), inner(fresh))
    assert int(branch_off(saved, fresh, iteration=3).iteration_count) == 3
    with pytest.raises(ValueError, match="fresh: .*more than"):
        branch_off(saved, other.init(env, policy, key=jr.key(2), total_timesteps=128))
