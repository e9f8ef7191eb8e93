"""`lerax verify` and `lerax replay`: what is wrong with a run's files or its numbers, and why it diverged."""

import csv
import json
import os
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import terminal
from in_process import run as lerax
from made_runs import make
from test_cli_inputs import refuse
from test_cli_resume import saved

from lerax import archive
from lerax.archive import Archive
from lerax.render import write_video
from lerax.run import hold
from lerax_cli import runtime
from lerax_cli.report import Failure

LINE = (
    "train",
    "CartPole-v1",
    "--preset",
    "none",
    "--seed",
    "1",
    "--set",
    "learning_rate_schedule=constant",
    "--progress",
    "off",
)
DIVERGING = (
    *LINE,
    "--steps",
    "2048",
    "--set",
    "learning_rate=1e30",
    "--set",
    "max_grad_norm=1e30",
    "--name",
    "diverged",
)
OWN = """
import sys
sys.path.insert(0, {tests!r})
from toys import Replays, Steered, Target

class Breaks(Target):
    def __init__(self):
        super().__init__(nan_from=5)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of four iterations and all kinds of files."""
    folder = tmp_path_factory.mktemp("verify")
    backends = ("--backend", "csv", "--backend", "tensorboard", "--keep", "3")
    for line in (
        (*LINE, *backends, "--name", "whole", "--steps", "1024"),
        ("resume", "whole", "--steps", "2048", "-q"),  # so that there is a checkpoint of 1024
    ):
        assert (done := terminal.warm(*line, cwd=folder)).returncode == 0, done.stderr
    frames = np.random.default_rng(0).integers(0, 255, (12, 32, 32, 3), np.uint8)
    write_video(folder / "logs" / "whole" / "videos" / "step-512.mp4", frames, 30)
    return folder


@pytest.fixture
def run(folder: Path, tmp_path: Path) -> Path:
    """A copy of the run."""
    return Path(shutil.copytree(folder / "logs" / "whole", tmp_path / "logs" / "whole"))


def checked(run: Path, *options: str) -> tuple[int, dict[str, str]]:
    """The exit code, and what is wrong with each file."""
    done = lerax("verify", "whole", "--json", *options, cwd=run.parent.parent)
    told = json.loads(done.stdout)
    wrong = {one["name"]: one["wrong"] for one in told["files"]}
    assert told["ok"] == (done.returncode == 0) == (not any(wrong.values()))
    return done.returncode, wrong


def flip(path: Path, place: float = 0.5) -> None:
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 4
    path.write_bytes(data)


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def cut(path: Path, bytes: int) -> None:
    os.truncate(path, path.stat().st_size - bytes)


def last(run: Path, pattern: str) -> Path:
    return max(run.glob(pattern))


def test_every_file_of_a_run_is_right(folder: Path):
    done = lerax("verify", "whole", cwd=folder)
    lines = dict(re.findall(r"^ok +(\S+)  (.+)$", done.stdout, re.MULTILINE))
    path = folder / "logs" / "whole"
    assert lines.keys() == {str(one.relative_to(path)) for one in path.rglob("*") if one.is_file()}
    assert done.stdout.count("\n") == len(lines) and done.returncode == 0
    assert lines["metrics.jsonl"] == lines["metrics.csv"] == "4 lines up to step 2,048"
    assert lines["checkpoints/000000001024.lerax"] == "step 1,024"
    assert lines["videos/step-512.mp4"] == "12 frames"
    assert "all 12 are right" in done.stderr


@pytest.mark.parametrize("name, said", [("exported.csv", "`lerax export"), ("notes.txt", "no such file")])
def test_what_is_beside_a_run_s_own_files_is_told_apart(run: Path, name: str, said: str):
    if "export" in name:
        assert lerax("export", "whole", "--format", "csv", cwd=run.parent.parent).returncode == 0
    else:
        (run / name).write_text("mine")
    (line,) = re.findall(rf"^ok +{name}  (.+)$", lerax("verify", "whole", cwd=run.parent.parent).stdout, re.M)
    assert line.startswith("not looked at: ") and said in line


def doubled(run: Path) -> None:
    lines = (run / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (run / "metrics.jsonl").write_bytes(b"".join([*lines[:2], *lines[1:]]))


def shortened(run: Path) -> None:
    lines = (run / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (run / "metrics.jsonl").write_bytes(b"".join(lines[:-1]))


def narrowed(run: Path) -> None:
    with open(run / "metrics.csv", newline="") as file:
        rows = list(csv.reader(file))
    with open(run / "metrics.csv", "w", newline="") as file:
        csv.writer(file).writerows([*rows[:2], rows[2][:-1], *rows[3:]])


DAMAGES: dict[str, tuple[str, str, Callable[[Path], object]]] = {
    "a checkpoint's bit": (
        "checkpoints/000000001024.lerax",
        "SHA-256",
        lambda run: flip(run / "checkpoints" / "000000001024.lerax"),
    ),
    "a checkpoint's name": (
        "checkpoints/000000001025.lerax",
        "is of step 1024",
        lambda run: (run / "checkpoints/000000001024.lerax").rename(run / "checkpoints/000000001025.lerax"),
    ),
    "the policy's bit": ("policy.eqx", "SHA-256", lambda run: flip(run / "policy.eqx", 0.9)),
    "no policy": ("policy.eqx", "missing", lambda run: (run / "policy.eqx").unlink()),
    "no metrics": ("metrics.jsonl", "missing", lambda run: (run / "metrics.jsonl").unlink()),
    "run.json is none": ("run.json", "damaged", lambda run: (run / "run.json").write_text("{")),
    "another seed": ("run.json", "seed 7", lambda run: replace(run / "run.json", '"seed": 1', '"seed": 7')),
    "no TOML": ("config.toml", "not TOML", lambda run: (run / "config.toml").write_text("steps =")),
    "no steps": ("config.toml", "steps", lambda run: replace(run / "config.toml", "steps = 2048", "")),
    "a line twice": ("metrics.jsonl", "line 3: step 1,024 comes after 1,024", doubled),
    "a line less": ("metrics.jsonl", "ends at step 1,536, run.json says 2,048", shortened),
    "no JSON": ("metrics.jsonl", "line 1 ", lambda run: replace(run / "metrics.jsonl", '"step"', '"step')),
    "NaN": ("metrics.jsonl", "NaN", lambda run: replace(run / "metrics.jsonl", ": 512,", ': 512, "x": NaN,')),
    "a torn line": ("metrics.jsonl", "line 4 ", lambda run: cut(run / "metrics.jsonl", 9)),
    "a cell less": ("metrics.csv", "row 2 has", narrowed),
    "an event's bit": ("events", "checksum", lambda run: flip(last(run, "events*"))),
    "a torn event": ("events", "ends within", lambda run: cut(last(run, "events*"), 3)),
    "a torn video": ("videos/step-512.mp4", "not a whole video", lambda run: cut(last(run, "videos/*"), 500)),
    "a leftover": (".x.lerax.tmp", "left over", lambda run: (run / ".x.lerax.tmp").touch()),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_wrong_with_a_file_is_said(run: Path, damage: str):
    """Of that file; the others stay right, unless they are held against it."""
    name, said, change = DAMAGES[damage]
    change(run)
    code, wrong = checked(run)
    found = {one: why for one, why in wrong.items() if why}
    assert code == 1
    assert any(one.startswith(name) and said in why for one, why in found.items()), found
    assert len(found) == 1, found


def test_a_config_that_was_changed_is_said_of_each_checkpoint(run: Path):
    replace(run / "config.toml", "gamma = 0.99", "gamma = 0.5")
    code, wrong = checked(run)
    found = {one: why for one, why in wrong.items() if why}
    assert code == 1 and len(found) == len(list(run.glob("checkpoints/*.lerax")))
    assert set(found.values()) == {"is of algorithm.gamma = 0.99, config.toml says 0.5"}


def test_segments_are_read(run: Path):
    """A large array is in files beside the checkpoint: each counts as a part of it."""
    (run / "checkpoints" / "000000001024.lerax").unlink()
    segments = archive.Segments(run / "checkpoints" / archive.SEGMENTS)
    data = memoryview(np.arange(2**21, dtype=np.uint32).view(np.uint8))
    entry = archive.Entry("x", "uint32", (2**21,))
    archive.write(
        run / "checkpoints" / "000000001024.lerax", [(entry, data)], {"steps": 1024}, segments=segments
    )
    assert checked(run)[0] == 0
    flip(sorted((run / "checkpoints" / archive.SEGMENTS).iterdir())[1])
    code, wrong = checked(run)
    assert code == 1 and "segment" in wrong["checkpoints/000000001024.lerax"]


def test_a_torn_end_is_no_fault_of_a_run_that_died(run: Path):
    """As a kill leaves it: the last line of each log, and a file that was not complete."""
    facts = json.loads((run / "run.json").read_text())
    facts |= {"status": "running", "process": {"pid": 1, "host": "x", "boot": None, "began": 1}}
    (run / "run.json").write_text(json.dumps(facts))
    os.utime(run / "run.json", (1, 1))
    (run / "checkpoints" / "000000002048.lerax").unlink()
    cut(run / "metrics.jsonl", 5)
    cut(run / "metrics.csv", 1)
    cut(last(run, "events*"), 3)
    (run / ".policy.eqx.1.lerax.tmp").touch()
    done = lerax("verify", "whole", cwd=run.parent.parent)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("the last line is torn") == 2 and "run.json  died" in done.stdout


def test_a_run_that_lives_is_fine(run: Path):
    from lerax.run import RunDirectory

    lock = hold(run)
    directory = RunDirectory(run, lock=lock, env="CartPole-v1", algo="ppo", seed=1)
    done = lerax("verify", "whole", cwd=run.parent.parent)
    directory.finish("interrupted")
    assert done.returncode == 0, done.stderr
    assert "run.lock  held by a process" in done.stdout and "(it lives)" in done.stderr


def changed(path: Path) -> None:
    """Another number in a policy's array and another version of JAX, all with its checksum."""
    with Archive(path) as file:
        entries, metadata = file.entries, file.metadata
        sizes = {one.name: one.size or 0 for one in entries}
        buffers = {name: memoryview(bytearray(size)) for name, size in sizes.items()}
        file.read(buffers)
    name = next(one.name for one in entries if ".policy" in one.name and one.dtype == "float32")
    (number,) = struct.unpack("<f", buffers[name][:4])
    buffers[name][:4] = struct.pack("<f", number + 0.5)
    metadata["versions"]["jax"] = "0.0.1"
    arrays = [(one, buffers[one.name]) for one in entries]
    archive.write(path, arrays, metadata, segments=archive.Segments(path.parent / archive.SEGMENTS))


def test_a_training_that_is_repeated_is_the_same_bit_for_bit(folder: Path):
    before = {path: path.stat().st_mtime_ns for path in (folder / "logs" / "whole").rglob("*")}
    done = terminal.warm("verify", "whole", "--replay", "9", "--from", "0", cwd=folder)
    assert done.returncode == 0, done.stderr
    said = "4 iterations from step 0 on: checkpoint 1,024, checkpoint 2,048, 4 lines of metrics.jsonl"
    assert f"ok     replay  {said}\n" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in (folder / "logs" / "whole").rglob("*")} == before


def test_the_first_array_that_differs_is_named(run: Path):
    """With how many of its numbers, by how much, and why that may be."""
    changed(run / "checkpoints" / "000000001024.lerax")
    replace(run / "metrics.jsonl", '"train/loss": ', '"train/loss": 1')
    done = terminal.warm("verify", "whole", "--replay", "2", "--from", "0", cwd=run.parent.parent)
    assert done.returncode == 1
    (line,) = re.findall(r"^wrong +replay  (.*)$", done.stdout, re.MULTILINE)
    assert re.search(r"checkpoint 1,024: \S*policy\S* differs in 1 of [\d,]+ numbers, by at most 0\.5", line)
    assert re.search(r"metrics.jsonl, step 512: train/loss is \S+, now ", line)
    assert "likely because of jax 0.0.1 then" in line


@pytest.mark.parametrize(("trained", "asked"), [("cpu:0", "cpu"), ("TFRT_CPU_0", "cpu"), ("cuda:0", "auto")])
def test_a_training_on_a_cpu_is_repeated_on_one(
    run: Path, trained: str, asked: str, monkeypatch: pytest.MonkeyPatch
):
    facts = json.loads((run / "run.json").read_text()) | {"device": trained}
    (run / "run.json").write_text(json.dumps(facts))

    def prepare(device: str, *_: object, devices: int):
        raise Failure("JAX", f"asked for {devices} of {device}")

    monkeypatch.setattr(runtime, "prepare", prepare)
    done = lerax("verify", "whole", "--replay", "1", cwd=run.parent.parent)
    assert (done.returncode, done.stderr) == (1, f"lerax: error: JAX: asked for 1 of {asked}\n")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--from", "0"], ["--from", "--replay"]),
        (["--replay", "0"], ["--replay", "at least 1"]),
        (["--replay", "1", "--from", "7"], ["--from", "0, 1024, 2048"]),
        (
            ["--replay", "1", "--from", "2048"],
            ["--replay", "nothing after step 2,048", "an earlier checkpoint: 0, 1024\n"],
        ),
    ],
    ids=" ".join,
)
def test_what_cannot_be_repeated_is_refused(folder: Path, options: list[str], words: list[str]):
    done = terminal.warm("verify", "whole", *options, cwd=folder)
    assert done.returncode == 2
    assert all(word in done.stderr for word in words), done.stderr


def test_the_operation_that_diverged_is_named(tmp_path: Path):
    """And the state before its iteration is kept, where who goes on with the run does not look."""
    assert (done := terminal.warm(*DIVERGING, cwd=tmp_path)).returncode == 1
    assert "next: lerax replay logs/diverged\n" in done.stderr
    path = tmp_path / "logs" / "diverged"
    assert saved(path) == [0] and terminal.facts(path)["diverged_at_iteration"] == 1
    done = terminal.warm("replay", "diverged", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    first = told["operations"][0]
    assert (told["iteration"], told["given"], first["kind"]) == (1, "", "inf")
    assert "/lerax/" in first["line"] and "parameters" in told["became"]
    assert saved(path) == [0]
    with Archive(tmp_path / told["state"]) as kept, Archive(path / "checkpoints/000000000000.lerax") as begun:
        assert kept.metadata["steps"] == 0
        names = [(one.name, one.dtype, one.shape) for one in begun.entries]
        assert [(one.name, one.dtype, one.shape) for one in kept.entries] == names
    assert lerax("verify", "diverged", cwd=tmp_path).returncode == 0


def test_the_environment_that_gave_a_nan_is_named(tmp_path: Path):
    """Long before it was drawn from a ring, by an environment, an algorithm and a policy of one's own."""
    (tmp_path / "own.py").write_text(OWN.format(tests=str(Path(__file__).parent)))
    parts = ("own:Breaks", "--algo", "own:Replays", "--policy", "own:Steered")
    line = ("--steps", "800", "--seed", "1", "--name", "mine", "--save-every", "40", "--progress", "off")
    assert terminal.run("train", *parts, *line, cwd=tmp_path).returncode == 1
    path = tmp_path / "logs" / "mine"
    bad, newest = terminal.facts(path)["diverged_at_iteration"], saved(path)[-1]
    assert 0 < newest < bad * 8
    refuse(lerax("replay", "mine", cwd=tmp_path), 2, ["--trust own:Breaks"])
    trust = [word for name in (parts[0], parts[2], parts[4]) for word in ("--trust", name)]
    done = terminal.run("replay", "mine", *trust, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "given by   the environment: its reward" in done.stdout and "toys.py" in done.stdout
    assert "iteration  3\n" in done.stdout and "time step 1 of 2 of the rollout, environment 1" in done.stdout
    assert f"diverged/{(bad - 1) * 8:012d}.lerax: what iteration {bad} began with" in done.stdout


def test_a_run_that_has_not_diverged_has_nothing_to_find(tmp_path: Path):
    make(tmp_path / "logs", "fine")
    refuse(lerax("replay", "fine", cwd=tmp_path), 2, ["has not diverged", "finished", "lerax verify fine"])
