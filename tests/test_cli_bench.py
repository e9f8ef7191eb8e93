"""`lerax bench`: how fast a training is, by the number of environments."""

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import terminal
from test_cli_inputs import refuse

from lerax_cli import bench
from lerax_cli.report import BadInput

SMALL = ("--set", "num_steps=8", "--set", "num_epochs=1", "--set", "num_batches=2")
LINE = ("bench", "CartPole-v1", "--preset", "none", "--set", "policy.hidden_sizes=[8]", *SMALL)
SOON = ("--seconds", "0.001")  # the first number of environments alone, once
PARTS = ("simulation", "policy", "update", "rest")


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> terminal.Finished:
    """Two numbers, of which one is left out, as a table."""
    folder = tmp_path_factory.mktemp("bench")
    done = terminal.run(*LINE, "--wrap", "clip_reward", "--num-envs", "4,2", *SOON, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert not list(folder.iterdir()), "it writes no run"
    return done


def test_a_table_says_what_was_measured(said: terminal.Finished):
    """A row for each number of environments, shares that sum to 100 %, and what is recommended, and why."""
    head, row, last = said.stdout.splitlines()
    assert head.split() == ["ENVS", "STEPS/S", "COMPILE", "MEMORY", "SIMULATION", "POLICY", "UPDATE", "REST"]
    assert row.split()[0] == "2" and " s " in row and " MiB " in row
    assert abs(sum(map(int, re.findall(r"(\d+) %", row))) - 100) <= 2  # each is rounded
    assert last == "recommended: 2 environments; nothing else was measured"


def test_standard_error_says_what_the_figures_are(said: terminal.Finished):
    """What was left out, that it is about speed alone, and the command that would train so."""
    assert "lerax: 2 environments: compiling" in said.stderr
    assert re.search(r"^left out +4 environments: no time", said.stderr, re.MULTILINE)
    assert "more environments also change what is learned" in said.stderr
    options = "--preset none --set 'policy.hidden_sizes=[8]' --set num_steps=8 --set num_epochs=1"
    after = "--set num_batches=2 --wrap clip_reward --num-envs 2"
    assert said.stderr.splitlines()[-1].split(maxsplit=1)[1] == f"lerax train CartPole-v1 {options} {after}"


def test_json_has_all_of_it(tmp_path: Path):
    """Of an algorithm with a replay buffer; nothing else is said with -q."""
    small = ("--set", "num_steps=8", "--set", "batch_size=8", "--set", "buffer_size=64", "-q", "--json")
    line = ("bench", "CartPole-v1", "--preset", "none", "--algo", "dqn", "--num-envs", "2", *small, *SOON)
    done = terminal.run(*line, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert (found["env"], found["algo"], found["recommended"]) == ("CartPole-v1", "dqn", 2)
    (speed,) = found["speeds"]
    assert speed["num_envs"] == 2 and speed["rounds"] == 1 and speed["steps_per_second"] > 0
    assert set(speed["shares"]) == set(PARTS) and abs(sum(speed["shares"].values()) - 1) < 1e-9
    assert speed["program_bytes"] > 0 and found["process_bytes"] > speed["program_bytes"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["CartPole"], ["CartPole-v1"]),
        ([], ["ENV", "missing"]),
        (["CartPole-v1", "--algo", "sac"], ["sac", "Discrete"]),
        (["CartPole-v1", "--set", "gama=1"], ["gamma"]),
        (["CartPole-v1", "--num-envs", "0,8"], ["--num-envs", "at least 1"]),
        (["CartPole-v1", "--num-envs", "8,x"], ["--num-envs", "'x'"]),
        (["CartPole-v1", "--num-envs", ",".join(map(str, range(1, 20)))], ["--num-envs", "more than 16"]),
        (["CartPole-v1", "--num-envs", "8", "--set", "num_envs=4"], ["num_envs", "two values"]),
        (["CartPole-v1", "--seconds", "0"], ["--seconds", "above 0"]),
        (["CartPole-v1", "--set", "num_batches=64", "--num-envs", "8,3"], ["num_batches", "does not divide"]),
    ],
)
def test_what_is_wrong_is_refused_before_anything_compiles(
    tmp_path: Path, arguments: list[str], words: list[str]
):
    """In the words of `lerax train`, with exit 2."""
    refuse(terminal.run("bench", *arguments, "-q", cwd=tmp_path), 2, words)


def test_numbers_are_read_once_each_in_order():
    assert bench.read_numbers("64, 1,8,8,1_000") == [1, 8, 64, 1000]
    with pytest.raises(BadInput, match="num-envs"):
        bench.read_numbers("1,,2")


def test_ctrl_c_ends_it(tmp_path: Path):
    """With 130, and nothing is left."""
    with terminal.started(terminal.LERAX, *LINE, "--num-envs", "2", cwd=tmp_path) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        assert "compiling" in first, first
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=terminal.SECONDS)
    assert (process.returncode, out) == (130, ""), said
    assert "stopped by a signal" in said and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("rates", "words"),
    [
        ({1: 100.0}, "1 environment; nothing else was measured"),
        ({1: 100.0, 4: 1000.0, 16: 950.0}, "4 environments, the fastest"),
        ({1: 100.0, 4: 300.0}, "4 environments, the fastest, and the largest number that was measured"),
        (
            {4: 950.0, 16: 1000.0},
            "4 environments, 95 % of the best speed, which is that of 16",
        ),
    ],
)
def test_the_reason_is_said(rates: dict[int, float], words: str):
    from lerax.bench import Benchmark, Parts, Speed

    of: Any = lambda n, rate: Speed(n, rate, rate, rate, 3, 1.0, Parts(1, 0, 0, 0), 1.0, 1)
    assert bench._why(Benchmark(tuple(of(*one) for one in rates.items()), {})) == words
