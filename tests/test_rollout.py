"""Rollouts: what an update learns from, held against the environment and the policy."""

import equinox as eqx
import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr
from toys import Masked, Target, discounted_sums, rollout_of

from lerax.algorithm import PPO
from lerax.env.classic_control import CartPole, CartPoleState
from lerax.policy import MLPActorCriticPolicy


@pytest.fixture(scope="module")
def box_policy():
    """Its standard deviation lets most actions fall outside of the box."""
    return MLPActorCriticPolicy(Target(), hidden_sizes=(8,), log_std_init=1.0, key=jr.key(0))


def test_the_stored_action_is_unclipped_and_the_environments_is_clipped(box_policy, algorithm):
    rollout = rollout_of(algorithm, Target(), box_policy, key=jr.key(1))
    action, received = rollout.action[..., 0], rollout.observation[..., 1]
    assert np.std(action) == pytest.approx(np.e, rel=0.3)  # whose logarithm is 1
    assert (np.abs(action) > 1).mean() > 0.5
    inside = np.arange(16) % 8 != 7  # after the last step of an episode the next one's observation follows
    np.testing.assert_array_equal(received[1:][inside[:-1]], np.clip(action[:-1], -1, 1)[inside[:-1]])


def test_log_probabilities_and_values_of_a_rollout_are_the_policys(box_policy, algorithm):
    rollout = rollout_of(algorithm, Target(), box_policy, key=jr.key(1))
    judge = jax.vmap(jax.vmap(lambda o, a: box_policy.evaluate_action(None, o, a)))
    _, value, log_prob, _ = judge(rollout.observation, rollout.action)
    np.testing.assert_allclose(rollout.log_prob, log_prob, rtol=1e-5)
    np.testing.assert_allclose(rollout.value, value, rtol=1e-5, atol=1e-6)


def test_a_mask_is_kept_with_its_action(algorithm):
    """Entropy and probabilities of the update are those of the allowed actions: of two here."""
    policy = MLPActorCriticPolicy(Masked(), hidden_sizes=(8,), key=jr.key(0))
    rollout = rollout_of(algorithm, Masked(), policy, key=jr.key(1))
    allowed = (np.arange(4) + np.arange(16)[:, None] % 7) % 2 == 0
    np.testing.assert_array_equal(rollout.action_mask, np.broadcast_to(allowed[:, None], (16, 4, 4)))
    assert np.take_along_axis(rollout.action_mask, rollout.action[..., None], axis=-1).all()
    np.testing.assert_allclose(rollout.log_prob, np.log(0.5), atol=0.05)  # nearly uniform at first


@eqx.filter_jit
def followed(env, policy, observation, action, steps):
    """What follows actions in CartPole, whose observation is its whole state but the clock."""
    after = env.transition(CartPoleState(observation, steps), action)
    return policy.value(None, after.y)[1], env.terminal(after), env.truncate(after)


def test_advantages_follow_terminations_and_truncations(policy):
    env = CartPole(max_episode_steps=10)
    # Pushing to the right most of the time, a pole falls within 9 to 12 steps.
    policy = eqx.tree_at(lambda p: p.actor.biases[-1], policy, jnp.array([0.0, 3.0]))
    algorithm = PPO(num_envs=16, num_steps=24, gamma=0.9, gae_lambda=0.8)
    rollout = rollout_of(algorithm, env, policy, key=jr.key(2))
    shape, steps = rollout.value.shape, np.zeros(16, np.int32)
    next_values, terminals, truncated = np.zeros(shape), np.zeros(shape, bool), np.zeros(shape, bool)
    for t in range(shape[0]):
        look = jax.vmap(lambda o, a, n: followed(env, policy, o, a, n))
        next_values[t], terminals[t], truncated[t] = look(rollout.observation[t], rollout.action[t], steps)
        steps = np.where(terminals[t] | truncated[t], 0, steps + 1)
    assert (terminals & ~truncated).any() and (truncated & ~terminals).any()
    dones = terminals | truncated
    expected = discounted_sums(np.ones(shape), rollout.value, next_values, terminals, dones, 0.9, 0.8)
    np.testing.assert_allclose(rollout.advantage, expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(rollout.returns, rollout.advantage + rollout.value, rtol=1e-6)
