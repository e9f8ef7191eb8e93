"""Normalized observations and rewards, against NumPy over all that was seen."""

import equinox as eqx
import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr
from toys import Target, assert_bitwise_equal

from lerax.algorithm import PPO, loop
from lerax.algorithm.on_policy.reward_scale import RewardScale
from lerax.callback import AbstractCallback, LoggingCallback, MemoryBackend
from lerax.callback.callback_list import as_callback
from lerax.checkpoint import load, save
from lerax.evaluate import evaluate
from lerax.policy import MLPActorCriticPolicy
from lerax.statistics import RunningStatistics

SETTINGS = dict(num_envs=4, num_steps=16, num_epochs=2, num_batches=2, learning_rate=1e-2)


@pytest.fixture(scope="module")
def normalizing():
    return MLPActorCriticPolicy(Target(), hidden_sizes=(8,), normalize_observations=True, key=jr.key(0))


@pytest.mark.parametrize("sizes", [(1,), (5,), (3, 1, 40), (7,) * 10])
def test_statistics_are_those_of_everything_together(sizes):
    rng = np.random.default_rng(0)
    parts = [100 + 3 * rng.normal(size=(size, 2, 3)).astype(np.float32) for size in sizes]
    seen = RunningStatistics.empty(2, 3)
    for part in parts:
        seen = seen.updated(jnp.asarray(part))
    everything = np.concatenate(parts).astype(np.float64)
    np.testing.assert_allclose(seen.mean, everything.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(seen.variance, everything.var(axis=0), rtol=1e-3, atol=1e-4)
    assert seen.count == sum(sizes)


def test_normalized_values_have_mean_0_and_deviation_1_and_are_clipped():
    values = 50 + 7 * jr.normal(jr.key(0), (4000, 2))
    seen = RunningStatistics.empty(2).updated(values)
    normal = np.asarray(jax.vmap(lambda value: seen.normalize(value, 10.0))(values))
    np.testing.assert_allclose([normal.mean(), normal.std()], [0, 1], atol=1e-3)
    assert np.array_equal(seen.normalize(jnp.array([1e6, -1e6]), 10.0), [10, -10])
    assert RunningStatistics.empty().scale(jnp.array([-1e6, 3.0]), 10.0).tolist() == [-10, 3]


def test_a_constant_is_normalized_to_0():
    seen = RunningStatistics.empty().updated(jnp.full(100, 3.0))
    assert seen.normalize(jnp.array(3.0), 10.0) == 0


class Observer(AbstractCallback):
    """Adds up what each environment showed: count, sum and sum of squares."""

    def step_reset(self, ctx, *, key):
        return jnp.zeros((3, 2))

    def on_step(self, ctx, *, key):
        seen = ctx.locals["observation"]
        return ctx.state + jnp.stack([jnp.ones(2), seen, seen**2])


def test_a_policy_learns_the_statistics_of_all_that_it_saw(normalizing):
    algorithm = PPO(**SETTINGS)
    state = algorithm.run(algorithm.init(Target(), normalizing, key=jr.key(1)), 64 * 3, callback=Observer())
    count, total, squares = np.asarray(state.step_state.callback_state[0], np.float64).sum(axis=0)
    seen = state.policy.seen
    assert seen.count == count[0] == 64 * 3
    np.testing.assert_allclose(seen.mean, total / count, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(seen.variance, squares / count - (total / count) ** 2, rtol=1e-3)


def test_normalizing_makes_a_policy_blind_to_shift_and_scale(normalizing):
    observations = np.random.default_rng(0).normal([3, -100], [5, 0.01], (1000, 2)).astype(np.float32)
    policy = normalizing.after_rollout(jnp.asarray(observations))
    standard = jnp.asarray((observations[0] - observations.mean(axis=0)) / observations.std(axis=0))
    fresh = eqx.tree_at(lambda p: p.seen, normalizing, None, is_leaf=lambda x: x is None)
    np.testing.assert_allclose(
        policy.value(None, jnp.asarray(observations[0]))[1],
        fresh.value(None, standard)[1],
        rtol=1e-2,
        atol=1e-3,
    )


def test_gradients_leave_the_statistics_alone(normalizing):
    policy = normalizing.after_rollout(jr.normal(jr.key(1), (10, 2)))
    gradient = eqx.filter_grad(lambda p: p.value(None, jnp.ones(2))[1])(policy)
    statistics = gradient.seen
    assert not np.any(statistics.mean) and not np.any(statistics.variance)
    assert np.any(gradient.critic.weights[0])


def test_statistics_stay_as_they_are_in_evaluation_and_travel_with_a_saved_policy(tmp_path, normalizing):
    policy = PPO(**SETTINGS).learn(Target(), normalizing, 256, key=jr.key(0))
    before = jax.tree.map(np.array, policy.seen)
    first = evaluate(Target(), policy, key=jr.key(1), num_episodes=4)
    assert_bitwise_equal(before, policy.seen)
    save(tmp_path / "policy.eqx", policy)
    loaded = load(tmp_path / "policy.eqx", normalizing)
    assert_bitwise_equal(policy, loaded)
    assert loaded.seen.count == 256
    again = evaluate(Target(), loaded, key=jr.key(1), num_episodes=4)
    np.testing.assert_array_equal(first.returns, again.returns)


def test_rewards_are_divided_by_the_deviation_of_discounted_returns():
    rng = np.random.default_rng(0)
    scale, sums, everything = RewardScale.initial(4), np.zeros(4), []
    for _ in range(3):
        reward = rng.normal(2, 5, (16, 4)).astype(np.float32)
        done = rng.random((16, 4)) < 0.2
        for now, over in zip(reward, done, strict=True):
            sums = 0.9 * sums + now
            everything.append(sums)
            sums = np.where(over, 0, sums)
        scale, scaled = scale.scaled(jnp.asarray(reward), jnp.asarray(done), 0.9)
        np.testing.assert_allclose(scaled, np.clip(reward / np.std(everything), -10, 10), rtol=1e-3)


def test_the_scale_of_rewards_changes_learning_and_not_what_is_logged():
    """The first rollout of both trainings is the same: so are its returns, in the environment's own scale."""
    logged, policies = [], []
    for normalize in (False, True):
        memory = MemoryBackend()
        with LoggingCallback(memory, name="run") as logger:
            policy = MLPActorCriticPolicy(Target(), hidden_sizes=(8,), key=jr.key(0))
            algorithm = PPO(**SETTINGS, normalize_rewards=normalize)
            policies.append(algorithm.learn(Target(), policy, 64, key=jr.key(0), callback=logger))
        logged.append(memory.records[0][1])
    assert logged[0]["episode/return"] == logged[1]["episode/return"] < 0
    assert logged[0]["train/value_loss"] != logged[1]["train/value_loss"]
    assert not np.array_equal(policies[0].actor.weights[0], policies[1].actor.weights[0])


def test_training_with_both_does_not_depend_on_the_lengths_of_chunks(normalizing):
    algorithm = PPO(**SETTINGS, normalize_rewards=True)
    run = lambda length: loop.run_from_host(
        algorithm,
        algorithm.init(Target(), normalizing, key=jr.key(1)),
        as_callback(None),
        6,
        chunk_length=length,
    )
    assert_bitwise_equal(run(1), run(4))
