"""The classic control tasks, held against Gymnasium's."""

import math

import gymnasium
import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr
from scipy import stats
from toys import frame, play, where

from lerax.env.classic_control import (
    Acrobot,
    AcrobotState,
    CartPole,
    ContinuousMountainCar,
    MountainCar,
    MountainCarState,
    Pendulum,
    PendulumState,
)

ENVS = [CartPole, MountainCar, ContinuousMountainCar, Pendulum, Acrobot]
CARS = [MountainCar, ContinuousMountainCar]
TURNS = {Pendulum: [0], Acrobot: [0, 1]}  # entries of the state that are equal modulo a turn
EXTREMES = {  # of the states to step from, the lowest being their negatives
    CartPole: [3.0, 3.0, 0.3, 3.0],
    MountainCar: [1.25, 0.08],
    ContinuousMountainCar: [1.25, 0.08],
    Pendulum: [4.0, 8.0],
    Acrobot: [4.0, 4.0, 4 * math.pi, 9 * math.pi],
}
WOOD, MARK, LIMIT = (217, 140, 74), (229, 115, 115), 2.0**-21  # four units in the last place of a float32


def mixed(env, y, key):
    """In turns anything, beyond the bounds of a box at times, and what swings ever faster."""
    which, what = jr.split(key)
    anything = env.action_space.sample(key=what)
    if isinstance(env, CartPole):
        return anything
    spin = y[3] if isinstance(env, Acrobot) else y[1]
    if anything.shape:
        anything, pump = 1.3 * anything, jnp.sign(spin)[None]
    else:
        pump = jnp.where(spin < 0, 0, 2)
    return jnp.where(jr.bernoulli(which, 0.6), pump, anything)


def idle(env, y, key):
    """Stays at the bottom, where no episode ends before its time."""
    return jnp.zeros(1) if env.action_space.shape else jnp.array(1)


def reference_of(env, **changes):
    """Gymnasium's environment of that name; what its constructor does not take is set afterwards."""
    made = gymnasium.make(env.name, disable_env_checker=True)
    for name, value in changes.items():
        assert hasattr(made.unwrapped, name)
        setattr(made.unwrapped, name, value)
    return made


def compare(env, reference, played):
    """Steps Gymnasium's from each state of episodes: ends must be equal, numbers to rounding.

    Returns how episodes ended: steps, terminal, truncated.
    """
    before, actions, after, shown, rewards, terminals, truncated = (np.asarray(x) for x in played)
    expected, seen, given, ended = np.zeros(after.shape), np.zeros(shown.shape), np.zeros(rewards.shape), []
    done = np.cumsum(terminals | truncated, axis=1) - (terminals | truncated) > 0
    for episode, over in enumerate(done):
        reference.reset(seed=episode)
        for t in np.flatnonzero(~over):
            reference.unwrapped.state = before[episode, t].astype(np.float64)
            action = actions[episode, t]
            action = action if action.shape else int(action)
            seen[episode, t], given[episode, t], terminated, cut, _ = reference.step(action)
            expected[episode, t] = reference.unwrapped.state
            assert (terminals[episode, t], truncated[episode, t]) == (terminated, cut)
        ended.append((int(t) + 1, terminated, cut))
    apart = after - expected
    for entry in TURNS.get(type(env), []):
        apart[..., entry] = (apart[..., entry] + math.pi) % math.tau - math.pi
    for difference, size in ((apart, after), (shown - seen, shown), (rewards - given, rewards)):
        assert np.abs(difference[~done]).max() <= LIMIT * np.abs(size[~done]).max()
    return ended


@pytest.mark.parametrize("cls", ENVS)
def test_random_episodes_equal_gymnasiums(cls):
    """Over whole episodes of which some reach the goal, where there is one."""
    env, episodes = cls(), 100
    ended = compare(env, reference_of(env), play(env, mixed, 500, jr.split(jr.key(0), episodes)))
    terminal, cut = sum(end[1] for end in ended), sum(end[2] for end in ended)
    assert (terminal == 0 and cut == episodes) if cls is Pendulum else terminal > episodes / 2


@pytest.mark.parametrize("cls", ENVS)
def test_steps_from_anywhere_equal_gymnasiums(cls):
    """Beyond walls, limits of speed and whole turns, which episodes seldom reach.

    In double precision, for some of these states magnify what is rounded.
    """
    with jax.enable_x64(True):
        env, most = cls(), jnp.array(EXTREMES[cls])
        start = lambda key: jr.uniform(key, most.shape, minval=-most, maxval=most)
        compare(env, reference_of(env), play(env, mixed, 1, jr.split(jr.key(1), 2000), start))


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (CartPole, {"sutton_barto_reward": True}),
        (MountainCar, {"goal_velocity": 0.02}),
        (ContinuousMountainCar, {"goal_velocity": 0.02}),
        (Pendulum, {"g": 3.7}),
        (Acrobot, {"dt": 0.1}),
        (Acrobot, {"book_or_nips": "nips"}),
    ],
)
def test_arguments_mean_what_gymnasiums_do(cls, options):
    env = cls(**options)
    attributes = {f"_{name}" if cls is CartPole else name: value for name, value in options.items()}
    reference = reference_of(env, **attributes)
    played = play(env, mixed, 200, jr.split(jr.key(2), 20))
    compare(env, reference, played)
    with pytest.raises(AssertionError):
        compare(env, reference_of(env), played)


@pytest.mark.parametrize("cls", ENVS[1:])
def test_episodes_are_truncated_when_gymnasiums_are(cls):
    env = cls()
    limit = env.max_episode_steps
    ended = compare(env, reference_of(env), play(env, idle, limit + 1, jr.split(jr.key(3), 2)))
    assert ended == [(limit, False, True)] * 2
    unlimited = play(cls(max_episode_steps=None), idle, limit + 1, jr.split(jr.key(3), 2))
    assert not any(np.asarray(ends).any() for ends in unlimited[-2:])


@pytest.mark.parametrize("cls", ENVS)
def test_first_states_are_distributed_as_gymnasiums(cls):
    env, reference = cls(), reference_of(cls())
    states = jax.vmap(lambda key: env.initial(key=key))(jr.split(jr.key(4), 2000))
    shown = np.asarray(jax.vmap(lambda s: env.observation(s))(states))
    expected = np.stack([reference.reset(seed=seed)[0] for seed in range(2000)])
    assert not np.asarray(states.steps).any()
    for ours, theirs in zip(shown.T, expected.T, strict=True):
        assert stats.ks_2samp(ours, theirs).pvalue > 1e-3
    # Entries of the state, which are independent: correlations within four standard errors.
    varying = [column for column in np.asarray(states.y).T if column.any()]
    assert np.abs(np.corrcoef(varying) - np.eye(len(varying))).max() < 0.1


@pytest.mark.parametrize("cls", ENVS)
def test_spaces_names_and_limits_equal_gymnasiums(cls):
    env, reference = cls(), reference_of(cls())
    for ours, theirs in (
        (env.observation_space, reference.observation_space),
        (env.action_space, reference.action_space),
    ):
        if isinstance(theirs, gymnasium.spaces.Discrete):
            assert (ours.n, theirs.start) == (theirs.n, 0)
        else:
            low, high = ours.bounds
            np.testing.assert_array_equal(low, theirs.low)
            np.testing.assert_array_equal(high, theirs.high)
    assert (env.name, env.max_episode_steps) == (reference.spec.id, reference.spec.max_episode_steps)
    assert env.render_fps == reference.metadata["render_fps"]


@pytest.mark.parametrize("limit", [0, -1])
@pytest.mark.parametrize("cls", ENVS)
def test_a_limit_below_one_is_refused(cls, limit):
    with pytest.raises(ValueError, match="max_episode_steps.*at least 1"):
        cls(max_episode_steps=limit)


def test_unknown_equations_are_refused():
    with pytest.raises(ValueError, match="book_or_nips.*paper.*one of book, nips"):
        Acrobot(book_or_nips="paper")


def state_of(cls, *entries, torque=0.0):
    """A state of NumPy arrays."""
    y, steps = jnp.array(entries), jnp.array(0)
    if cls is Pendulum:
        return jax.device_get(PendulumState(y, jnp.array(torque), steps))
    return jax.device_get((AcrobotState if cls is Acrobot else MountainCarState)(y, steps))


def pixel(env, *point):
    return env.default_renderer().transform.world_to_px(point)


@pytest.mark.parametrize("cls", ENVS)
def test_a_moving_state_is_drawn_at_another_place(cls):
    env = cls()
    first = env.initial(key=jr.key(5))
    later = first
    for _ in range(10):
        later = env.transition(later, idle(env, later.y, None) + 1)
    one, two = (frame(env, jax.device_get(state)) for state in (first, later))
    assert one.shape == two.shape == (480, 640, 3)
    assert (np.abs(one - two).max(axis=2) > 30).sum() > 200


@pytest.mark.parametrize("position", [-1.15, -0.5, 0.2])
@pytest.mark.parametrize("cls", CARS)
def test_the_car_is_on_the_road_and_the_flag_at_the_goal(cls, position):
    env = cls()
    picture = frame(env, state_of(cls, position, 0.0))
    road = 0.55 + 0.45 * math.sin(3 * position)
    slope = math.atan(1.35 * math.cos(3 * position))
    body = pixel(env, position - 0.055 * math.sin(slope), road + 0.055 * math.cos(slope))
    assert where(picture, WOOD) == pytest.approx(body, abs=5)
    flag = pixel(env, env.goal_position, 0.55 + 0.45 * math.sin(3 * env.goal_position))
    assert where(picture, MARK) == pytest.approx((flag[0] + 13, flag[1] - 58), abs=3)


@pytest.mark.parametrize("angle", [0.0, 1.0, -2.0, math.pi])
def test_the_rod_and_its_torque_are_drawn(angle):
    env = Pendulum()
    middle = pixel(env, -0.5 * math.sin(angle), 0.5 * math.cos(angle))
    still = frame(env, state_of(Pendulum, angle, 0.0))
    assert where(still, WOOD) == pytest.approx(middle, abs=7)  # less what is in front of it
    assert not (np.abs(still - np.array(MARK)).max(axis=2) < 12).any()
    left, right = (frame(env, state_of(Pendulum, angle, 0.0, torque=torque)) for torque in (0.7, -0.7))
    assert where(left, MARK)[0] < 320 < where(right, MARK)[0]


@pytest.mark.parametrize(("upper", "lower"), [(0.0, 0.0), (0.8, 0.5), (-2.0, 1.0)])
def test_the_links_and_the_line_are_drawn(upper, lower):
    env = Acrobot()
    picture = frame(env, state_of(Acrobot, upper, lower, 0.0, 0.0))
    both = upper + lower
    x, y = math.sin(upper) + 0.5 * math.sin(both), -math.cos(upper) - 0.5 * math.cos(both)
    assert where(picture, WOOD) == pytest.approx(pixel(env, x, y), abs=7)  # less what is in front of it
    assert where(picture, MARK)[1] == pytest.approx(pixel(env, 0, 1)[1], abs=2)
