"""Run directories: whose they are, and what they tell."""

import errno
import json
import os
import re
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path

import pytest
from disks import fill, small_disk
from jax import random as jr
from toys import Idle, Target

from lerax import run as lerax_run
from lerax.callback import LoggingCallback, TensorBoardBackend
from lerax.policy import MLPActorCriticPolicy
from lerax.run import NAME, RunDirectory, claim, generated_name, read_facts
from lerax_cli.app import run as lerax

CLAIM = """
import sys
from pathlib import Path
from lerax.run import claim
sys.stdin.readline()
print(claim("run", [Path(folder) for folder in sys.argv[1:]]))
"""


@pytest.mark.parametrize("folders", [["one"], ["one", "two"]])
def test_eight_processes_at_once_get_eight_names(tmp_path, folders):
    """P8."""
    environment = os.environ | {"PYTHONPATH": str(Path(lerax_run.__file__).parent.parent)}
    command = [sys.executable, "-c", CLAIM, *(str(tmp_path / folder) for folder in folders)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
    processes = [subprocess.Popen(command, **pipes) for _ in range(8)]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    names = [process.communicate()[0].strip() for process in processes]
    assert len(set(names)) == 8 and {"run"} < set(names)
    assert all(re.fullmatch(r"run(-\d+)?", name) for name in names)
    for folder in folders:
        assert {path.name for path in (tmp_path / folder).iterdir()} == set(names)


def test_a_name_counts_as_taken_if_it_is_taken_anywhere(tmp_path):
    (tmp_path / "two" / "run").mkdir(parents=True)
    assert claim("run", [tmp_path / "one", tmp_path / "two"]) == "run-1"
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["run-1"]


def test_a_file_of_the_name_counts_too(tmp_path):
    (tmp_path / "run").write_text("")
    assert claim("run", [tmp_path]) == "run-1"


def test_without_a_folder_any_name_is_free():
    assert claim("run", []) == "run"


@pytest.mark.parametrize(
    "name", ["a", "PPO_MLPActorCriticPolicy_CartPole-v1_20260220_120000", "a" * 200, "1=2+3"]
)
def test_names(name):
    assert NAME.fullmatch(name)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "/x", "a/b", "-x", ".x", "a b", "a\n", "a\0", "a" * 201, "ä"]
)
def test_names_that_leave_the_folder_or_upset_a_shell(name):
    assert not NAME.fullmatch(name)


def test_generated_names_end_in_the_local_time():
    assert re.fullmatch(r"A_B_\d{8}_\d{6}", generated_name("A", "B"))


@pytest.mark.parametrize(
    "parts", [["my/env"], ["../x", "a b"], [".x"], ["-rf"], ["ä\n\0"], [""], [], ["long" * 100, "a"]]
)
def test_generated_names_are_names(parts):
    """Whatever a user's environment is called."""
    name = generated_name(*parts)
    assert NAME.fullmatch(name) and re.search(r"\d{8}_\d{6}$", name)


def test_an_environment_with_a_slash_in_its_name_stays_in_the_folder(tmp_path):
    class Slashed(Target):
        name = "my/env"

    env = Slashed()
    policy = MLPActorCriticPolicy(env, hidden_sizes=(8,), key=jr.key(0))
    for given, wanted in ({"env": env}, "my-env_"), ({}, "Idle_MLPActorCriticPolicy_my-env_"):
        folder = tmp_path / wanted
        with LoggingCallback(TensorBoardBackend(folder), **given) as logger:
            Idle().learn(env, policy, 10, key=jr.key(0), callback=logger)
            assert logger.name.startswith(wanted)
        assert [path.name for path in folder.iterdir()] == [logger.name]
        assert list((folder / logger.name).glob("events.out.tfevents.*"))


def test_run_json_tells_how_a_run_began_and_ended(tmp_path):
    (tmp_path / "run").mkdir()
    run = RunDirectory(tmp_path / "run", seed=3, argv=["ü", "\udcff"])
    told = json.loads((tmp_path / "run" / "run.json").read_bytes().decode("utf-8", "surrogateescape"))
    assert told["status"] == "running" and told["name"] == "run" and told["seed"] == 3
    assert told["argv"] == ["ü", "\udcff"]
    run.finish("complete", steps=100)
    told = json.loads((tmp_path / "run" / "run.json").read_bytes().decode("utf-8", "surrogateescape"))
    assert (told["status"], told["steps"], told["seed"]) == ("complete", 100, 3) and told["seconds"] >= 0


def test_config_toml_comes_back(tmp_path):
    config = {"env": "CartPole-v1", "steps": 100, "algorithm": {"gamma": 0.99, "clip_value_loss": True}}
    RunDirectory(tmp_path).write_config(config)
    assert tomllib.loads((tmp_path / "config.toml").read_text()) == config


def hidden(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob(".*"))


def test_policy_and_end_are_written_on_a_disk_that_has_become_full(tmp_path):
    """Into the room that was kept for them, so that nobody can take it in between."""
    with small_disk(tmp_path / "disk", 64) as disk:
        run = RunDirectory(disk)
        run.reserve(20_000)
        assert len(hidden(disk)) == len(list(disk.iterdir())) - 2 == 2
        fill(disk)
        with pytest.raises(OSError, match="No space left.*config.toml"):
            run.write_config({"a": 1})
        run.write("policy.eqx", b"p" * 19_000)
        run.finish("finished", note="x" * 3000)
        assert (disk / "policy.eqx").read_bytes() == b"p" * 19_000
        assert read_facts(disk)["status"] == "finished" and hidden(disk) == []


def test_too_little_room_leaves_nothing_behind(tmp_path):
    with small_disk(tmp_path / "disk", 64) as disk:
        run = RunDirectory(disk)
        with pytest.raises(OSError, match="No space left"):
            run.reserve(100_000)
        assert sorted(path.name for path in disk.iterdir()) == ["run.json", "run.lock"]


def test_room_is_kept_where_the_file_system_cannot_set_it_aside(tmp_path, monkeypatch):
    """As on some of the network: written zeros do it."""

    def unable(*_):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "posix_fallocate", unable)
    run = RunDirectory(tmp_path)
    run.reserve(20_000)
    (room,) = tmp_path.glob(".policy.eqx.*")
    assert room.stat().st_blocks * 512 >= 20_000
    run.finish("finished")
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("number", [errno.EIO, errno.EDQUOT, errno.EROFS], ids=errno.errorcode.get)
def test_file_that_the_disk_does_not_take_is_named(tmp_path, monkeypatch, number):
    """What was there before stays, and nothing else does."""
    run = RunDirectory(tmp_path)
    run.reserve(1000)

    def failing(_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", failing)
    for name in ("policy.eqx", "run.json"):
        with pytest.raises(OSError, match=f"{os.strerror(number)}.*/{name}'$"):
            run.write(name, b"new")
    with pytest.raises(OSError, match="run.json"):
        run.finish("finished")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.json", "run.lock"]
    assert json.loads((tmp_path / "run.json").read_text())["status"] == "running"


KILLED = """
import os, sys
from pathlib import Path
from lerax.run import RunDirectory
run = RunDirectory(Path(sys.argv[1]))
run.write_config({"env": "CartPole-v1"})
os.kill(os.getpid(), 9)
"""


def test_run_of_a_killed_process_has_died(tmp_path, capsys):
    """Also before anybody has asked for its exit status; whoever wants its policy is told."""
    (tmp_path / "metrics.jsonl").write_text('{"step": 512}\n{"step": 1024}\n{"step": 15')
    environment = os.environ | {"PYTHONPATH": str(Path(lerax_run.__file__).parent.parent)}
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], env=environment)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is a zombie
    gone = f"process {process.pid} is gone"
    for _ in range(2):
        facts = read_facts(tmp_path)
        assert (facts["status"], facts["reason"], facts["steps"]) == ("died", gone, 1024)
        process.wait()
    assert json.loads((tmp_path / "run.json").read_text())["status"] == "running"
    assert lerax(["record-video", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert f"the run died at step 1,024 ({gone}); it has saved no policy" in said and said.count("\n") == 1


def rewritten(run: Path, **changes):
    """Changes what run.json says of the process."""
    facts = json.loads((run / "run.json").read_text())
    facts["process"] |= changes
    (run / "run.json").write_text(json.dumps(facts))


def test_run_of_a_living_process_runs(tmp_path, capsys):
    """Until another process has its number."""
    run = RunDirectory(tmp_path)
    run.write_config({"env": "CartPole-v1"})
    assert read_facts(tmp_path)["status"] == "running"
    assert lerax(["record-video", str(tmp_path)]) == 2
    assert "the run is at step 0 and has saved no policy yet" in capsys.readouterr().err
    rewritten(tmp_path, began=1)
    assert read_facts(tmp_path)["status"] == "died"
    run.finish("failed")
    assert lerax(["record-video", str(tmp_path)]) == 2
    assert "the run has ended (failed) and saved no policy" in capsys.readouterr().err


@pytest.mark.parametrize(
    "age, status",
    [(60, "running"), (3600, "died"), (-3600, "running")],
    ids=["young", "old", "in the future"],
)
def test_run_on_another_machine_lives_by_its_heartbeat(tmp_path, age, status):
    """Or in another container of this one; a clock that is ahead buries nobody."""
    RunDirectory(tmp_path)
    rewritten(tmp_path, boot="elsewhere", host="far", pid=1)
    os.utime(tmp_path / "run.json", (time.time() - age, time.time() - age))
    facts = read_facts(tmp_path)
    assert facts["status"] == status
    assert facts.get("reason") == ("no sign of life from far for 3,600 s" if status == "died" else None)


@pytest.mark.parametrize(
    "changes", [{"pid": None}, {"pid": 2**70}, {"pid": -1}, {"began": "x"}, {"boot": None}, {"host": 3}]
)
def test_odd_facts_of_a_process_are_read_all_the_same(tmp_path, changes):
    RunDirectory(tmp_path)
    rewritten(tmp_path, **changes)
    assert read_facts(tmp_path)["status"] in ("running", "died")


def test_run_of_an_older_version_is_what_it_says(tmp_path):
    """It does not tell who writes it."""
    (tmp_path / "run.json").write_text('{"name": "old", "status": "running"}')
    os.utime(tmp_path / "run.json", (0, 0))
    assert read_facts(tmp_path) == {"name": "old", "status": "running", "steps": 0}


@pytest.mark.parametrize("text", ["", "[]", "{", "\0"])
def test_what_is_no_run_json_is_refused(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ValueError):
        read_facts(tmp_path)


def test_heart_beats_until_the_run_ends(tmp_path, monkeypatch):
    """It moves the time of run.json and nothing else, and gives up where the run is removed."""
    monkeypatch.setattr(lerax_run, "HEARTBEAT_SECONDS", 0.01)
    path = tmp_path / "run.json"
    others = set(threading.enumerate())
    run = RunDirectory(tmp_path)
    text = path.read_bytes()
    os.utime(path, (0, 0))
    wait_until(lambda: path.stat().st_mtime > 0)
    assert path.read_bytes() == text
    run.finish("finished")
    wait_until(lambda: set(threading.enumerate()) <= others)
    assert read_facts(tmp_path)["status"] == "finished"
    RunDirectory(tmp_path)
    path.unlink()
    wait_until(lambda: set(threading.enumerate()) <= others)
    assert not path.exists()


def wait_until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
