"""Evaluation, held against Gymnasium's episodes."""

import collections

import equinox as eqx
import gymnasium
import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr
from toys import Target

from lerax.env.classic_control import CartPole
from lerax.evaluate import evaluate, rollout
from lerax.policy import AbstractPolicy, MLPActorCriticPolicy

INITIAL = []


class Recorded(CartPole):
    """Tells the initial states of the episodes."""

    def initial(self, *, key):
        state = super().initial(key=key)
        jax.debug.callback(lambda y: INITIAL.append(np.asarray(y, np.float64)), state.y)
        return state


@jax.jit
def greedy(policy, observation):
    return policy(None, observation)[1]


def gymnasiums_return(env, policy, y):
    env.reset()
    env.unwrapped.state = y
    observation, total, over = y.astype(np.float32), 0.0, False
    while not over:
        observation, reward, terminated, truncated, _ = env.step(int(greedy(policy, observation)))
        total, over = total + reward, terminated or truncated
    return total


@pytest.fixture(scope="module")
def clumsy(policy):
    """Pushes to the side that the pole falls to: it lasts for some time, and never to the end."""
    blank = jax.tree.map(jnp.zeros_like, policy)
    lean = jnp.zeros((4, 8)).at[2, 0].set(1.0)
    where = lambda p: (p.actor.weights[0], p.actor.weights[1])
    return eqx.tree_at(where, blank, (lean, jnp.zeros((8, 2)).at[0, 1].set(1.0)))


def test_returns_equal_gymnasiums(clumsy):
    """From the same initial states; rounding may turn a rare near-tie between the actions."""
    INITIAL.clear()
    episodes = evaluate(Recorded(), clumsy, key=jr.key(0), num_episodes=100)
    jax.effects_barrier()
    env = gymnasium.make("CartPole-v1")
    expected = collections.Counter(gymnasiums_return(env, clumsy, y) for y in INITIAL)
    found = collections.Counter(np.asarray(episodes.returns).tolist())
    assert len(INITIAL) == 100 and len(expected) > 10
    assert (expected - found).total() <= 2
    np.testing.assert_array_equal(episodes.returns, episodes.lengths)
    assert episodes.finished.all()


def test_an_episode_that_does_not_end_is_cut_and_reported(clumsy):
    whole = evaluate(CartPole(), clumsy, key=jr.key(0), num_episodes=100)
    limit = int(np.median(whole.lengths))
    episodes = evaluate(CartPole(), clumsy, key=jr.key(0), num_episodes=100, max_steps=limit)
    ended = np.asarray(whole.lengths) <= limit
    assert ended.any() and not ended.all()
    np.testing.assert_array_equal(episodes.finished, ended)
    np.testing.assert_array_equal(episodes.lengths, np.minimum(whole.lengths, limit))
    np.testing.assert_array_equal(episodes.returns, episodes.lengths)


def test_the_same_key_gives_the_same_episodes(policy):
    play = lambda seed: evaluate(CartPole(), policy, key=jr.key(seed), deterministic=False).returns.tolist()
    assert play(0) == play(0) != play(1)


class Uneven(Target):
    """Episodes of 3 to 8 steps, each of which is worth 1."""

    def initial(self, *, key):
        return eqx.tree_at(lambda s: s.steps, super().initial(key=key), jr.randint(key, (), 0, 6))

    def reward(self, state, action, next_state, *, key):
        return jnp.array(1.0)


def test_only_the_first_episode_of_each_environment_counts():
    """Others begin their next ones while the longest lasts."""
    policy = MLPActorCriticPolicy(Uneven(), hidden_sizes=(8,), key=jr.key(0))
    episodes = evaluate(Uneven(), policy, key=jr.key(0), num_episodes=40, max_steps=100)
    assert set(episodes.lengths.tolist()) == {3, 4, 5, 6, 7, 8}
    np.testing.assert_array_equal(episodes.returns, episodes.lengths)


class Wild(AbstractPolicy):
    """Acts far outside of the box; remembers how often it has acted."""

    name = "Wild"
    action_space = Target.action_space
    observation_space = Target.observation_space

    def reset(self, *, key):
        return jnp.array(1.0)

    def __call__(self, state, observation, *, key=None, action_mask=None):
        return state + 1, jnp.full(1, 100.0 * state)


def test_actions_are_clipped_to_their_box():
    """Answering 1 to uniform numbers from -1 to 1 costs at most 4 a step, answering 100 costs 9801."""
    episodes = evaluate(Target(), Wild(), key=jr.key(0), num_episodes=20)
    assert episodes.returns.min() >= -4 * 8


class Counts(AbstractPolicy):
    """Acts on its memory alone."""

    name = "Counts"
    action_space = Target.action_space
    observation_space = Target.observation_space

    def reset(self, *, key):
        return jnp.array(0.0)

    def __call__(self, state, observation, *, key=None, action_mask=None):
        return state + 0.1, jnp.where(state < 0.35, observation[:1], 0.0)


def test_a_policy_keeps_its_memory_through_an_episode():
    """It answers right four times and then, remembering that, no more."""
    short = evaluate(Target(length=4), Counts(), key=jr.key(0), num_episodes=5)
    whole = evaluate(Target(length=8), Counts(), key=jr.key(0), num_episodes=5)
    assert short.returns.tolist() == [0.0] * 5 and (whole.returns < 0).all()


def test_each_episode_of_a_rollout_begins_with_a_new_memory():
    played = rollout(Target(), Counts(), key=jr.key(0), num_steps=16)
    right = np.arange(16) % 8 < 4
    np.testing.assert_array_equal(played.dones, np.arange(16) % 8 == 7)
    np.testing.assert_array_equal(played.rewards == 0, right)


@pytest.mark.parametrize("deterministic", [True, False])
def test_deterministic_means_the_most_probable_action(deterministic):
    policy = MLPActorCriticPolicy(Target(), hidden_sizes=(8,), log_std_init=1.0, key=jr.key(0))
    returns = evaluate(Target(), policy, key=jr.key(0), deterministic=deterministic).returns / 8
    # The untrained mean is about 0; a standard deviation of e, clipped, answers mostly -1 or 1.
    assert float(returns.mean()) == pytest.approx(-1 / 3 if deterministic else -1.1, abs=0.15)
