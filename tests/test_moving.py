"""What code that was written for another library finds here: the same mechanisms, in other forms."""

import gymnasium
import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr
from toys import assert_bitwise_equal, discounted_sums

from lerax.advantage import GAE, BootstrappedReturn, NStepReturn, discounted_returns
from lerax.algorithm import DiscreteSAC, SACDiscrete
from lerax.benchmark import average_reward
from lerax.buffer import ReplayBuffer, RolloutBuffer
from lerax.callback import AbstractCallback, EmptyCallback
from lerax.callback.base_callback import EmptyCallbackState, ResetContext
from lerax.compatibility.gym import GymToLeraxEnv, LeraxToGymEnv
from lerax.env import advance, from_gymnasium
from lerax.env.classic_control import CartPole, Pendulum
from lerax.errors import SettingError
from lerax.evaluate import evaluate
from lerax.policy import MLPActorCriticPolicy, MLPDeterministicPolicy, RandomPolicy
from lerax.space import Box, Discrete
from lerax.target import HardUpdate, SoftUpdate, polyak_average

GAMMA, LAST = 0.9, 0.75


def a_segment():
    rng = np.random.default_rng(0)
    rewards, values = rng.normal(size=(2, 20)).astype(np.float32)
    return rewards, values, rng.random(20) < 0.2


def of_one(rewards, values, dones, gae_lambda):
    """Advantages by sums in plain NumPy."""
    columns = (x[:, None] for x in (rewards, values, np.append(values[1:], LAST), dones, dones))
    return discounted_sums(*columns, GAMMA, gae_lambda)[:, 0]


def n_step(rewards, values, dones, n):
    """Each return by itself."""
    found = []
    for start in range(len(rewards)):
        total, weight = 0.0, 1.0
        for at in range(start, min(start + n, len(rewards))):
            total, weight = total + weight * rewards[at], weight * GAMMA * (1 - dones[at])
        following = np.append(values, LAST)[min(start + n, len(rewards))]
        found.append(total + weight * following)
    return np.array(found)


def test_estimators_of_one_environment_are_sums_of_its_rewards():
    rewards, values, dones = segment = a_segment()
    for make, gae_lambda in (
        (GAE(GAMMA, 0.8), 0.8),
        (GAE(GAMMA, 0.0), 0.0),
        (BootstrappedReturn(GAMMA), 1.0),
    ):
        advantages, returns = jax.jit(make)(*map(jnp.asarray, segment), LAST)
        np.testing.assert_allclose(advantages, of_one(*segment, gae_lambda), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(returns, advantages + values, rtol=1e-6)
    for n in (1, 3, 50):
        advantages, returns = NStepReturn(n, GAMMA)(*map(jnp.asarray, segment), LAST)
        np.testing.assert_allclose(returns, n_step(*segment, n), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(advantages, returns - values, rtol=1e-5, atol=1e-6)
    whole = discounted_returns(jnp.asarray(rewards), jnp.asarray(dones), LAST, GAMMA)
    np.testing.assert_allclose(whole, n_step(*segment, 20), rtol=1e-4, atol=1e-5)
    with pytest.raises(SettingError, match="^n: .*at least 1"):
        NStepReturn(0)
    with pytest.raises(TypeError):  # annotations are checked here before; else it is the same line
        NStepReturn(1.5)


@pytest.mark.parametrize("make", [GAE(GAMMA), BootstrappedReturn(GAMMA), NStepReturn(2, GAMMA)])
def test_whole_numbers_are_rewards_too(make):
    rewards, dones = jnp.array([1, 0, 3]), jnp.array([False, True, False])
    for found, wanted in zip(
        make(rewards, jnp.zeros(3), dones, 2), make(rewards * 1.0, jnp.zeros(3), dones, 2.0), strict=True
    ):
        np.testing.assert_array_equal(found, wanted)


def test_a_rollout_filled_by_hand_is_judged_by_the_same_sums():
    rewards, values, dones = segment = a_segment()
    parts = {"rewards": rewards, "dones": dones, "values": values, "log_probs": values}
    empty = RolloutBuffer(observations=values, actions=values, **jax.tree.map(jnp.asarray, parts))
    filled = empty.compute_returns_and_advantages(LAST, gae_lambda=0.8, gamma=GAMMA)
    np.testing.assert_allclose(filled.advantages, of_one(*segment, 0.8), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(filled.returns, filled.advantages + values, rtol=1e-6)


def test_a_replay_buffer_filled_by_hand_gives_back_the_last_steps_whole():
    buffer = ReplayBuffer(3, Box(-9, 9, shape=(2,)), Discrete(5), jnp.zeros(1))
    add = jax.jit(
        lambda buffer, i, done, timeout: buffer.add(
            observation=jnp.array([i, -i]),
            next_observation=jnp.array([i + 1, -i]),
            action=i,
            reward=i / 2,
            done=done,
            timeout=timeout,
            state=jnp.array([i + 3]),
            next_state=jnp.array([i + 4]),
        )
    )
    with pytest.raises(SettingError, match="holds no steps"):
        buffer.sample(2, key=jr.key(0))
    for i in range(5):
        buffer = add(buffer, i, i == 3, i == 4)
    drawn = buffer.sample(200, key=jr.key(0))
    action = np.asarray(drawn.actions)
    assert set(action.tolist()) == {2, 3, 4}
    np.testing.assert_array_equal(drawn.observations, np.stack([action, -action], 1))
    np.testing.assert_array_equal(drawn.next_observations[:, 0], action + 1)
    np.testing.assert_array_equal(drawn.rewards, action / 2)
    np.testing.assert_array_equal(drawn.dones, action == 3)
    np.testing.assert_array_equal(drawn.timeouts, action == 4)
    np.testing.assert_array_equal(drawn.states[:, 0], action + 3)
    np.testing.assert_array_equal(drawn.next_states[:, 0], action + 4)


def test_targets_follow_what_is_trained_and_take_all_else():
    """Of a policy that normalises: its statistics are not trained."""
    make = lambda seed: MLPDeterministicPolicy(
        Pendulum(), key=jr.key(seed), hidden_sizes=(4,), normalize_observations=True
    )
    target, online = make(0), make(1).after_rollout(jr.normal(jr.key(2), (9, 3)))
    moved = SoftUpdate(tau=0.3)(online, target)
    assert_bitwise_equal(moved.seen, online.seen)
    pairs = zip(*(jax.tree.leaves(one.network) for one in (moved, online, target)), strict=True)
    for found, new, old in pairs:
        np.testing.assert_allclose(found, 0.3 * np.asarray(new) + 0.7 * np.asarray(old), rtol=1e-5, atol=1e-7)
    assert_bitwise_equal(moved, polyak_average(online, target, 0.3))
    assert HardUpdate()(online, target) is online


def test_average_reward_is_the_mean_of_evaluated_returns():
    env = CartPole()
    policy = RandomPolicy(env)
    found = evaluate(env, policy, key=jr.key(0), num_episodes=3, deterministic=False)
    mean = float(average_reward(env, policy, num_episodes=3, max_steps=None, key=jr.key(0)))
    assert mean == pytest.approx(np.mean(found.returns))
    assert float(average_reward(env, policy, num_episodes=3, max_steps=5, key=jr.key(0))) == 5


def test_what_gymnasium_has_made_is_made_again_as_it_was():
    made = gymnasium.make("Pendulum-v1", g=5.0, max_episode_steps=3)
    env = GymToLeraxEnv(made)
    same = from_gymnasium("Pendulum-v1", g=5.0, max_episode_steps=3)
    assert (env.name, env.g, env.max_episode_steps) == (same.name, 5.0, 3)
    state = env.initial(key=jr.key(0))
    seen = np.asarray(env.observation(state, key=jr.key(0)))
    made.reset()
    made.unwrapped.state = np.array([np.arctan2(seen[1], seen[0]), seen[2]])
    for i in range(3):
        taken = jax.jit(lambda state, key: advance(env, state, jnp.array([1.5]), key=key))(state, jr.key(i))
        observation, reward, terminal, truncated, _ = made.step(np.array([1.5], np.float32))
        np.testing.assert_allclose(taken.next_observation, observation, atol=1e-4)
        assert float(taken.reward) == pytest.approx(reward, rel=1e-4)
        assert (bool(taken.terminal), bool(taken.truncated)) == (terminal, truncated) == (False, i == 2)
        state = taken.state
    with pytest.raises(SettingError, match="register"):
        GymToLeraxEnv(gymnasium.wrappers.FlattenObservation(made))


def test_our_environments_are_gymnasiums():
    env = LeraxToGymEnv(CartPole())
    assert isinstance(env, gymnasium.Env) and env.reset(seed=0)[0].shape == (4,)


def test_other_names_and_contexts_of_nothing():
    assert SACDiscrete is DiscreteSAC
    callback = EmptyCallback()
    assert isinstance(callback, AbstractCallback)
    assert isinstance(callback.reset(ResetContext(), key=jr.key(0)), EmptyCallbackState)


def test_a_policy_comes_back_from_the_file_that_it_was_saved_in(tmp_path):
    policy = MLPActorCriticPolicy(env=CartPole(), key=jr.key(0), hidden_sizes=(4,))
    policy.serialize(str(tmp_path / "model.eqx"))
    again = MLPActorCriticPolicy.deserialize(str(tmp_path / "model.eqx"), env=CartPole(), key=jr.key(1))
    assert_bitwise_equal(again, policy)
