"""Runs that go on, after a kill, a signal or a time limit, as if nothing had been; and what is refused."""

import json
import os
import re
import shlex
import shutil
import signal
from pathlib import Path

import in_process
import pytest
import terminal

from lerax import checkpoint
from lerax.run import hold

STEPS = 60_000
TRAIN = (
    "train",
    "CartPole-v1",
    "--preset",
    "none",
    "--steps",
    str(STEPS),
    "--seed",
    "1",
    "--progress",
    "off",
)


def learned(run: Path) -> bytes:
    """The numbers of the policy, without what its file says of them."""
    return (run / "policy.eqx").read_bytes().split(b"\n", 2)[2]


def logged(run: Path) -> list[dict]:
    """metrics.jsonl without the times."""
    keep = lambda row: {tag: value for tag, value in row.items() if not tag.startswith("time/")}
    return [keep(row) for row in terminal.records(run)]


def saved(run: Path) -> list[int]:
    """The steps of the checkpoints that can be seen."""
    return sorted(int(path.stem) for path in run.glob("checkpoints/*.lerax"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a run was trained without an interruption."""
    folder = tmp_path_factory.mktemp("resume")
    done = terminal.warm(*TRAIN, "--name", "whole", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def stop(folder: Path, name: str, number: int, *options: str) -> int:
    """Trains until there is a checkpoint of something learned, ends it, and returns the exit code."""
    run = folder / "logs" / name
    with terminal.started(
        terminal.LERAX, *TRAIN, "--name", name, "--save-every", "8192", *options, cwd=folder
    ) as process:
        terminal.wait_for(lambda: saved(run)[-1:] > [0], process)
        process.send_signal(number)
        return process.wait()


def check_same(one: Path, other: Path) -> None:
    """The parameters and all that was logged are the same."""
    assert learned(one) == learned(other)
    assert logged(one) == logged(other)


@pytest.fixture(scope="module")
def killed(folder: Path) -> Path:
    """A run whose process was killed."""
    assert stop(folder, "killed", signal.SIGKILL) == -signal.SIGKILL
    return folder / "logs" / "killed"


@pytest.fixture
def copy(killed: Path, tmp_path: Path) -> Path:
    """A copy of it, for what changes something."""
    return Path(shutil.copytree(killed, tmp_path / "logs" / "killed"))


def test_a_killed_run_goes_on_bitwise(folder: Path, copy: Path):
    assert (last := saved(copy)[-1]) < STEPS
    with open(copy / "metrics.jsonl", "a") as log:  # which may have come further before it was killed
        log.write(json.dumps(terminal.records(copy)[-1] | {"step": STEPS}) + "\n")
    done = terminal.run("resume", "killed", "--progress", "off", cwd=copy.parent.parent)
    assert (done.returncode, done.stdout) == (0, "logs/killed\n"), done.stderr
    assert f"from step {last:,}, where it was last saved: {STEPS - last:,} steps are" in done.stderr
    check_same(copy, folder / "logs" / "whole")
    elapsed = [row["time/elapsed"] for row in terminal.records(copy) if "time/elapsed" in row]
    assert elapsed == sorted(elapsed)
    facts = terminal.facts(copy)
    assert (facts["status"], [session["status"] for session in facts["sessions"]]) == ("finished", ["died"])
    assert saved(copy)[-1] == facts["steps"]
    assert list(copy.glob(".*")) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_run_that_a_signal_has_ended_goes_on_bitwise(folder: Path, number: signal.Signals):
    assert stop(folder, number.name, number) == 128 + number
    run = folder / "logs" / number.name
    facts = terminal.facts(run)
    assert facts["status"] == "interrupted" and saved(run)[-1] == facts["steps"] < STEPS
    done = terminal.warm("train", "--resume", number.name, "--progress", "off", cwd=folder)
    assert done.returncode == 0, done.stderr
    check_same(run, folder / "logs" / "whole")


def test_sigusr1_saves_and_goes_on(folder: Path):
    run = folder / "logs" / "asked"
    options = ("--name", "asked", "--save-every", "1d")
    with terminal.started(terminal.LERAX, *TRAIN, *options, cwd=folder) as process:
        terminal.wait_for(lambda: (run / "metrics.jsonl").exists() and terminal.records(run), process)
        process.send_signal(signal.SIGUSR1)
        terminal.wait_for(lambda: len(saved(run)) > 1, process)
        assert process.wait() == 0
    check_same(run, folder / "logs" / "whole")


def test_a_time_limit_pauses_a_run(folder: Path):
    done = terminal.warm(*TRAIN, "--name", "paused", "--time-limit", "0.001s", cwd=folder)
    run = folder / "logs" / "paused"
    assert done.returncode == 0, done.stderr
    assert "lerax resume logs/paused" in done.stderr
    facts = terminal.facts(run)
    assert facts["status"] == "paused" and saved(run)[-1] == facts["steps"] < STEPS
    done = terminal.warm(*TRAIN, "--name", "paused", "--resume", "auto", cwd=folder)
    assert done.returncode == 0, done.stderr
    check_same(run, folder / "logs" / "whole")


def test_auto_begins_a_run_and_finds_it_complete(folder: Path):
    steady = ("--set", "learning_rate_schedule=constant", "--progress", "off")
    line = ("train", *terminal.BRIEF, *steady, "--name", "job", "--resume", "auto")
    assert terminal.warm(*line, cwd=folder).returncode == 0
    again = terminal.warm(*line, cwd=folder)
    assert (again.returncode, again.stdout) == (0, "logs/job\n")
    assert "job is complete after 2,048 steps; --steps +N trains it further" in again.stderr
    more = terminal.warm("resume", "job", "--steps", "+1000", "--json", "--progress", "off", cwd=folder)
    assert json.loads(more.stdout)["steps"] == 3072, more.stderr
    longer = ("--steps", "3048", "--seed", "1", *steady, "--name", "longer")
    assert terminal.warm("train", "CartPole-v1", "--preset", "none", *longer, cwd=folder).returncode == 0
    assert learned(folder / "logs" / "job") == learned(folder / "logs" / "longer")


def test_a_damaged_checkpoint_is_passed_over_with_a_warning(folder: Path, copy: Path):
    newest = copy / "checkpoints" / f"{saved(copy)[-1]:012d}.lerax"
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    done = terminal.warm("resume", "killed", "--progress", "off", cwd=copy.parent.parent)
    assert done.returncode == 0
    assert re.search(r"warning: .*damaged.*; an older checkpoint is gone on with", done.stderr)
    check_same(copy, folder / "logs" / "whole")


def refused(code: int, said: str, *arguments: str, cwd: Path) -> str:
    """A line of the command ends at once, with one line that says why."""
    done = in_process.run(*arguments, "--progress", "off", cwd=cwd)
    assert done.returncode == code, done.stderr
    assert re.search(said, done.stderr) and done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("code", "said", "arguments"),
    [
        (2, r"RUN: .*'nope'", ("resume", "nope")),
        (2, r"RUN: auto .*--resume auto", ("resume", "auto")),
        (
            2,
            r"killed has algorithm.gamma = 0.99 \(got 0.5\)",
            ("train", "--resume", "killed", "--set", "gamma=0.5"),
        ),
        (2, r"killed has seed = 1 \(got 2\)", ("train", "--resume", "killed", "--seed", "2")),
        (2, r"killed has nan = 'stop' \(got 'off'\)", ("train", "--resume", "killed", "--nan", "off")),
        (2, r"killed has env.name = 'CartPole-v1'", ("train", "Acrobot-v1", "--resume", "killed")),
        (2, "--name: a run that goes on keeps its own", ("train", "--resume", "killed", "--name", "x")),
        (2, "auto goes on with the run of a name", ("train", "CartPole-v1", "--resume", "auto")),
        (
            2,
            r"--steps: \+5 with",
            ("train", "CartPole-v1", "--resume", "auto", "--name", "x", "--steps", "+5"),
        ),
        (2, r"--steps: \+5 is for a run that goes on", ("train", "CartPole-v1", "--steps", "+5")),
        (2, "--save-every: not an interval", ("train", "CartPole-v1", "--save-every", "0%")),
        (2, "--keep: .*at least 1", ("train", "CartPole-v1", "--keep", "0")),
        (2, "--time-limit: not a time", ("train", "CartPole-v1", "--time-limit", "soon")),
        (2, "or --resume it", ("train", "CartPole-v1", "--name", "killed")),
    ],
    ids=lambda value: "" if isinstance(value, int | tuple) else value[:30],
)
def test_what_does_not_fit_a_run_is_refused(killed: Path, code: int, said: str, arguments: tuple[str, ...]):
    before = {path: path.stat().st_mtime_ns for path in killed.rglob("*")}
    refused(code, said, *arguments, cwd=killed.parent.parent)
    assert {path: path.stat().st_mtime_ns for path in killed.rglob("*")} == before


def test_a_run_is_trained_by_one_process(copy: Path):
    lock = hold(copy)
    refused(1, "is being trained by another process", "resume", "killed", cwd=copy.parent.parent)
    os.close(lock)


def test_a_run_without_a_checkpoint_that_can_be_read_is_refused(copy: Path):
    for path in copy.glob("checkpoints/*.lerax"):
        path.write_bytes(b"\x80\x04pickle")
    refused(1, "RUN: .*not a file of lerax", "resume", "killed", cwd=copy.parent.parent)
    assert terminal.facts(copy)["status"] == "running"  # nothing was written


@pytest.mark.parametrize("had_begun", [False, True])
def test_a_run_that_was_killed_before_anything_was_saved_begins_anew(
    folder: Path, copy: Path, had_begun: bool
):
    shutil.rmtree(copy / "checkpoints")
    if had_begun:
        (copy / "checkpoints").mkdir()
        (copy / "checkpoints" / ".000000008192.lerax.0.lerax.tmp").write_bytes(b"half")
    steps = terminal.records(copy)[-1]["step"]
    done = terminal.warm("resume", "killed", "--progress", "off", cwd=copy.parent.parent)
    assert done.returncode == 0, done.stderr
    assert f"begins anew, for its process died before anything was saved: {steps:,} steps are" in done.stderr
    check_same(copy, folder / "logs" / "whole")
    assert list(copy.rglob(".*")) == []


def test_a_run_whose_checkpoints_were_removed_is_refused(copy: Path):
    for path in copy.glob("checkpoints/*"):
        path.unlink()
    refused(1, "RUN: .*holds no checkpoint", "resume", "killed", cwd=copy.parent.parent)


def test_a_schedule_that_has_come_to_its_end_is_not_prolonged(folder: Path):
    line = ("train", "CartPole-v1", "--steps", "2048", "--seed", "1", "--name", "falls", "--progress", "off")
    assert terminal.warm(*line, cwd=folder).returncode == 0
    said = "--steps: beyond the end of the training, where nothing is left by learning_rate_schedule and clip"
    complete = terminal.warm("resume", "falls", cwd=folder)
    assert complete.returncode == 0 and "--steps +N" not in complete.stderr
    assert "falls is complete after 2,048 steps; learning_rate_schedule and clip" in complete.stderr
    assert "`lerax branch logs/falls --steps +2048` makes a new run of it" in complete.stderr
    told = refused(2, said, "resume", "falls", "--steps", "+1e4", cwd=folder)
    (line,) = re.findall("`(lerax branch [^`]*)`", told)
    done = terminal.warm(*shlex.split(line)[1:], "--progress", "off", cwd=folder)
    assert done.returncode == 0, done.stderr
    rates = [row["train/learning_rate"] for row in logged(folder / done.stdout.strip())]
    assert rates[-2] > rates[-1] > 0 and max(rates[4:]) > rates[3], "they fall anew"


def test_a_checkpoint_says_what_it_is_of(killed: Path):
    found = checkpoint.read_metadata(max(killed.glob("checkpoints/*.lerax")))
    assert found["steps"] == saved(killed)[-1] > 0
    assert found["config"]["env"]["name"] == "CartPole-v1"
    assert {"iteration", "score", "seconds", "versions", "device", "threads"} <= found.keys()
