"""The MuJoCo tasks, held against Gymnasium's: episodes from the same beginnings, with the same actions."""

import inspect
import math
import os

import gymnasium
import jax
import mujoco
import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr
from scipy import stats

from lerax.env.mujoco import (
    Ant,
    HalfCheetah,
    Hopper,
    Humanoid,
    HumanoidStandup,
    InvertedDoublePendulum,
    InvertedPendulum,
    Pusher,
    Reacher,
    Swimmer,
    Walker2d,
)

EPISODES = int(os.environ.get("LERAX_PARITY_EPISODES", "2"))  # of each task
TASKS = [
    Ant,
    HalfCheetah,
    Hopper,
    Humanoid,
    HumanoidStandup,
    InvertedDoublePendulum,
    InvertedPendulum,
    Pusher,
    Reacher,
    Swimmer,
    Walker2d,
]
MOST_ERROR = 1e-5  # relative
SEEN = "exclude_current_positions_from_observation"
RUNS = {"forward_reward_weight": 2.0, "ctrl_cost_weight": 0.3}
OPTIONS = [  # with what cannot be told apart from each other in different cases
    (
        Ant,
        {
            "terminate_when_unhealthy": False,
            "healthy_z_range": (0.4, 0.6),
            "healthy_reward": 2.0,
            SEEN: False,
        },
    ),
    (
        Ant,
        {"main_body": 3, "include_cfrc_ext_in_observation": False, "healthy_z_range": (0.4, 0.9), **RUNS},
    ),
    (Ant, {"main_body": "front_left_leg", "contact_cost_weight": 0.3, "contact_force_range": (-0.2, 0.1)}),
    (HalfCheetah, {"frame_skip": 3, SEEN: False, **RUNS}),
    (
        Hopper,
        {"terminate_when_unhealthy": False, "healthy_z_range": (1.1, 1.3), "healthy_reward": 3.0, **RUNS},
    ),
    (Hopper, {"healthy_angle_range": (-0.02, 0.05), SEEN: False}),
    (Hopper, {"healthy_state_range": (-1.5, 1.2)}),  # the height is above it, and does not count
    (Humanoid, {"terminate_when_unhealthy": False, "healthy_z_range": (0.5, 1.2), "healthy_reward": 1.0}),
    (
        Humanoid,
        {
            "include_cinert_in_observation": False,
            "include_qfrc_actuator_in_observation": False,
            "contact_cost_weight": 1e-3,
            "contact_cost_range": (0.2, 0.3),
            **RUNS,
        },
    ),
    (Humanoid, {SEEN: False, "include_cvel_in_observation": False, "include_cfrc_ext_in_observation": False}),
    (
        HumanoidStandup,
        {
            "include_cinert_in_observation": False,
            "include_qfrc_actuator_in_observation": False,
            "impact_cost_weight": 1e-3,
            "impact_cost_range": (0.1, 0.2),
            "ctrl_cost_weight": 1.0,
            "uph_cost_weight": 3.0,
        },
    ),
    (
        HumanoidStandup,
        {SEEN: False, "include_cvel_in_observation": False, "include_cfrc_ext_in_observation": False},
    ),
    (InvertedDoublePendulum, {"healthy_reward": 3.0, "frame_skip": 2}),
    (InvertedPendulum, {"frame_skip": 5}),
    (Pusher, {"reward_near_weight": 2.0, "reward_dist_weight": 3.0, "reward_control_weight": 0.5}),
    (Reacher, {"reward_dist_weight": 3.0, "reward_control_weight": 0.2, "frame_skip": 4}),
    (Swimmer, {SEEN: False, **RUNS}),
    (
        Walker2d,
        {"terminate_when_unhealthy": False, "healthy_z_range": (0.9, 1.2), "healthy_reward": 3.0, **RUNS},
    ),
    (Walker2d, {"healthy_angle_range": (-0.05, 0.1), SEEN: False}),
    (Hopper, {"healthy_angle_range": (-0.3, 0.0)}),
    (Walker2d, {"healthy_angle_range": (-0.3, 0.0)}),
    (Hopper, {"healthy_z_range": (1.24, math.inf), "healthy_angle_range": (-9.0, 9.0)}),
    (Walker2d, {"healthy_z_range": (1.24, 9.0), "healthy_angle_range": (-9.0, 9.0)}),
    (Ant, {"healthy_z_range": (0.6, 9.0)}),
    (Hopper, {"reset_noise_scale": 1.0, "terminate_when_unhealthy": False}),  # speeds beyond the clip
]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Gymnasium's own engine writes its warnings into the working directory."""
    monkeypatch.chdir(tmp_path)


def begin_at(reference, data):
    """Begins an episode of Gymnasium's at given positions and velocities. Returns its first observation."""
    reference.reset()
    inner = reference.unwrapped
    mujoco.mj_resetData(inner.model, inner.data)
    inner.set_state(data.qpos.copy(), data.qvel.copy())
    return inner._get_obs()


def play(reference, data, random):
    """An episode of Gymnasium's with random actions: actions, and observations, rewards and ends."""
    observations, actions, rewards, ends = [begin_at(reference, data)], [], [], [(False, False)]
    while not any(ends[-1]):
        space = reference.action_space
        actions.append(random.uniform(space.low, space.high).astype(np.float32))
        observation, reward, terminated, cut, _ = reference.step(actions[-1])
        observations.append(observation)
        rewards.append(reward)
        ends.append((terminated, cut))
    return np.array(actions), np.array(observations), np.array(rewards), np.array(ends)


def error(ours, theirs):
    """The largest relative error; of numbers below 1, the absolute one."""
    return float(np.max(np.abs(ours - theirs) / np.maximum(1, np.abs(theirs)), initial=0))


def compare(env, reference, episodes, seed=0):
    """Asserts that episodes end equally. Returns how long they were, and the largest errors."""
    random = np.random.default_rng(seed)
    states = jax.jit(jax.vmap(lambda key: env.initial(key=key)))(jr.split(jr.key(seed), episodes))
    host = jax.device_get(states)
    row = lambda i: jax.tree.map(lambda x: x[i], host)
    expected = [play(reference, env.mujoco_data(row(i)), random) for i in range(episodes)]
    lengths = [len(actions) for actions, *_ in expected]
    actions = np.zeros((max(lengths), episodes, *env.action_space.shape), np.float32)
    for i, (taken, *_) in enumerate(expected):
        actions[: len(taken), i] = taken

    def outcome(state):
        shown = env.observation(state)
        return shown, state.outcome[-2], jnp.stack([env.terminal(state), env.truncate(state)])

    def step(states, actions):
        states = jax.vmap(env.transition)(states, actions)
        return states, jax.vmap(outcome)(states)

    shown, rewards, ends = jax.device_get(jax.jit(lambda s, a: jax.lax.scan(step, s, a)[1])(states, actions))
    first = jax.device_get(jax.vmap(env.observation)(states))
    errors = np.zeros(3)
    for i, (taken, observations, given, over) in enumerate(expected):
        steps = len(taken)
        np.testing.assert_array_equal(ends[:steps, i], over[1:])
        found = (
            error(first[i], observations[0]),
            error(shown[:steps, i], observations[1:]),
            error(rewards[:steps, i], given),
        )
        errors = np.maximum(errors, found)
    return lengths, errors


@pytest.mark.parametrize("cls", TASKS)
def test_episodes_equal_gymnasiums(cls):
    env = cls()
    _, errors = compare(env, gymnasium.make(env.name, disable_env_checker=True), EPISODES)
    assert errors.max() <= MOST_ERROR


@pytest.mark.parametrize(("cls", "options"), OPTIONS)
def test_arguments_mean_what_gymnasiums_do(cls, options):
    options = {"max_episode_steps": 40, **options}
    env = cls(**options)
    reference = gymnasium.make(env.name, disable_env_checker=True, **options)
    assert env.observation_space.shape == reference.observation_space.shape
    _, errors = compare(env, reference, 3, seed=1)
    assert errors.max() <= MOST_ERROR


@pytest.mark.parametrize("cls", TASKS)
def test_arguments_and_their_defaults_are_gymnasiums(cls):
    ours = inspect.signature(cls).parameters
    reference = type(gymnasium.make(cls.name).unwrapped)
    theirs = inspect.signature(reference.__init__).parameters
    named = [name for name in theirs if name not in ("self", "kwargs")]
    assert set(ours) == {*named, "max_episode_steps", "threads", "physics"}
    env = cls()
    for name in named:
        if name != "default_camera_config":
            assert getattr(env, name) == theirs[name].default, name
    camera = getattr(inspect.getmodule(reference), "DEFAULT_CAMERA_CONFIG", {})
    assert dict(env.default_camera_config).keys() == camera.keys()
    for name, value in env.default_camera_config:
        np.testing.assert_allclose(value, camera[name], rtol=1e-12)


@pytest.mark.parametrize("cls", TASKS)
def test_spaces_names_and_limits_equal_gymnasiums(cls):
    env, reference = cls(), gymnasium.make(cls.name)
    for ours, theirs in (
        (env.action_space, reference.action_space),
        (env.observation_space, reference.observation_space),
    ):
        low, high = ours.bounds
        np.testing.assert_array_equal(low, theirs.low)
        np.testing.assert_array_equal(high, theirs.high)
    assert (env.name, env.max_episode_steps) == (reference.spec.id, reference.spec.max_episode_steps)
    assert env.render_fps == reference.metadata["render_fps"] and env.dt == reference.unwrapped.dt
    assert (env.mujoco_model.nbody, env.mujoco_model.nv) == (
        reference.unwrapped.model.nbody,
        reference.unwrapped.model.nv,
    )


@pytest.mark.parametrize("cls", TASKS)
def test_beginnings_are_distributed_as_gymnasiums(cls):
    env, reference, count = cls(), gymnasium.make(cls.name).unwrapped, 200
    positions, velocities = jax.vmap(lambda key: env.offsets(key=key))(jr.split(jr.key(2), count))
    ours = np.concatenate([env.mujoco_model.qpos0 + positions, velocities], axis=1)
    theirs = []
    for seed in range(count):
        reference.reset(seed=seed)
        theirs.append(np.concatenate([reference.data.qpos, reference.data.qvel]))
    state = jax.jit(lambda key: env.initial(key=key))(jr.split(jr.key(2), count)[0])
    begun = env.mujoco_data(jax.device_get(state))
    np.testing.assert_allclose(np.concatenate([begun.qpos, begun.qvel]), ours[0], atol=1e-7)
    for one, other in zip(ours.T, np.array(theirs).T, strict=True):
        if np.ptp(other) == 0:
            np.testing.assert_allclose(one, other, atol=1e-7)
        else:
            assert stats.ks_2samp(one, other).pvalue > 1e-4


def places(cls, part):
    """Two coordinates of many beginnings."""
    env = cls()
    offsets = jax.vmap(lambda key: env.offsets(key=key)[0])(jr.split(jr.key(3), 500))
    return (env.mujoco_model.qpos0 + np.asarray(offsets))[:, part]


def test_a_target_lies_anywhere_within_reach_alike():
    """In a disc of 0.2 m the squared distance is uniform."""
    distance = np.linalg.norm(places(Reacher, slice(2, 4)), axis=1)
    assert stats.kstest((distance / 0.2) ** 2, stats.uniform.cdf).pvalue > 1e-3


def test_an_object_does_not_begin_at_its_goal():
    """Gymnasium draws again until it lies more than 0.17 m away, of at most 0.36 m."""
    distance = np.linalg.norm(places(Pusher, slice(7, 9)), axis=1)
    assert 0.17 < distance.min() < 0.175 and 0.33 < distance.max() < 0.361
