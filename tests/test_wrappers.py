"""Wrappers, against Gymnasium's of the same names and against the environment within."""

import gymnasium
import jax
import numpy as np
import pytest
from gymnasium.wrappers import RescaleAction as GymnasiumRescaleAction
from jax import numpy as jnp
from jax import random as jr
from toys import Target

from lerax.algorithm import PPO
from lerax.env import advance
from lerax.env.classic_control import CartPole, Pendulum
from lerax.env.mujoco import InvertedPendulum
from lerax.evaluate import evaluate
from lerax.policy import MLPActorCriticPolicy
from lerax.render import headless_renderer
from lerax.space import Box
from lerax.wrapper import ClipAction, RescaleAction, ScaleReward, TimeLimit

WRAPPERS = [
    lambda env: TimeLimit(env, 5),
    ClipAction,
    RescaleAction,
    lambda env: ScaleReward(env, 2.0),
    lambda env: TimeLimit(ScaleReward(ClipAction(RescaleAction(env)), 0.5), 3),
]


def steps(env, actions):
    """Rewards, observations and ends of a run with automatic resets."""
    key = jr.key(0)

    def step(state, action):
        taken = advance(env, state, action, key=key)
        return taken.state, (taken.reward, taken.next_observation, taken.terminal, taken.truncated)

    return jax.lax.scan(step, env.initial(key=key), actions)[1]


def test_a_time_limit_truncates_every_episode_after_its_steps():
    ends = steps(TimeLimit(Pendulum(max_episode_steps=None), 5), jnp.zeros((23, 1)))
    np.testing.assert_array_equal(ends[3], np.arange(1, 24) % 5 == 0)
    assert not ends[2].any()


def test_a_shorter_limit_of_the_environment_itself_still_counts():
    ends = steps(TimeLimit(Target(length=3), 5), jnp.zeros((12, 1)))
    np.testing.assert_array_equal(ends[3], np.arange(1, 13) % 3 == 0)


def test_the_limit_leaves_termination_apart():
    """CartPole falls after ten pushes to one side, whatever the limit."""
    free = steps(CartPole(), jnp.ones(20, int))
    limited = steps(TimeLimit(CartPole(), 10_000), jnp.ones(20, int))
    np.testing.assert_array_equal(free[2], limited[2])
    assert free[2].any()


def test_rescaled_actions_are_gymnasiums():
    theirs = GymnasiumRescaleAction(gymnasium.make("Pendulum-v1"), np.float32(0), np.float32(10))
    ours = RescaleAction(Pendulum(), 0.0, 10.0)
    assert np.array_equal(theirs.action_space.low, ours.action_space.bounds[0])
    assert np.array_equal(theirs.action_space.high, ours.action_space.bounds[1])
    for action in np.linspace(0, 10, 21, dtype=np.float32):
        wanted = theirs.action(np.array([action]))
        np.testing.assert_allclose(ours.inner_action(jnp.array([action])), wanted, rtol=1e-5, atol=1e-6)


def test_an_action_beyond_the_bounds_is_rescaled_to_the_nearest_one():
    ours = RescaleAction(Pendulum(), 0.0, 10.0)
    assert [ours.inner_action(jnp.array([x])).item() for x in (-0.1, 11.0)] == [-2.0, 2.0]


def test_clipped_actions_are_those_at_the_bounds():
    wild, mild = jnp.array([[-50.0], [0.3], [9.0]]), jnp.array([[-2.0], [0.3], [2.0]])
    env = ClipAction(Pendulum())
    assert env.action_space.bounds[1] == np.inf
    for one, other in zip(steps(env, wild), steps(Pendulum(), mild), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_scaled_reward_is_a_multiple_of_the_environments():
    actions = jr.uniform(jr.key(1), (20, 1), minval=-2, maxval=2)
    np.testing.assert_allclose(
        steps(ScaleReward(Pendulum(), -0.25), actions)[0], -0.25 * steps(Pendulum(), actions)[0], rtol=1e-6
    )


@pytest.mark.parametrize("wrap", WRAPPERS)
@pytest.mark.parametrize("env", [Pendulum(), InvertedPendulum()], ids=["plain", "begun on demand"])
def test_a_wrapped_environment_can_be_trained_evaluated_and_drawn(wrap, env):
    wrapped = wrap(env)
    assert wrapped.name == env.name and wrapped.unwrapped is env and wrapped.render_fps == env.render_fps
    policy = MLPActorCriticPolicy(wrapped, hidden_sizes=(4,), key=jr.key(0))
    algorithm = PPO(num_envs=2, num_steps=8, num_batches=1, num_epochs=1)
    trained = algorithm.learn(wrapped, policy, 32, key=jr.key(1))
    done = evaluate(wrapped, trained, key=jr.key(2), num_episodes=2, max_steps=7)
    assert np.isfinite(done.returns).all() and (done.lengths > 0).all()


def test_a_wrapped_environment_is_drawn_like_the_one_within():
    plain, wrapped = Pendulum(), TimeLimit(RescaleAction(Pendulum()), 9)
    with headless_renderer(plain) as one, headless_renderer(wrapped) as other:
        plain.render(jax.device_get(plain.initial(key=jr.key(0))), one)
        wrapped.render(jax.device_get(wrapped.initial(key=jr.key(0))), other)
        np.testing.assert_array_equal(one.as_array(), other.as_array())


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (lambda: TimeLimit(Pendulum(), 0), ValueError, r"got 0.*at least 1"),
        (lambda: ClipAction(CartPole()), TypeError, "ClipAction: needs actions in a Box"),
        (lambda: RescaleAction(CartPole()), TypeError, "RescaleAction: needs actions in a Box"),
        (lambda: RescaleAction(ClipAction(Pendulum())), ValueError, "needs bounded actions"),
        (lambda: RescaleAction(Pendulum(), 1.0, 1.0), ValueError, "low must be below high"),
        (lambda: ScaleReward(Pendulum(), float("nan")), ValueError, "scale: out of range .*finite"),
    ],
)
def test_what_makes_no_sense_is_refused(build, error, words):
    with pytest.raises(error, match=words):
        build()


def test_spaces_within_stay_as_they_are():
    assert isinstance(RescaleAction(Pendulum()).action_space, Box)
    assert RescaleAction(Pendulum()).observation_space == Pendulum.observation_space
