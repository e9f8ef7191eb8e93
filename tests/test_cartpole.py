"""CartPole, held against Gymnasium's."""

import equinox as eqx
import gymnasium
import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr
from scipy import stats

from lerax.env import advance
from lerax.env.classic_control import CartPole, CartPoleState


@eqx.filter_jit
def play(env, controller, length, keys):
    """States, actions and outcomes `[episode, step]` of stepping on, whether an episode ended or not."""

    def step(carry, _):
        state, key = carry
        key, action_key = jr.split(key)
        action = controller(state.y, action_key)
        after = env.transition(state, action, key=key)
        ends = env.terminal(after, key=key), env.truncate(after)
        return (after, key), (state.y, action, after.y, env.reward(state, action, after, key=key), *ends)

    def episode(key):
        return jax.lax.scan(step, (env.initial(key=key), key), length=length)[1]

    return jax.vmap(episode)(keys)


def random_push(y, key):
    return jr.randint(key, (), 0, 2)


def balance(y, key=None):
    """Keeps the pole up, and the cart in the middle, for as long as one likes."""
    return (y @ jnp.array([0.05, 0.1, 1.0, 0.4]) > 0).astype(int)


@pytest.mark.parametrize("options", [{}, {"sutton_barto_reward": True}])
def test_1000_random_episodes_equal_gymnasiums(options):
    played = play(CartPole(**options), random_push, 200, jr.split(jr.key(0), 1000))
    before, actions, after, rewards, terminals, truncated = (np.asarray(x) for x in played)
    assert terminals.any(axis=1).all() and not truncated.any()
    reference = gymnasium.make("CartPole-v1", **options)
    for episode in range(1000):
        reference.reset(seed=episode)
        for t in range(terminals[episode].argmax() + 1):
            reference.unwrapped.state = before[episode, t].astype(np.float64)
            _, reward, terminated, cut, _ = reference.step(int(actions[episode, t]))
            assert (rewards[episode, t], terminals[episode, t], False) == (reward, terminated, cut)
            np.testing.assert_allclose(after[episode, t], reference.unwrapped.state, rtol=1e-6, atol=1e-7)


def test_a_balanced_pole_is_truncated_after_500_steps_as_in_gymnasium():
    played = play(CartPole(), balance, 500, jr.split(jr.key(1), 10))
    terminals, truncated = (np.asarray(x) for x in played[4:])
    assert not terminals.any() and not truncated[:, :499].any() and truncated[:, 499].all()
    reference = gymnasium.make("CartPole-v1")
    observation, _ = reference.reset(seed=1)
    for t in range(500):
        observation, _, terminated, cut, _ = reference.step(int(balance(observation)))
        assert (terminated, cut) == (False, t == 499)


def test_no_limit_means_no_truncation():
    terminals, truncated = play(CartPole(max_episode_steps=None), balance, 600, jr.split(jr.key(1), 2))[4:]
    assert not terminals.any() and not truncated.any()


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(limit):
    with pytest.raises(ValueError, match="max_episode_steps.*at least 1"):
        CartPole(max_episode_steps=limit)


def test_initial_states_are_uniform_within_a_twentieth():
    states = jax.vmap(lambda key: CartPole().initial(key=key))(jr.split(jr.key(2), 5000))
    assert np.abs(states.y).max() <= 0.05 and not states.steps.any()
    for column in np.asarray(states.y).T:
        assert stats.kstest(column, stats.uniform(-0.05, 0.1).cdf).pvalue > 1e-3
    assert np.abs(np.corrcoef(np.asarray(states.y).T) - np.eye(4)).max() < 0.06  # four standard errors


def test_spaces_and_name_equal_gymnasiums():
    env, reference = CartPole(), gymnasium.make("CartPole-v1")
    assert env.name == reference.spec.id and env.action_space.n == reference.action_space.n
    low, high = env.observation_space.bounds
    np.testing.assert_array_equal(low, reference.observation_space.low)
    np.testing.assert_array_equal(high, reference.observation_space.high)
    assert env.max_episode_steps == reference.spec.max_episode_steps


def stepped(y, steps, **options):
    state = CartPoleState(jnp.array(y), jnp.array(steps, jnp.int32))
    return advance(CartPole(**options), state, jnp.array(1), key=jr.key(3))


def test_advance_keeps_the_last_observation_of_an_episode_and_begins_the_next():
    taken = stepped([2.39, 2.0, 0.0, 0.0], 7)
    assert bool(taken.terminal) and not bool(taken.truncated) and bool(taken.done)
    assert float(taken.next_observation[0]) == pytest.approx(2.43)
    assert np.abs(taken.observation).max() <= 0.05 and int(taken.state.steps) == 0
    np.testing.assert_array_equal(taken.observation, taken.state.y)


def test_advance_goes_on_where_nothing_ended():
    taken = stepped([0.0, 1.0, 0.0, 0.0], 7)
    assert not bool(taken.done) and int(taken.state.steps) == 8
    np.testing.assert_array_equal(taken.observation, taken.next_observation)
    assert float(taken.observation[0]) == pytest.approx(0.02)


def test_advance_tells_both_ends_apart_when_they_fall_together():
    taken = stepped([2.39, 2.0, 0.0, 0.0], 499)
    assert bool(taken.terminal) and bool(taken.truncated)
    taken = stepped([0.0, 0.0, 0.0, 0.0], 499)
    assert not bool(taken.terminal) and bool(taken.truncated) and int(taken.state.steps) == 0
