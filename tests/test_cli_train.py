"""What `lerax train` leaves behind, and that it can be repeated."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import jax
import numpy as np
import pytest
import terminal
from jax import random as jr

from lerax import checkpoint
from lerax.env.classic_control import CartPole
from lerax.evaluate import evaluate
from lerax.policy import MLPActorCriticPolicy

SECRET = "4f0c-this-is-a-secret"
LINE = "RUN=$($LERAX train CartPole-v1 --steps 20000 --seed 1 -q) && printf '[%s]' \"$RUN\""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `done` has run."""
    return tmp_path_factory.mktemp("train")


@pytest.fixture(scope="module")
def done(folder: Path) -> subprocess.CompletedProcess[str]:
    """A training in a shell script, with secrets in its environment."""
    return terminal.sh(LINE, folder, WANDB_API_KEY=SECRET, HF_TOKEN=SECRET, AWS_SECRET_ACCESS_KEY=SECRET)


@pytest.fixture(scope="module")
def run(done: subprocess.CompletedProcess[str], folder: Path) -> Path:
    """The run directory that `done` left."""
    assert done.returncode == 0, done.stderr
    return terminal.only_run(folder / "logs")


def load(run: Path, key: int = 0) -> MLPActorCriticPolicy:
    """The policy of a run, loaded into a fresh one."""
    return checkpoint.load(run / "policy.eqx", MLPActorCriticPolicy(env=CartPole(), key=jr.key(key)))


def measured(run: Path) -> list[dict]:
    """A run's metrics without its times."""
    rows = terminal.records(run)
    return [{tag: x for tag, x in row.items() if not tag.startswith("time/")} for row in rows]


def test_the_path_of_the_run_is_all_that_is_said(done: subprocess.CompletedProcess[str], run: Path):
    """`RUN=$(lerax train ... -q)`: standard output is the path, standard error is empty."""
    assert done.stdout == f"[logs/{run.name}]"
    assert done.stderr == ""


def test_run_is_named_by_algorithm_policy_environment_and_time(run: Path):
    """A name sorts by time and says what it is."""
    assert re.fullmatch(r"PPO_MLPActorCriticPolicy_CartPole-v1_\d{8}_\d{6}", run.name)


def test_run_directory_has_its_files_and_no_others(run: Path, folder: Path):
    """No temporary file is left, and no backend writes that was not named."""
    assert sorted(path.name for path in run.iterdir()) == [
        *("checkpoints", "config.toml", "metrics.jsonl", "policy.eqx", "run.json", "run.lock")
    ]
    assert [path.name for path in folder.iterdir()] == ["logs"]


def test_run_json_tells_how_the_run_went(run: Path):
    """Status, arguments, versions, seed and timings."""
    facts = terminal.facts(run)
    assert (facts["name"], facts["status"], facts["seed"]) == (run.name, "finished", 1)
    assert facts["argv"] == ["train", "CartPole-v1", "--steps", "20000", "--seed", "1", "-q"]
    assert facts["versions"]["jax"] == jax.__version__
    assert {"lerax", "python", "equinox", "optax"} <= facts["versions"].keys()
    assert 0 < facts["seconds_training"] < facts["seconds"]
    assert facts["steps"] == 20224  # 79 whole iterations of 256


def test_metrics_have_one_line_per_iteration(run: Path):
    """Steps rise by an iteration's steps; the last line holds the evaluation, too, as `tail -n 1` shows."""
    iterations = terminal.records(run)
    assert [row["step"] for row in iterations] == [256 * (i + 1) for i in range(79)]
    for tag in ("train/loss", "train/learning_rate", "time/steps_per_second", "time/elapsed"):
        assert all(isinstance(row[tag], float) for row in iterations), tag
    assert [row["step"] for row in iterations if "eval/return" in row] == [20224]


def test_episodes_are_logged_once_one_has_finished(run: Path):
    """CartPole's return is its length."""
    rows = [row for row in terminal.records(run) if "episode/return" in row]
    assert len(rows) >= 78
    assert all(row["episode/return"] == row["episode/length"] for row in rows)


def test_saved_policy_is_the_one_that_was_evaluated(run: Path):
    """The file holds the trained policy, and the reported return is that of its episodes."""
    told = terminal.facts(run)["evaluation"]
    fresh, loaded = (
        evaluate(CartPole(), policy, key=jr.key(7), num_episodes=100).returns
        for policy in (MLPActorCriticPolicy(env=CartPole(), key=jr.key(0)), load(run))
    )
    error = (told["std_return"] + float(loaded.std())) / 10 + 1
    assert abs(float(loaded.mean()) - told["mean_return"]) < 5 * error
    assert abs(float(fresh.mean()) - told["mean_return"]) > 5 * error


def test_evaluation_is_the_same_in_every_place(run: Path):
    """run.json, metrics.jsonl and policy.eqx agree."""
    told = terminal.facts(run)["evaluation"]
    assert told["mean_return"] == terminal.records(run)[-1]["eval/return"]
    assert told["episodes"] == 100
    metadata = checkpoint.read_metadata(run / "policy.eqx")
    assert (metadata["env"], metadata["seed"], metadata["steps"]) == ("CartPole-v1", 1, 20224)


def test_no_secret_is_written_or_shown(done: subprocess.CompletedProcess[str], run: Path):
    """P9: what the environment holds stays there."""
    for path in filter(Path.is_file, run.rglob("*")):
        assert SECRET.encode() not in path.read_bytes(), path.name
    assert SECRET not in done.stdout + done.stderr


def test_config_repeats_the_run_bitwise(run: Path, folder: Path):
    """`lerax train --config RUN/config.toml`: the same parameters and metrics, but for the times."""
    config = f"logs/{run.name}/config.toml"
    again = terminal.warm("train", "--config", config, "--out", "again", "-q", cwd=folder)
    assert again.returncode == 0, again.stderr
    second = terminal.only_run(folder / "again")
    assert (second / "config.toml").read_bytes() == (run / "config.toml").read_bytes()
    for one, other in zip(jax.tree.leaves(load(run)), jax.tree.leaves(load(second, 1)), strict=True):
        assert np.array_equal(one, other)
    assert measured(run) == measured(second)
    assert terminal.facts(second)["solved"] == terminal.facts(run)["solved"] is not None


def test_another_seed_is_another_run(run: Path, tmp_path: Path):
    """The seed decides: what repeats a run is not that all runs are equal."""
    config = str(run / "config.toml")
    other = terminal.warm("train", "--config", config, "--seed", "2", "--steps", "512", "-q", cwd=tmp_path)
    assert other.returncode == 0, other.stderr
    first = measured(terminal.only_run(tmp_path / "logs"))[0]
    assert first["step"] == 256 and first["train/loss"] != measured(run)[0]["train/loss"]


def test_config_holds_every_setting_and_nothing_of_the_place(run: Path):
    """The file can be given to somebody else."""
    config = tomllib.loads((run / "config.toml").read_text())
    keys = ["seed", "steps", "preset", "backend", "nan", "video_interval", "save_every", "keep", "score"]
    assert list(config) == [*keys, "env", "algorithm", "policy"]
    assert config["score"] == 475.0  # the preset's
    names = [config[table].pop("name") for table in ("env", "algorithm", "policy")]
    assert (names, config["seed"]) == (["CartPole-v1", "ppo", "MLPActorCriticPolicy"], 1)
    assert config["env"] == {"max_episode_steps": 500, "sutton_barto_reward": False}
    assert (config["steps"], config["preset"], config["backend"]) == (20000, "none", ["none"])
    assert config["algorithm"]["learning_rate"] == 1e-3  # the preset's
    assert config["policy"]["hidden_sizes"] == [64, 64]


def test_json_is_one_object(tmp_path: Path):
    """`--json`: the outcome for programs instead of the path."""
    done = terminal.warm("train", *terminal.BRIEF, "--json", "--progress", "off", cwd=tmp_path)
    outcome = json.loads(done.stdout)
    run = terminal.only_run(tmp_path / "logs")
    assert (tmp_path / outcome["run"]).samefile(run)
    assert (outcome["status"], outcome["seed"], outcome["steps"]) == ("finished", 1, 2048)
    assert outcome["evaluation"] == terminal.facts(run)["evaluation"]


def test_every_option_is_tested(tmp_path: Path):
    """An option that `--help` shows stands in one of these files."""
    text = terminal.warm("train", "--help", cwd=tmp_path).stdout
    shown = set(re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", text, re.MULTILINE))
    assert {"--algo", "--steps", "--json"} <= shown
    files = sorted(Path(__file__).parent.glob("test_*.py"))
    used = {option for path in files for option in re.findall(r"[\"' ](--[a-z-]+)", path.read_text())}
    assert not shown - used
