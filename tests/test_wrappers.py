"""Wrappers, against Gymnasium's of the same names and against the environment within."""

import equinox as eqx
import gymnasium
import jax
import numpy as np
import pytest
from gymnasium import wrappers as theirs
from jax import numpy as jnp
from jax import random as jr
from toys import Masked, Target

from lerax.algorithm import PPO
from lerax.env import advance
from lerax.env.classic_control import CartPole, Pendulum
from lerax.env.mujoco import InvertedPendulum
from lerax.evaluate import evaluate
from lerax.policy import MLPActorCriticPolicy
from lerax.render import headless_renderer
from lerax.space import Box
from lerax.wrapper import (
    ActionRepeat,
    ClipAction,
    ClipObservation,
    ClipReward,
    FlattenObservation,
    FrameStack,
    Identity,
    RescaleAction,
    RescaleObservation,
    ScaleReward,
    StickyActions,
    TimeLimit,
    TransformAction,
    TransformObservation,
    TransformReward,
)

WRAPPERS = [
    lambda env: Identity(FlattenObservation(ClipObservation(env))),
    lambda env: FrameStack(ActionRepeat(ClipReward(env), 2), 3),
    lambda env: TimeLimit(StickyActions(FrameStack(env, 2)), 5),
    lambda env: TransformAction(TransformObservation(TransformReward(env, jnp.tanh), jnp.tanh), jnp.tanh),
    lambda env: TimeLimit(env, 5),
    ClipAction,
    RescaleAction,
    lambda env: ScaleReward(env, 2.0),
    lambda env: TimeLimit(ScaleReward(ClipAction(RescaleAction(env)), 0.5), 3),
]
TOGETHER = [
    lambda env: FrameStack(ActionRepeat(ClipReward(WRAPPERS[0](RescaleAction(env))), 2), 3),
    lambda env: WRAPPERS[3](WRAPPERS[2](env)),
    WRAPPERS[-1],
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
    wrapped = theirs.RescaleAction(gymnasium.make("Pendulum-v1"), np.float32(0), np.float32(10))
    ours = RescaleAction(Pendulum(), 0.0, 10.0)
    assert np.array_equal(wrapped.action_space.low, ours.action_space.bounds[0])
    assert np.array_equal(wrapped.action_space.high, ours.action_space.bounds[1])
    for action in np.linspace(0, 10, 21, dtype=np.float32):
        wanted = wrapped.action(np.array([action]))
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


class Picture(Target):
    """Shows where it is as a picture of bytes."""

    observation_space = Box(0, 255, shape=(4, 5, 2), dtype=np.uint8)

    def observation(self, state, *, key):
        return jnp.full((4, 5, 2), state.steps, jnp.uint8)


class Endless(Target):
    """Its bounds are finite, and what lies between them is not."""

    action_space = observation_space = Box(*np.array([-1, 1], np.float32)[:, None] * np.finfo(np.float32).max)


def test_actions_that_a_mask_forbids_are_not_repeated():
    """Even ones are allowed in every other state, odd ones in the others."""
    key, env = jr.key(0), StickyActions(Masked(), 1.0)
    state = env.initial(key=key)
    for action in (2, 1, 0):
        after = env.transition(state, jnp.array(action), key=key)
        assert (int(after.action), env.reward(state, action, after, key=key)) == (action, 0.0)
        state = after
    env = ActionRepeat(Masked(), 3)
    after = env.transition(env.initial(key=key), jnp.array(2), key=key)
    assert (int(after.inner.steps), after.reward) == (1, 0.0)


def beside(wrapper, ours, length=30):
    """What Gymnasium's wrapper and ours see and get from the same state on, with the same actions."""
    env, key = gymnasium.make("Pendulum-v1", disable_env_checker=True), jr.key(0)
    other = wrapper(env)
    other.reset(seed=0)
    state = ours.initial(key=key)
    env.unwrapped.state = np.array(state.y, np.float64)
    seen, gained = [], []
    for action in np.linspace(-2, 2, length, dtype=np.float32).reshape(-1, 1):
        observation, reward, *_ = other.step(action)
        after = ours.transition(state, jnp.asarray(action), key=key)
        seen.append((observation, ours.observation(after, key=key)))
        gained.append((reward, ours.reward(state, jnp.asarray(action), after, key=key)))
        state = after
    return seen, gained


@pytest.mark.parametrize(
    ("wrapper", "ours"),
    [
        (
            lambda env: theirs.RescaleObservation(env, np.float32(0), np.float32(3)),
            (RescaleObservation, 0.0, 3.0),
        ),
        (theirs.FlattenObservation, (FlattenObservation,)),
        (lambda env: theirs.ClipReward(env, -4.0, -1.0), (ClipReward, -4.0, -1.0)),
        (lambda env: theirs.TransformReward(env, lambda r: r * r), (TransformReward, lambda r: r * r)),
        (
            lambda env: theirs.TransformObservation(env, lambda x: x**3, None),
            (TransformObservation, lambda x: x**3),
        ),
        (lambda env: theirs.TransformAction(env, lambda a: -a, None), (TransformAction, lambda a: -a)),
    ],
    ids=["rescale", "flatten", "clip reward", "reward", "observation", "action"],
)
def test_wrappers_give_what_gymnasiums_do(wrapper, ours):
    make, *arguments = ours
    wrapped = make(Pendulum(), *arguments)
    seen, gained = beside(wrapper, wrapped)
    for one, other in seen:
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(*zip(*gained, strict=True), rtol=1e-3, atol=1e-3)


def test_spaces_of_observations_are_gymnasiums():
    env = gymnasium.make("Pendulum-v1")
    for one, other in (
        (theirs.FrameStackObservation(env, 3), FrameStack(Pendulum(), 3)),
        (
            theirs.RescaleObservation(env, np.float32(0), np.float32(3)),
            RescaleObservation(Pendulum(), 0.0, 3.0),
        ),
        (theirs.FlattenObservation(env), FlattenObservation(Pendulum())),
    ):
        low, high = other.observation_space.bounds
        np.testing.assert_array_equal(low, one.observation_space.low)
        np.testing.assert_array_equal(high, one.observation_space.high)
    least, most = ClipObservation(Pendulum(), -3.0, 0.5).observation_space.bounds
    assert least.tolist() == [-1, -1, -3] and most.tolist() == [0.5, 0.5, 0.5]


def test_the_last_observations_stand_in_order_and_the_first_fills_the_beginning():
    free, stacked = Target(length=4), FrameStack(Target(length=4), 3)
    one, other = free.initial(key=jr.key(0)), stacked.initial(key=jr.key(0))
    seen = [free.observation(one, key=jr.key(0))] * 3
    np.testing.assert_array_equal(stacked.observation(other, key=jr.key(0)), np.stack(seen))
    for number in range(1, 10):
        action, key = jnp.array([0.1 * number]), jr.key(number)
        step = advance(free, one, action, key=key)
        found = advance(stacked, other, action, key=key)
        np.testing.assert_array_equal(found.next_observation, np.stack([*seen[-2:], step.next_observation]))
        seen = [step.observation] * 3 if step.done else [*seen, step.observation]
        np.testing.assert_array_equal(found.observation, np.stack(seen[-3:]))
        assert bool(found.truncated) == bool(step.truncated) == (number % 4 == 0)
        one, other = step.state, found.state


def test_pictures_are_stacked_along_their_channels():
    key, env = jr.key(0), FrameStack(Picture(), 3)
    space, state = env.observation_space, env.initial(key=key)
    assert space.shape == (4, 5, 6) and space.dtype == np.uint8
    for _ in range(4):
        state = env.transition(state, jnp.zeros(1), key=key)
    seen = env.observation(state, key=key)
    assert seen.dtype == jnp.uint8 and seen[2, 3].tolist() == [2, 2, 3, 3, 4, 4]


def test_grey_pictures_become_channels():
    """Along a new first axis convolutions would take them for the rows of a picture."""
    key, grey = jr.key(0), Box(0, 255, shape=(4, 5), dtype=np.uint8)
    env = FrameStack(TransformObservation(Picture(), lambda seen: seen[..., 0], grey), 3)
    state = env.initial(key=key)
    for _ in range(4):
        state = env.transition(state, jnp.zeros(1), key=key)
    seen = env.observation(state, key=key)
    assert env.observation_space.shape == seen.shape == (4, 5, 3) and seen.dtype == jnp.uint8
    assert seen[2, 3].tolist() == [2, 3, 4]


def test_a_repeated_action_gives_the_sum_and_stops_where_the_episode_ends():
    key, free, repeated = jr.key(0), CartPole(), ActionRepeat(CartPole(), 4)
    one, other, total = free.initial(key=key), repeated.initial(key=key), 0.0
    rewards, ends = [], []
    for _ in range(3):
        after, other_after = one, repeated.transition(other, jnp.array(1), key=key)
        total = 0.0
        for _ in range(4):
            if not free.terminal(after, key=key):
                after = free.transition(after, jnp.array(1), key=key)
                total += 1.0
        rewards.append((total, float(repeated.reward(other, jnp.array(1), other_after, key=key))))
        ends.append((bool(free.terminal(after, key=key)), bool(repeated.terminal(other_after, key=key))))
        seen = repeated.observation(other_after, key=key)
        np.testing.assert_allclose(seen, free.observation(after, key=key), rtol=1e-5, atol=1e-6)
        one, other = after, other_after
    assert all(a == b for a, b in (*rewards, *ends)) and rewards[-1][0] < 4 and ends[-1][0]


@pytest.mark.parametrize(("probability", "least", "most"), [(0.0, 0, 0), (1.0, 0, 0), (0.25, 0.21, 0.29)])
def test_actions_stick_as_often_as_is_said(probability, least, most):
    env = StickyActions(Target(length=10_000), probability)

    def step(state, xs):
        action, key = xs
        after = env.transition(state, action, key=key)
        return after, after.action

    actions = jnp.arange(2_000.0)[:, None]
    taken = jax.lax.scan(step, env.initial(key=jr.key(0)), (actions, jr.split(jr.key(1), 2_000)))[1][:, 0]
    if probability in (0.0, 1.0):
        np.testing.assert_array_equal(taken, actions[:, 0] if probability == 0 else jnp.zeros(2_000))
    else:
        stuck = np.mean(np.asarray(taken) != np.arange(2_000.0))
        assert least < stuck < most
        before = np.concatenate([[0], taken[:-1]])
        assert ((taken == np.arange(2_000.0)) | (taken == before)).all()


@pytest.mark.parametrize("env", [Pendulum(), InvertedPendulum()], ids=["plain", "begun on demand"])
def test_a_wrapped_environment_is_known_by_the_one_within(env):
    for wrap in WRAPPERS:
        wrapped = wrap(env)
        assert wrapped.name == env.name and wrapped.unwrapped is env and wrapped.render_fps == env.render_fps


def trained(env, key):
    """How a policy plays that was trained for a moment."""
    policy = MLPActorCriticPolicy(env, hidden_sizes=(4,), key=key)
    algorithm = PPO(num_envs=2, num_steps=8, num_batches=1, num_epochs=1)
    policy = algorithm.learn(env, policy, 32, key=jr.key(1))
    return evaluate(env, policy, key=jr.key(2), num_episodes=2, max_steps=7)


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_training_and_evaluation_in_a_wrapped_environment_can_be_traced(wrap):
    """In one whose episodes are begun on demand; what comes of it is computed below."""
    done = eqx.filter_eval_shape(trained, wrap(InvertedPendulum()), jr.key(0))
    assert done.returns.shape == done.lengths.shape == (2,)


@pytest.mark.parametrize("wrap", TOGETHER)
@pytest.mark.parametrize("env", [Pendulum(), InvertedPendulum()], ids=["plain", "begun on demand"])
def test_a_wrapped_environment_can_be_trained_and_evaluated(wrap, env):
    """Each wrapper is around one of them, with others."""
    done = trained(wrap(env), jr.key(0))
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
        (
            lambda: ClipObservation(Pendulum(), 1.0, 0.0),
            ValueError,
            r"low must be below high \(got 1.0 and 0.0",
        ),
        (lambda: ClipReward(Pendulum(), 1.0, 1.0), ValueError, "ClipReward: low must be below high"),
        (lambda: RescaleObservation(CartPole()), ValueError, "needs bounded observations"),
        (lambda: ClipObservation(Picture()), TypeError, "needs observations of floats"),
        (lambda: RescaleObservation(Endless()), ValueError, "needs bounded observations"),
        (lambda: RescaleAction(Endless()), ValueError, "needs bounded actions"),
        (lambda: FrameStack(Pendulum(), 0), ValueError, r"got 0.*at least 1"),
        (lambda: ActionRepeat(Pendulum(), 0), ValueError, r"got 0.*at least 1"),
        (lambda: StickyActions(Pendulum(), 1.5), ValueError, "probability: out of range"),
        (lambda: ScaleReward(Pendulum(), float("nan")), ValueError, "scale: out of range .*finite"),
    ],
)
def test_what_makes_no_sense_is_refused(build, error, words):
    with pytest.raises(error, match=words):
        build()


def test_spaces_within_stay_as_they_are():
    assert isinstance(RescaleAction(Pendulum()).action_space, Box)
    assert RescaleAction(Pendulum()).observation_space == Pendulum.observation_space
