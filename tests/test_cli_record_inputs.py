"""Recordings that are refused: one line says why, and no file is left."""

import json
from pathlib import Path

import jax
import pytest
import terminal
from in_process import run
from jax import numpy as jnp
from jax import random as jr
from test_cli_inputs import refuse

from lerax import checkpoint
from lerax.env.classic_control import CartPole
from lerax.policy import MLPActorCriticPolicy

HUGE = "a" * 300
ENV = "CartPole-v1"

# What stands behind `lerax record-video`, and what the error has to say. The exit code is always 2.
REFUSED = [
    ([], ["ENV|RUN"]),
    ([""], ["ENV|RUN", "''"]),
    (["CarPole"], ["ENV|RUN", "'CarPole'", "did you mean CartPole-v1"]),
    (["../x"], ["ENV|RUN", "'../x'"]),
    (["os:system"], ["ENV|RUN", "'os:system'"]),
    (["a\nb"], ["ENV|RUN", "a\\nb"]),
    (["logs/none"], ["ENV|RUN", "'logs/none'"]),
    (["a-folder"], ["ENV|RUN", "a-folder", "config.toml"]),
    ([ENV, "extra"], ["extra"]),
    ([ENV, "--polcy", "x"], ["--polcy", "--policy"]),
    ([ENV, "--policy", "none.eqx"], ["--policy", "'none.eqx'", "random"]),
    ([ENV, "--policy", ""], ["--policy", "''", "random"]),
    ([ENV, "--policy", "a-folder"], ["--policy", "'a-folder'"]),
    ([ENV, "--policy", "last"], ["--policy", "'last'", "random"]),
    ([ENV, "--policy", "random", "--policy", "random"], ["--policy", "--grid"]),
    ([ENV, "--grid"], ["--grid", "two", "random"]),
    ([ENV, "-o", "x.txt"], ["-o", "'x.txt'", ".mp4, .gif, .png"]),
    ([ENV, "-o", "x"], ["-o", "'x'", ".mp4, .gif, .png"]),
    ([ENV, "-o", ""], ["-o", "''", ".mp4, .gif, .png"]),
    ([ENV, "-o", "there.mp4"], ["-o", "there.mp4", "--overwrite"]),
    ([ENV, "-o", "folder.mp4", "--overwrite"], ["-o", "folder.mp4", "folder"]),
    ([ENV, "-o", "s3://bucket/x.mp4"], ["-o", "s3://bucket/x.mp4", "local"]),
    ([ENV, "-o", f"{HUGE}.mp4"], ["-o", "304"]),
    ([ENV, "--sheet", "-o", "x.mp4"], ["--sheet", "'x.mp4'", ".png"]),
    ([ENV, "--layout", "3x2"], ["--layout", "'3x2'", "--sheet"]),
    ([ENV, "--sheet", "--layout", "3"], ["--layout", "'3'", "COLUMNSxROWS", "1x1 to 999x999"]),
    ([ENV, "--sheet", "--layout", "0x2"], ["--layout", "'0x2'"]),
    ([ENV, "--sheet", "--layout", "100x2"], ["--layout", "64000 x 960"]),
    ([ENV, "--sheet", "--width", "9000"], ["--width", "36000 x"]),
    ([ENV, "-o", "x.png", "--fps", "50"], ["--fps", "'x.png'", "--steps"]),
    ([ENV, "-o", "x.png", "--episodes", "2"], ["--episodes", "'x.png'", "--steps"]),
    ([ENV, "--progress", "ful"], ["--progress", "'ful'", "auto, full, plain, off"]),
    ([ENV, "--steps", "5", "--episodes", "2"], ["--steps", "--episodes"]),
    ([ENV, "--camera", "side"], ["--camera", "'side'", ENV]),
    ([ENV, "--camera", "1"], ["--camera", "1", ENV]),
    ([ENV, "--width", "9000", "--grid", "--policy", "random", "--policy", "random"], ["--width", "18000"]),
]
NUMBERS = [
    ("--steps", ["0", "-5", "1.5", "9223372036854775808"], "at least 1 and at most 9223372036854775807"),
    ("--episodes", ["0", "-1", "two"], "at least 1 and at most 2147483647"),
    ("--width", ["0", "-640", "16385"], "at least 1 and at most 16384"),
    ("--height", ["0", "-480"], "at least 1 and at most 16384"),
    ("--fps", ["0", "-50", "fast", "nan", "1001"], "at least 0.01 and at most 1000"),
    ("--seed", ["-1", "0.5"], "at least 0 and at most 4294967295"),
]


@pytest.mark.parametrize(("arguments", "words"), REFUSED, ids=[" ".join(row[0])[:60] for row in REFUSED])
def test_what_cannot_be_is_refused(tmp_path: Path, arguments: list[str], words: list[str]):
    """Exit 2, and what is allowed."""
    for name in ("a-folder", "folder.mp4"):
        (tmp_path / name).mkdir()
    (tmp_path / "there.mp4").touch()
    said = terminal.warm("record-video", *arguments, "-q", cwd=tmp_path)
    refuse(said, 2, words)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a-folder", "folder.mp4", "there.mp4"]


@pytest.mark.parametrize(("option", "value", "allowed"), [(o, v, w) for o, vs, w in NUMBERS for v in vs])
def test_number_is_refused(tmp_path: Path, option: str, value: str, allowed: str):
    """Exit 2, with the range."""
    refuse(terminal.warm("record-video", ENV, option, value, cwd=tmp_path), 2, [option, value, allowed])
    assert not list(tmp_path.iterdir())


def cartpole_policy(**changes):
    """A policy, and what its file says of it."""
    policy = MLPActorCriticPolicy(env=CartPole(), hidden_sizes=(4,), key=jr.key(0))
    return policy, {"policy": policy.name, "env": ENV, "settings": {"hidden_sizes": [4]}} | changes


def test_policy_of_another_environment(tmp_path: Path):
    """Exit 2: expected against found."""
    checkpoint.save(tmp_path / "p.eqx", *cartpole_policy(env="Pendulum-v1"))
    done = terminal.warm("record-video", ENV, "--policy", "p.eqx", cwd=tmp_path)
    refuse(done, 2, ["--policy", ENV, "Pendulum-v1"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"policy": None}, ["no policy"]),
        ({"policy": "os:system"}, ["'os:system'", "add --trust os:system"]),
        ({"policy": "Mine"}, ["'Mine'", "MLPActorCriticPolicy"]),
        ({"settings": {"hidden_sizes": [5]}}, ["does not fit", "expected", "(5,)", "got", "(4,)"]),
        ({"settings": {"hidden_sizes": [-1]}}, ["hidden_sizes", "-1"]),
        ({"settings": {"width": 3}}, ["width"]),
        ({"settings": [1]}, ["[1]"]),
    ],
)
def test_file_that_does_not_hold_what_it_says(tmp_path: Path, changes: dict, words: list[str]):
    """Exit 1: the file is at fault; what it names is looked up, never imported."""
    checkpoint.save(tmp_path / "p.eqx", *cartpole_policy(**changes))
    done = terminal.warm("record-video", ENV, "--policy", "p.eqx", "-q", cwd=tmp_path)
    refuse(done, 1, ["--policy", "p.eqx", *words])
    assert [path.name for path in tmp_path.iterdir()] == ["p.eqx"]


@pytest.mark.parametrize("damage", ["empty", "text", "pickle", "cut", "flipped", "no metadata"])
def test_file_that_is_no_policy(tmp_path: Path, damage: str):
    """Exit 1: damaged, or something else."""
    path = tmp_path / "p.eqx"
    checkpoint.save(path, *cartpole_policy())
    whole = path.read_bytes()
    contents = {
        "empty": b"",
        "text": json.dumps({"env": ENV}).encode(),
        "pickle": b"\x80\x04cos\nsystem\n(S'touch sprung'\ntR.",
        "cut": whole[:-10],
        "flipped": whole[:-10] + bytes([whole[-10] ^ 1]) + whole[-9:],
    }
    if damage == "no metadata":
        checkpoint.save(path, {"weights": jnp.zeros(3)})
    else:
        path.write_bytes(contents[damage])
    done = terminal.warm("record-video", ENV, "--policy", "p.eqx", "-q", cwd=tmp_path)
    refuse(done, 1, ["--policy", "p.eqx"])
    assert [path.name for path in tmp_path.iterdir()] == ["p.eqx"]


@pytest.mark.parametrize(
    ("config", "code", "words"),
    [
        ('env = "CartPole-v1"', 2, ["--policy", "'run'", "saved no policy"]),
        ('env = "os:system"', 2, ["config.toml", "'os:system'"]),
        ("env = ", 1, ["config.toml"]),
        ("seed = 1", 1, ["config.toml", "env"]),
        (b"\xff", 1, ["config.toml"]),
    ],
)
def test_run_whose_config_is_of_no_use(tmp_path: Path, config: str | bytes, code: int, words: list[str]):
    """One line says which file."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.toml").write_bytes(config.encode() if isinstance(config, str) else config)
    refuse(terminal.warm("record-video", "run", "-q", cwd=tmp_path), code, words)


@pytest.mark.parametrize("place", ["a-file/x.mp4", "/proc/nowhere/x.mp4"])
def test_place_that_cannot_be_written_is_the_machines_fault(tmp_path: Path, place: str):
    """Exit 1: the command line is right, the folder is not."""
    (tmp_path / "a-file").touch()
    done = terminal.warm("record-video", ENV, "-o", place, "-q", "--width", "64", cwd=tmp_path)
    refuse(done, 1, ["-o", place, "cannot be written"])


def test_disk_that_is_full(tmp_path: Path):
    """Exit 1, and what was written is gone; a limit on files stands for the disk."""
    done = terminal.sh("ulimit -f 8; $LERAX record-video CartPole-v1 --steps 2000 -q", tmp_path)
    assert done.returncode != 0
    assert done.stdout == "" and "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("*.mp4")) and not list(tmp_path.rglob("*.tmp"))


def test_policies_file_runs_no_code(tmp_path: Path):
    """P7: a policy that was saved with another class of tree is refused by its leaves."""
    policy, metadata = cartpole_policy()
    other = jax.tree.map(lambda leaf: leaf.astype(jnp.float16), policy)
    checkpoint.save(tmp_path / "p.eqx", other, metadata)
    done = terminal.warm("record-video", ENV, "--policy", "p.eqx", "-q", cwd=tmp_path)
    refuse(done, 1, ["--policy", "float32", "float16"])


def test_policy_in_the_place_of_an_environment(tmp_path: Path):
    """Its file names the environment; a file that does not is refused with what to give."""
    checkpoint.save(tmp_path / "p.eqx", *cartpole_policy())
    done = terminal.warm("record-video", "p.eqx", "--steps", "3", "-q", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{ENV}.mp4\n", "")
    checkpoint.save(tmp_path / "p.eqx", *cartpole_policy(env=None))
    refuse(
        terminal.warm("record-video", "p.eqx", "-q", cwd=tmp_path), 1, ["p.eqx", "no environment", "--policy"]
    )
    (tmp_path / "p.eqx").write_text("text")
    refuse(terminal.warm("record-video", "p.eqx", "-q", cwd=tmp_path), 1, ["p.eqx", "not a file of lerax"])


def test_file_or_folder_of_a_run_in_the_place_of_its_policy(tmp_path: Path):
    """Exit 2 and what to give, also (the relative) where the run has no policy yet."""
    logs = tmp_path / "logs" / "a1"
    logs.mkdir(parents=True)
    (logs / "config.toml").write_text(f"env = '{ENV}'\n")
    (logs / "metrics.jsonl").touch()
    given = [ENV, "--policy", "logs/a1", "-q"]
    refuse(run("record-video", *given, cwd=tmp_path), 2, ["--policy", "'logs/a1'", "has saved no policy"])
    (logs / "policy.eqx").touch()
    refuse(run("record-video", *given, cwd=tmp_path), 2, ["--policy", "'logs/a1'", "logs/a1/policy.eqx"])
    for name in ("config.toml", "metrics.jsonl"):
        said = [f"logs/a1/{name}", "give logs/a1 or logs/a1/policy.eqx"]
        refuse(run("record-video", f"logs/a1/{name}", "-q", cwd=tmp_path), 2, said)
