"""CartPole while its pole is up, and what `advance` makes of its ends."""

import gymnasium
import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr
from toys import play

from lerax.env import advance
from lerax.env.classic_control import CartPole, CartPoleState


def balance(env, y, key):
    """Keeps the pole up, and the cart in the middle, for as long as one likes."""
    return jnp.where(y @ jnp.array([0.05, 0.1, 1.0, 0.4]) > 0, 1, 0)


def test_a_balanced_pole_is_truncated_after_500_steps_as_in_gymnasium():
    played = play(CartPole(), balance, 500, jr.split(jr.key(1), 10))
    terminals, truncated = (np.asarray(x) for x in played[5:])
    assert not terminals.any() and not truncated[:, :499].any() and truncated[:, 499].all()
    reference = gymnasium.make("CartPole-v1")
    observation, _ = reference.reset(seed=1)
    for t in range(500):
        observation, _, terminated, cut, _ = reference.step(int(balance(None, observation, None)))
        assert (terminated, cut) == (False, t == 499)


def test_no_limit_means_no_truncation():
    terminals, truncated = play(CartPole(max_episode_steps=None), balance, 600, jr.split(jr.key(1), 2))[5:]
    assert not terminals.any() and not truncated.any()


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
