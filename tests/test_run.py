"""Run directories: whose they are, and what they tell."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from jax import random as jr
from toys import Idle, Target

import lerax.run
from lerax.callback import LoggingCallback, TensorBoardBackend
from lerax.policy import MLPActorCriticPolicy
from lerax.run import NAME, RunDirectory, claim, generated_name

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
    environment = os.environ | {"PYTHONPATH": str(Path(lerax.run.__file__).parent.parent)}
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
    config = {"env": "CartPole-v1", "steps": 100, "algorithm": {"gamma": 0.99, "anneal_clip": True}}
    RunDirectory(tmp_path).write_config(config)
    assert tomllib.loads((tmp_path / "config.toml").read_text()) == config
