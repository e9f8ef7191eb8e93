"""Settings and config files: what is refused, and which value counts."""

import json
import sys
import tomllib
from pathlib import Path

import pytest
import terminal
from test_cli_inputs import refuse

# A setting, and what the error has to say beside `--set`. The exit code is always 2.
SETTINGS = [
    ("learning_rate=nan", ["learning_rate", "got nan", "above 0"]),
    ("learning_rate=inf", ["learning_rate", "got inf"]),
    ("learning_rate=0", ["learning_rate", "got 0", "above 0"]),
    ("learning_rate=-1", ["learning_rate", "got -1", "above 0"]),
    ("learning_rate=true", ["learning_rate", "not a float", "True"]),
    ("gamma=1.5", ["gamma", "got 1.5", "at least 0 and at most 1"]),
    ("gamma=abc", ["gamma", "not a float", "'abc'"]),
    ("gamma=", ["gamma", "''"]),
    ("gamma=0.9\nseed=3", ["gamma", "0.9\\nseed=3"]),
    ("clip_coefficient=-0.2", ["clip_coefficient", "got -0.2", "above 0"]),
    ("num_envs=0", ["num_envs", "got 0", "at least 1 and at most 1048576"]),
    ("num_envs=1048577", ["num_envs", "got 1048577", "1048576"]),
    ("num_envs=3.5", ["num_envs", "not an int", "3.5"]),
    ("clip_value_loss=1", ["clip_value_loss", "not a bool"]),
    ("nokey=1", ["nokey", "PPO", "gamma", "num_envs"]),
    ("gama=0.9", ["gama", "did you mean gamma?"]),
    ("hidden_sizes=[64]", ["hidden_sizes: PPO has no such", "it is one of the policy: policy.hidden_sizes"]),
    ("max_episode_steps=9", ["it is one of the environment: env.max_episode_steps"]),
    ("policy.gamma=0.9", ["policy.gamma", "it is one of the algorithm: gamma"]),
    ("policy.hiden_sizes=[8]", ["policy.hiden_sizes", "did you mean", "hidden_sizes"]),
    ("policy.hidden_sizes=[]", ["policy.hidden_sizes", "[]"]),
    ("policy.hidden_sizes=[8, 0]", ["policy.hidden_sizes", "[8, 0]", "at least 1"]),
    ("policy.activation=foo", ["policy.activation", "'foo'", "tanh"]),
]
# Further options, and what the error has to say: all of it fits no run.
TOGETHER = [
    (["--set", "num_batches=3"], ["error: --set: num_batches: does", "256", "got 3", "nearest: 2, 4"]),
    (["--set", "num_batches=100"], ["num_batches", "256", "got 100", "nearest: 64, 128"]),
    (["--set", "num_batches=1000"], ["num_batches", "256", "got 1000", "nearest: 256"]),
    (
        ["--num-envs", "3", "--set", "num_batches=64"],
        ["error: --set: num_batches: does", "96", "nearest: 48, 96"],
    ),
    (["--num-envs", "3", "--set", "num_steps=3", "--preset", "none"], ["error: num_batches: does", "got 4"]),
    (["--num-envs", "1048577"], ["error: --num-envs: num_envs: out of range (got 1048577)", "1048576"]),
    (["--num-envs", "two"], ["error: --num-envs: num_envs: not an int (got 'two')", "1048576"]),
    (["--steps", "255"], ["error: --steps: fewer", "got 255", "at least 256"]),
    (["--steps", "9_000_000_000_000_000_000"], ["--steps"]),
]
# A config file, and what the error has to say.
CONFIGS = [
    ("env = \n", ["--config", "config.toml", "line 1, column"]),
    ("seed = 1\nsteps 1\n", ["--config", "config.toml", "line 2, column"]),
    ("sed = 1\n", ["--config", "'sed'", "did you mean seed"]),
    ("gamma = 0.9\n", ["--config", "'gamma'", "algorithm"]),
    ("seed = 'one'\n", ["--config", "seed", "'one'", "int"]),
    ("steps = true\n", ["--config", "steps", "True", "int"]),
    ("backend = 'tensorboard'\n", ["--config", "backend", "list of str", "'tensorboard'"]),
    ("env = 3\n", ["--config", "env", "got 3", "str"]),
    ("algorithm = 'ppo'\n", ["--config", "algorithm", "'ppo'", "table"]),
    ("[dqn]\ngamma = 0.9\n", ["--config", "'dqn'"]),
    ("steps = 0\n", ["error: --config: steps: out", "got 0"]),
    ("steps = 255\n", ["error: --config: steps: fewer", "got 255", "at least 256"]),
    ("seed = -1\n", ["error: --config: seed: out", "got -1", "4294967295"]),
    ("nan = 'maybe'\n", ["error: --config: nan: ", "'maybe'", "stop, warn, off"]),
    ("algo = 'ppp'\n", ["error: --config: algo: ", "'ppp'", "did you mean ppo"]),
    ("preset = 'foo'\n", ["error: --config: preset: ", "'foo'"]),
    ("backend = ['foo']\n", ["error: --config: backend: ", "'foo'"]),
    ("score = 'high'\n", ["error: --config: score: ", "'high'", "float"]),
    ("score = 1979-05-27\n", ["error: --config: score: not a float (got 1979-05-27)"]),
    ("seed = 07:32:00\n", ["error: --config: seed: not an int (got 07:32:00)"]),
    ("[algorithm]\nseed = 3\n", ["--config", "algorithm.seed", "in a config seed stands above all tables"]),
    ("score = inf\n", ["error: --config: score: ", "inf", "finite"]),
    ("[algorithm]\ngama = 0.9\n", ["--config", "algorithm.gama", "did you mean gamma"]),
    ("[algorithm]\ngamma = 'x'\n", ["--config", "algorithm.gamma", "not a float", "'x'"]),
    ("[algorithm]\nbuffer_size = 1\n", ["--config", "algorithm.buffer_size", "PPO"]),
    ("[policy]\ngamma = 0.9\n", ["--config", "policy.gamma"]),
]
PROGRAM = """
import contextlib, io, json, sys
from lerax_cli.app import run
for arguments in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(arguments)
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands of `answers` run."""
    return tmp_path_factory.mktemp("settings")


@pytest.fixture(scope="module")
def answers(folder: Path) -> list[terminal.Finished]:
    """What each command line of SETTINGS and TOGETHER comes to, all in one process that has JAX."""
    lines = [["train", "CartPole-v1", "--set", text] for text, _ in SETTINGS]
    lines += [["train", "CartPole-v1", *options] for options, _ in TOGETHER]
    done = terminal.finish([sys.executable, "-c", PROGRAM, json.dumps(lines)], folder, {})
    return [terminal.Finished([], *json.loads(line)) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("row", range(len(SETTINGS)), ids=[text for text, _ in SETTINGS])
def test_setting_is_refused(answers: list[terminal.Finished], row: int):
    """Exit 2 and the type, the range or the nearest key."""
    refuse(answers[row], 2, ["--set", *SETTINGS[row][1]])


@pytest.mark.parametrize("row", range(len(TOGETHER)), ids=[" ".join(options) for options, _ in TOGETHER])
def test_combination_is_refused(answers: list[terminal.Finished], row: int):
    """Exit 2 and the nearest values that fit together."""
    refuse(answers[len(SETTINGS) + row], 2, TOGETHER[row][1])


def test_nearest_values_are_named_once(answers: list[terminal.Finished]):
    """Above the largest divisor there is only one nearest value."""
    row = [options[-1] for options, _ in TOGETHER].index("num_batches=1000")
    assert "256, 256" not in answers[len(SETTINGS) + row].stderr


def test_what_is_refused_leaves_nothing_behind(answers: list[terminal.Finished], folder: Path):
    """No run directory is made for a run that cannot be."""
    assert len(answers) == len(SETTINGS) + len(TOGETHER)
    assert not list(folder.iterdir())


@pytest.mark.parametrize(("content", "words"), CONFIGS)
def test_config_is_refused(tmp_path: Path, content: str, words: list[str]):
    """Exit 2 and where it is: line and column, or the dotted key."""
    config = tmp_path / "config.toml"
    config.write_text(content)
    done = terminal.warm("train", "CartPole-v1", "--config", "config.toml", cwd=tmp_path)
    refuse(done, 2, words)
    assert list(tmp_path.iterdir()) == [config]


@pytest.mark.parametrize(
    ("path", "words"), [("nowhere.toml", ["No such file"]), (".", ["directory"]), ("bytes", ["UTF-8"])]
)
def test_config_that_cannot_be_read_is_refused(tmp_path: Path, path: str, words: list[str]):
    """Exit 2: a named input that is missing is a mistake in the command line."""
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    done = terminal.warm("train", "--config", path, cwd=tmp_path)
    refuse(done, 2, ["--config", path, *words])


def test_config_without_an_environment_is_refused(tmp_path: Path):
    """ENV may come from the config, but from somewhere it must come."""
    (tmp_path / "config.toml").write_text("steps = 512\n")
    refuse(terminal.warm("train", "--config", "config.toml", cwd=tmp_path), 2, ["ENV", "missing"])


def test_environment_from_the_config_is_refused_there(tmp_path: Path):
    """The error names the place that the name came from."""
    (tmp_path / "config.toml").write_text("env = 'CarPole'\n")
    done = terminal.warm("train", "--config", "config.toml", cwd=tmp_path)
    refuse(done, 2, ["error: --config: env: unknown", "'CarPole'", "did you mean CartPole-v1"])


def test_nul_in_a_name_is_refused(tmp_path: Path):
    """A name that no file can have is escaped in the error."""
    (tmp_path / "config.toml").write_text('env = "Cart\\u0000Pole"\n')
    refuse(terminal.warm("train", "--config", "config.toml", cwd=tmp_path), 2, ["ENV", "Cart\\x00Pole"])


def test_options_count_before_the_config_the_preset_and_the_defaults(tmp_path: Path):
    """Each layer changes only what the layers above it leave open."""
    config = 'env = "CartPole-v1"\nseed = 5\nsteps = 512\n[algorithm]\ngamma = 0.5\nnum_epochs = 2\n'
    (tmp_path / "own.toml").write_text(config)
    done = terminal.warm(
        *("train", "--config", "own.toml", "--seed", "6", "--set", "gamma=0.98", "-q"), cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    resolved = tomllib.loads((terminal.only_run(tmp_path / "logs") / "config.toml").read_text())
    assert resolved["seed"] == 6 and resolved["algorithm"]["gamma"] == 0.98  # options before the config
    assert resolved["steps"] == 512  # the config before the preset, which has 100,000
    assert resolved["algorithm"]["num_epochs"] == 2  # and 20
    assert resolved["algorithm"]["num_envs"] == 8  # the preset before the default, which is 4
    assert resolved["algorithm"]["value_loss_coefficient"] == 0.5  # the default


def test_preset_of_another_name_is_taken(tmp_path: Path):
    """A preset is named by its environment, in any case."""
    done = terminal.warm(
        *("train", "cartpole-v1", "--algo", "PPO", "--preset", "CARTPOLE-V1", "--steps", "512", "-q"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    resolved = tomllib.loads((terminal.only_run(tmp_path / "logs") / "config.toml").read_text())
    names = {table: resolved[table]["name"] for table in ("env", "algorithm", "policy")}
    assert names == {"env": "CartPole-v1", "algorithm": "ppo", "policy": "MLPActorCriticPolicy"}
    assert resolved["preset"] == "none"
    assert resolved["algorithm"]["gae_lambda"] == 0.8
