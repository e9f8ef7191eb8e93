"""`lerax eval`: what it measures, against the library and NumPy, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
import terminal
from in_process import run as lerax
from jax import random as jr
from made_runs import make
from scipy import stats
from test_cli_inputs import refuse

from lerax import checkpoint
from lerax.env.classic_control import CartPole, Pendulum
from lerax.evaluate import evaluate
from lerax.policy import MLPActorCriticPolicy

METADATA = {"policy": "MLPActorCriticPolicy", "settings": {"hidden_sizes": [8]}}
POLICIES = {
    env.name: MLPActorCriticPolicy(env, hidden_sizes=(8,), key=jr.key(1)) for env in (CartPole(), Pendulum())
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of each of two environments with a policy that has learned nothing, and one without a policy."""
    folder = tmp_path_factory.mktemp("eval")
    for name, env in {"cart": "CartPole-v1", "swing": "Pendulum-v1"}.items():
        run = make(folder / "logs", name, env=env)
        checkpoint.save(run / "policy.eqx", POLICIES[env], METADATA | {"env": env})
    make(folder / "logs", "bare")
    (make(folder / "logs", "torn") / "policy.eqx").write_text("torn")
    return folder


def measured(*arguments: str, cwd: Path) -> dict:
    done = terminal.warm("eval", *arguments, "--json", cwd=cwd)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_measures_what_the_library_does(folder: Path):
    """The interval against SciPy's, from the same episodes; greedy, and with the seed that is given."""
    found = measured("cart", "--seed", "3", "--episodes", "20", cwd=folder)
    result = evaluate(CartPole(), POLICIES["CartPole-v1"], key=jr.key(3), num_episodes=20)
    returns, lengths = np.asarray(result.returns, float), np.asarray(result.lengths)
    interval = found.pop("interval_return")
    assert interval == pytest.approx(
        stats.t.interval(0.95, 19, loc=returns.mean(), scale=stats.sem(returns)), rel=1e-6
    )
    assert found == {
        "policy": "logs/cart/policy.eqx",
        "env": "CartPole-v1",
        "seed": 3,
        "deterministic": True,
        "episodes": 20,
        "cut": 0,
        "mean_return": pytest.approx(returns.mean()),
        "std_return": pytest.approx(returns.std()),
        "min_return": returns.min(),
        "max_return": returns.max(),
        "mean_length": pytest.approx(lengths.mean()),
        "min_length": lengths.min(),
        "max_length": lengths.max(),
    }


def test_the_same_policy_sampled_is_another_one(folder: Path):
    """By a run's name or by its file; the same seed gives the same."""
    options = ("--episodes", "20", "--stochastic")
    greedy = measured("cart", *options[:2], cwd=folder)
    sampled = measured("cart", *options, cwd=folder)
    assert not sampled["deterministic"] and sampled["mean_return"] != greedy["mean_return"]
    assert measured("logs/cart/policy.eqx", *options, cwd=folder) == sampled


def test_another_setting_of_the_environment_is_played(folder: Path):
    """Episodes of a pendulum end at their limit alone; of one there is no interval."""
    found = measured("swing", "--set", "env.max_episode_steps=7", "--episodes", "1", cwd=folder)
    assert found["min_length"] == found["max_length"] == 7 and found["interval_return"] is None


def test_a_mean_below_the_least_is_told(folder: Path):
    """Exit 5 and one line, beside what was measured."""
    done = terminal.warm("eval", "cart", "--min-return", "475", "-q", cwd=folder)
    assert done.returncode == 5 and len(done.stderr.splitlines()) == 1
    assert "--min-return" in done.stderr and "475" in done.stderr
    returned, length, episodes = done.stdout.splitlines()
    assert returned.startswith("return ") and "95 % interval" in returned
    assert length.startswith("length ") and episodes.endswith("100 greedy, CartPole-v1, seed 0")
    met = terminal.warm("eval", "cart", "--min-return", "-1e3", "-q", cwd=folder)
    assert (met.returncode, met.stdout, met.stderr) == (0, done.stdout, "")


def test_a_checkpoint_is_no_policy(folder: Path):
    """The run that it is of is named, and --policy, which there is not, is not."""
    path = folder / "logs" / "cart" / "checkpoints" / "000000000512.lerax"
    path.parent.mkdir()
    checkpoint.save(path, POLICIES["CartPole-v1"], {"steps": 512})
    refuse(
        lerax("eval", str(path.relative_to(folder)), "-q", cwd=folder),
        2,
        ["a checkpoint, and no policy", "give logs/cart"],
    )
    other = folder / "other.lerax"
    other.write_bytes(path.read_bytes())
    said = lerax("eval", str(other), "-q", cwd=folder)
    refuse(said, 1, ["other.lerax", "name no environment"])
    assert "--policy" not in said.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, ["RUN"]),
        (["cat"], 2, ["RUN", "'cat'", "did you mean cart"]),
        (["CartPole-v1"], 2, ["RUN", "neither a run nor a policy's file"]),
        (["bare"], 2, ["RUN", "saved no policy"]),
        (["torn"], 1, ["RUN", "policy.eqx", "not a file of lerax"]),
        (["logs/torn/policy.eqx"], 1, ["policy.eqx", "not a file of lerax"]),
        (["cart", "--env", "CarPole-v1"], 2, ["--env", "did you mean CartPole-v1"]),
        (["cart", "--env", "Pendulum-v1"], 2, ["--env", "Pendulum-v1", "shape (4,)", "shape (3,)"]),
        (["cart", "--set", "gamma=0.9"], 2, ["--set", "gamma", "env.KEY"]),
        (["cart", "--set", "env.gravty=1"], 2, ["--set", "env.gravty", "max_episode_steps"]),
        (["cart", "--set", "env.max_episode_steps=0"], 2, ["--set: env.max_episode_steps", "at least 1"]),
        (["cart", "--episodes", "0"], 2, ["--episodes", "at least 1"]),
        (["cart", "--min-return", "much"], 2, ["--min-return", "'much'"]),
        (["cart", "--seed", "-1"], 2, ["--seed", "at least 0"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_what_cannot_be_is_refused(folder: Path, arguments: list[str], code: int, words: list[str]):
    """In one line, before anything is compiled."""
    refuse(lerax("eval", *arguments, "-q", cwd=folder), code, words)


def test_the_next_command_is_one_that_works(folder: Path):
    """A video that there is already has to be replaced."""
    line = ("eval", "cart", "--episodes", "1")
    assert "next        lerax record-video cart\n" in terminal.warm(*line, cwd=folder).stderr
    video = folder / "logs" / "cart" / "videos" / "last.mp4"
    video.parent.mkdir()
    video.touch()
    assert "next        lerax record-video cart --overwrite\n" in terminal.warm(*line, cwd=folder).stderr
