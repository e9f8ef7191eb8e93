"""Runs that cannot go on: each is refused with one line, in no time, and stays as it is."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import in_process
import pytest
import terminal

TRAIN = ("train", "CartPole-v1", "--preset", "none", "--steps", "20480", "--seed", "1", "--progress", "off")


@pytest.fixture(scope="module")
def paused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has not come to its end."""
    folder = tmp_path_factory.mktemp("paused")
    done = terminal.warm(*TRAIN, "--name", "mine", "--time-limit", "0.001s", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "logs" / "mine"


@pytest.fixture
def run(paused: Path, tmp_path: Path) -> Path:
    """A copy of it, of which something is damaged."""
    return Path(shutil.copytree(paused, tmp_path / "logs" / "mine"))


def each_checkpoint(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    """Damages all that there are."""

    def damage(run: Path) -> None:
        for path in run.glob("checkpoints/*.lerax"):
            path.write_bytes(change(path.read_bytes()))

    return damage


def a_file_for_a_folder(run: Path) -> None:
    shutil.rmtree(run / "checkpoints")
    (run / "checkpoints").write_text("no folder")


def folders_for_files(run: Path) -> None:
    for path in run.glob("checkpoints/*.lerax"):
        path.unlink()
        path.mkdir()


def of_another_network(run: Path) -> None:
    """The file is whole, and says what it is of."""
    text = (run / "config.toml").read_text()
    assert "hidden_sizes = [\n    64,\n    64,\n]" in text
    (run / "config.toml").write_text(text.replace("    64,\n    64,\n", "    32,\n"))


def swap(name: str, old: str, new: str) -> Callable[[Path], object]:
    def damage(run: Path) -> None:
        text = (run / name).read_text()
        assert old in text
        (run / name).write_text(text.replace(old, new, 1))

    return damage


def write(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda run: (run / name).write_bytes(data)


NOISE = random.Random(1).randbytes(10_000)
DAMAGES: dict[str, tuple[int, str, Callable[[Path], object]]] = {
    "pickles": (1, "not a file of lerax", each_checkpoint(lambda data: b"\x80\x04." + data)),
    "random bytes": (1, "not a file of lerax", each_checkpoint(lambda data: NOISE)),
    "empty checkpoints": (1, "not a file of lerax", each_checkpoint(lambda data: b"")),
    "cut checkpoints": (1, "damaged", each_checkpoint(lambda data: data[:-1])),
    "a newer schema": (1, "newer version", each_checkpoint(lambda data: b"lerax-9 " + data[8:])),
    "checkpoints of another network": (1, "policy.hidden_sizes = [32]", of_another_network),
    "a file for a folder": (1, "checkpoint", a_file_for_a_folder),
    "folders for files": (1, "checkpoint", folders_for_files),
    "no checkpoints": (1, "checkpoint", lambda run: shutil.rmtree(run / "checkpoints")),
    "a config of another form": (1, "line 1", write("config.toml", b"steps = = 1\n")),
    "an empty config": (1, "names no environment", write("config.toml", b"")),
    "a binary config": (1, "not UTF-8", write("config.toml", b"\xff\xfe\x00" + NOISE)),
    "a config with an unknown key": (
        1,
        "logs/mine/config.toml: unknown key (got 'stepz')",
        swap("config.toml", "steps =", "stepz ="),
    ),
    "a config that was changed": (
        1,
        "algorithm.gamma = 0.5",
        swap("config.toml", "gamma = 0.99", "gamma = 0.5"),
    ),
    "a seed that was changed": (
        1,
        "config.toml says seed = 2, the checkpoint 1",
        swap("config.toml", "seed = 1", "seed = 2"),
    ),
    "a guard that was changed": (
        1,
        "config.toml says nan = 'off', the checkpoint 'stop'",
        swap("config.toml", 'nan = "stop"', 'nan = "off"'),
    ),
    "a size that was changed": (
        1,
        "config.toml says algorithm.num_envs = 8, the checkpoint 4",
        swap("config.toml", "num_envs = 4", "num_envs = 8"),
    ),
    "a config out of range": (
        1,
        "logs/mine/config.toml: keep: out",
        swap("config.toml", "keep = 2", "keep = 0"),
    ),
    "a setting out of range": (
        2,
        "logs/mine/config.toml: algorithm.gamma: out of range",
        swap("config.toml", "gamma = 0.99", "gamma = 5"),
    ),
    "no config": (1, "config.toml", lambda run: (run / "config.toml").unlink()),
    "a folder for the config": (
        1,
        "config.toml",
        lambda run: ((run / "config.toml").unlink(), (run / "config.toml").mkdir()),
    ),
    "a folder for run.json": (
        1,
        "run.json is not a file",
        lambda run: ((run / "run.json").unlink(), (run / "run.json").mkdir()),
    ),
    "no run.json and no checkpoints": (
        1,
        "checkpoint",
        lambda run: ((run / "run.json").unlink(), shutil.rmtree(run / "checkpoints")),
    ),
}
LOST: dict[str, Callable[[Path], object]] = {
    "missing": lambda run: (run / "run.json").unlink(),
    "empty": write("run.json", b""),
    "a list": write("run.json", b"[]"),
    "nested deeply": write("run.json", b"[" * 100_000),
}


def refused(code: int, said: str, *arguments: str, cwd: Path) -> None:
    done = in_process.run(*arguments, "--progress", "off", cwd=cwd)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert done.stderr.startswith("lerax: error: ") and done.stderr.count("\n") == 1, done.stderr
    assert said in done.stderr, done.stderr


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_run_is_refused(run: Path, what: str):
    code, said, damage = DAMAGES[what]
    damage(run)
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}
    refused(code, said, "resume", "mine", cwd=run.parent.parent)
    after = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}
    after.pop(run / "run.lock", None)
    before.pop(run / "run.lock", None)
    assert after == before


@pytest.mark.parametrize("what", LOST)
def test_a_run_goes_on_without_its_run_json(run: Path, what: str):
    """All that was trained is there: that it is missing or damaged is a warning."""
    before = terminal.records(run)
    LOST[what](run)
    again = ("train", "--name", "mine", "--resume", "auto") if what == "empty" else ("resume", "mine")
    done = terminal.warm(*again, "--time-limit", "0.001s", "--progress", "off", cwd=run.parent.parent)
    assert (done.returncode, done.stdout) == (0, "logs/mine\n"), done.stderr
    (warning,) = [line for line in done.stderr.splitlines() if "warning" in line]
    assert "logs/mine: run.json " in warning and "goes on from its config.toml and checkpoints" in warning
    records, facts = terminal.records(run), terminal.facts(run)
    assert records[: len(before)] == before and len(records) == len(before) + 1
    assert facts["status"] == "paused" and facts["steps"] == records[-1]["step"] and "resumed" in facts
    assert facts["total_steps"] == 20480


def test_lines_of_a_log_that_are_gone_are_a_warning(run: Path):
    """The curves of a run that was copied without them begin late, and nothing else would say so."""
    steps = terminal.records(run)[-1]["step"]
    (run / "metrics.jsonl").unlink()
    again = ("resume", ".", "--time-limit", "0.001s", "--progress", "off")  # from within, whose name is "."
    done = terminal.warm(*again, cwd=run)
    assert (done.returncode, done.stdout) == (0, f"{run}\n"), done.stderr
    (warning,) = [line for line in done.stderr.splitlines() if "warning" in line]
    assert f"metrics.jsonl ends at step 0: lines up to step {steps:,} are lost" in warning
    assert terminal.facts(run)["status"] == "paused"


def test_a_run_whose_directory_got_another_kind_of_name(run: Path):
    """It is refused before anything is written, with the line that mends it; a branch of it has a name."""
    copy = run.rename(run.parent / "mine (copy)")
    before = (copy / "run.json").read_bytes()
    refused(1, "mv 'logs/mine (copy)' logs/mine--copy-", "resume", "mine (copy)", cwd=run.parent.parent)
    assert (copy / "run.json").read_bytes() == before
    branch = ("branch", "mine (copy)", "--time-limit", "0.001s", "--progress", "off")
    done = terminal.warm(*branch, cwd=run.parent.parent)
    assert (done.returncode, done.stdout) == (0, "logs/mine--copy--branch\n"), done.stderr


@pytest.mark.parametrize("what", ["a dangling link", "a link to nowhere in it", "a folder that is no run"])
def test_what_is_no_run_is_refused(tmp_path: Path, what: str):
    """And `auto` takes nothing away that no run has left."""
    logs = tmp_path / "logs"
    logs.mkdir()
    if what == "a dangling link":
        (logs / "mine").symlink_to("nowhere")
    else:
        (logs / "mine").mkdir()
        (logs / "mine" / "thesis.tex").symlink_to("nowhere")
    if what == "a folder that is no run":
        (logs / "mine" / "thesis.tex").unlink()
        (logs / "mine" / "thesis.tex").write_text("three years")
    refused(2, "mine", "resume", "mine", cwd=tmp_path)
    refused(2, "mine", "resume", "logs/mine", cwd=tmp_path)
    code = 2 if what == "a dangling link" else 1
    refused(code, "mine", *TRAIN[:-2], "--name", "mine", "--resume", "auto", cwd=tmp_path)
    assert os.path.lexists(logs / "mine") and os.listdir(logs) == ["mine"]
    if what != "a dangling link":
        assert os.listdir(logs / "mine") == ["thesis.tex"]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (r"policy.hidden_sizes = [64, 64] (got [8])", ("--set", "policy.hidden_sizes=[8]")),
        ("env.name = 'CartPole-v1' (got 'Pendulum-v1')", ("Pendulum-v1",)),
        ("env.max_episode_steps", ("--set", "env.max_episode_steps=7")),
        ("algorithm.name = 'ppo'", ("--algo", "toys:Replays")),
        ("--keep: out of range", ("--keep", "-1")),
        ("--keep", ("--keep", "1.5")),
        ("--save-every", ("--save-every", "")),
        ("--save-every", ("--save-every", "-5")),
        ("--save-every", ("--save-every", "101%")),
        ("--save-every", ("--save-every", "nan")),
        ("--save-every", ("--save-every", "1e999s")),
        ("--time-limit", ("--time-limit", "0")),
        ("--time-limit", ("--time-limit", "-1h")),
        ("--time-limit", ("--time-limit", "nan")),
        ("--time-limit", ("--time-limit", "1e999h")),
        ("--steps", ("--steps", "+0")),
        ("--steps", ("--steps", "+9223372036854775807")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_options_that_do_not_fit_a_run(paused: Path, said: str, words: tuple[str, ...]):
    refused(2, said, "train", *words, "--resume", "mine", cwd=paused.parent.parent)
