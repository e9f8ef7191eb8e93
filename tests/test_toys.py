"""Learners that share nothing with PPO: one off-policy, and a policy with a memory."""

import json
import re
from pathlib import Path

import jax
import numpy as np
import pytest
import terminal
from jax import numpy as jnp
from jax import random as jr
from test_plugins import install, path
from toys import Idle, Late, Remembers, Replays, Steered, Target, assert_bitwise_equal, untimed

from lerax.algorithm import PPO
from lerax.callback import (
    CallbackList,
    EmptyCallback,
    EvalCallback,
    LoggingCallback,
    MemoryBackend,
    ProgressBarCallback,
    StopOnNonFinite,
    StopOnReturn,
    TensorBoardCallback,
)
from lerax.evaluate import evaluate
from lerax.policy import MLPActorCriticPolicy

ALGORITHM = Replays(warm_up=16)
ENV = Target()
ITERATIONS = 6


def learn(key=None, callback=(), iterations=ITERATIONS):
    key = jr.key(1) if key is None else key
    policy, steps = Steered(ENV, key=jr.key(0)), iterations * ALGORITHM.steps_per_iteration
    return ALGORITHM.learn(ENV, policy, steps, key=key, callback=list(callback))


def logged(train):
    memory = MemoryBackend()
    with LoggingCallback(memory, name="run") as logger:
        policy = jax.block_until_ready(train(logger))
    return policy, untimed(memory.records)


def test_an_off_policy_learner_learns():
    mean = lambda policy: float(evaluate(ENV, policy, key=jr.key(2), num_episodes=16).returns.mean())
    assert mean(learn(iterations=1000)) > -0.3 > -3 > mean(Steered(ENV, key=jr.key(0)))


def test_what_is_not_there_is_not_logged():
    """A learner that is warming up has a learning rate and no losses, and that is no fault."""
    _, records = logged(lambda logger: learn(callback=[logger, StopOnNonFinite()]))
    there = ["train/loss" in scalars for _, scalars in records]
    assert there == [False, False, True, True, True, True]
    assert all(scalars["train/learning_rate"] == np.float32(1e-2) for _, scalars in records)
    assert all(np.isfinite(list(scalars.values())).all() for _, scalars in records)


def test_the_same_inside_jit():
    policy, records = logged(lambda logger: learn(callback=[logger]))
    inside, other = logged(lambda logger: jax.jit(lambda key: learn(key, [logger]))(jr.key(1)))
    assert_bitwise_equal(policy, inside)
    assert other == records


def test_the_same_inside_vmap():
    """Each lane is logged as it is alone, but for the rounding of products of batches."""
    keys = jr.split(jr.key(1), 2)
    _, records = logged(lambda logger: jax.jit(jax.vmap(lambda key: learn(key, [logger])))(keys))
    assert len(records) == ITERATIONS and "seed_0/train/loss" not in records[1][1]
    for i, key in enumerate(keys):
        _, alone = logged(lambda logger, key=key: learn(key, [logger]))
        for (_, lanes), (_, one) in zip(records, alone, strict=True):
            for tag, value in one.items():
                assert lanes[f"seed_{i}/{tag}"] == pytest.approx(value, rel=1e-3, abs=1e-4)


def test_every_callback_watches_it(tmp_path):
    memory = MemoryBackend()
    tensorboard = TensorBoardCallback("board", log_dir=tmp_path)
    with tensorboard, LoggingCallback(memory, name="run", video_interval=0) as logger:
        callbacks = [
            logger,
            tensorboard,
            EvalCallback(2, num_episodes=2, logger=logger),
            CallbackList([EmptyCallback(), StopOnNonFinite()]),
            StopOnReturn(1000.0),
            ProgressBarCallback(),
        ]
        learn(callback=callbacks)
    steps = [step for step, scalars in memory.records if "eval/return" in scalars]
    assert steps == [16, 32, 48]
    assert list((tmp_path / "board").glob("events.*"))


def test_a_policy_with_a_memory_is_trained():
    """A policy without one cannot do better than to say 0, for a third off in the mean square."""
    algorithm = PPO(num_envs=8, num_steps=32, learning_rate=1e-2, entropy_loss_coefficient=0.0)
    env = Late()
    mean = lambda policy: float(evaluate(env, policy, key=jr.key(2), num_episodes=64).returns.mean()) / 7
    learn = lambda policy: mean(algorithm.learn(env, policy, 24 * 1024, key=jr.key(1)))
    assert learn(MLPActorCriticPolicy(env, hidden_sizes=(16,), key=jr.key(0))) < -0.25
    assert learn(Remembers(env, key=jr.key(0))) > -0.1


class Counts(Remembers):
    """Its memory counts the steps of the episode; what it does is what it has counted."""

    def __call__(self, state, observation, *, key=None, action_mask=None):
        return state + 1, jnp.clip(state[:1] / 10, -1, 1)

    def action_and_value(self, state, observation, *, noise, action_mask=None):
        _, _, value, log_prob = super().action_and_value(state, observation, noise=noise)
        return state + 1, jnp.clip(state[:1] / 10, -1, 1), value, log_prob


def test_a_memory_begins_anew_with_each_episode():
    algorithm = PPO(num_envs=3, num_steps=20, num_batches=1)
    state = algorithm.init(Target(length=8), Counts(Target(), key=jr.key(0)), key=jr.key(1))
    _, steps, _ = jax.jit(lambda key: algorithm.iteration(state, key=key))(jr.key(2))
    counted = np.array([[t % 8] * 3 for t in range(20)])
    np.testing.assert_array_equal(steps.policy_state[..., 0], counted)
    np.testing.assert_array_equal(steps.next_policy_state[..., 0], counted + 1)
    np.testing.assert_allclose(steps.action[..., 0], counted / 10)


def test_the_command_trains_them(tmp_path):
    """As an installed package brings them; a learner in its warm-up has no losses, in no file."""
    site = tmp_path / "site"
    site.mkdir()
    kinds = {"envs": ("target", "Target"), "policies": ("steered", "Steered")}
    for kind, (name, attribute) in (kinds | {"algorithms": ("replays", "Replays")}).items():
        install(site, f"toys-{kind}", {name: f"toys:{attribute}"}, group=f"lerax.{kind}")
    words = ["train", "target", "--algo", "replays", "--policy", "steered", "--steps", "48", "--json", "-q"]
    words += ["--set", "warm_up=16", "--backend", "tensorboard"]
    found = f"{path(site)}:{Path(__file__).parent}"
    done = terminal.forked(*words, cwd=tmp_path, PYTHONPATH=found)
    assert done.returncode == 0, done.stderr
    metrics = Path(tmp_path, json.loads(done.stdout)["run"], "metrics.jsonl")
    lines = [json.loads(line) for line in metrics.read_text().splitlines()][:6]
    assert ["train/loss" in line for line in lines] == [False, False, True, True, True, True]
    assert all(line["train/learning_rate"] == pytest.approx(1e-2) for line in lines)


class Says(Idle):
    """An iteration that gives something else."""

    def iteration(self, state, *, key):
        return RESULTS[self.nan_from](state)


RESULTS = {
    1: lambda state: state,
    2: lambda state: (state, {"loss": jnp.array(0.0)}),
    3: lambda state: (state, None, {"loss": "text"}),
    4: lambda state: (state, None, {"loss": jnp.zeros(2)}),
}
LOSS = "log['loss']: must be one number or a Maybe of one (got "


@pytest.mark.parametrize(
    ("which", "said"),
    [
        (1, "three things"),
        (2, "three things"),
        (3, LOSS),
        (4, LOSS + "f32[2])"),
    ],
)
def test_what_an_iteration_gives_is_held_against_what_it_has_to_give(env, policy, which, said):
    with pytest.raises(TypeError, match=f"Says.iteration.*{re.escape(said)}"):
        Says(nan_from=which).learn(env, policy, 10, key=jr.key(0))
