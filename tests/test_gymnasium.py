"""Our environments in Gymnasium's form, held against its checks, its own environments and its vectors."""

import importlib
import warnings

import gymnasium
import jax
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from jax import numpy as jnp
from jax import random as jr
from test_mujoco_parity import begin_at
from toys import frame

from lerax.env import (
    AbstractEnv,
    AbstractEnvState,
    EnvContractError,
    advance,
    to_gymnasium,
    to_gymnasium_vector,
)
from lerax.env.classic_control import Acrobot, CartPole, ContinuousMountainCar, MountainCar, Pendulum
from lerax.env.mujoco import Hopper, Reacher
from lerax.registry import ENVS
from lerax.render import RenderError
from lerax.space import AbstractSpace, Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from lerax.space import from_gymnasium as space_from
from lerax.space import to_gymnasium as space_to
from lerax.wrapper import TimeLimit

CONTROL = [CartPole, MountainCar, ContinuousMountainCar, Pendulum, Acrobot]
CHECKED = [cls.name for cls in [*CONTROL, Hopper, Reacher]]
ID = "lerax.gym:lerax/"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Gymnasium's own engine writes its warnings into the working directory."""
    monkeypatch.chdir(tmp_path)


class DoorState(AbstractEnvState):
    place: jax.Array


class Doors(AbstractEnv):
    """A place of four is seen with some noise; only doors above it are open, and the last one is the end.

    Nothing of it is the same in two episodes, or two steps of one.
    """

    name = "Doors"
    action_space = Discrete(4)
    observation_space = Discrete(8)

    def initial(self, *, key):
        return DoorState(jr.randint(key, (), 0, 3))

    def transition(self, state, action, *, key):
        return DoorState(jnp.maximum(state.place, action - jr.randint(key, (), 0, 2)))

    def observation(self, state, *, key):
        return 2 * state.place + jr.randint(key, (), 0, 2)

    def reward(self, state, action, next_state, *, key):
        return next_state.place + jr.normal(key)

    def terminal(self, state, *, key):
        return state.place == 3

    def action_mask(self, state, *, key):
        return jnp.arange(4) >= state.place


def warned(env, **skipped):
    """What Gymnasium's checker warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env, **skipped)
    return {str(warning.message) for warning in caught}


@pytest.mark.parametrize("name", CHECKED)
def test_gymnasiums_checker_finds_no_more_than_in_its_own(name):
    """It calls open boxes and actions beyond 1 unusual, of the same tasks there as here."""
    theirs = warned(gymnasium.make(name).unwrapped, skip_render_check=True)  # it would open windows
    assert warned(gymnasium.make(ID + name).unwrapped) <= theirs


@pytest.mark.parametrize("name", ENVS)
def test_every_name_is_registered_with_gymnasiums_spaces(name):
    made, reference = gymnasium.make(ID + name), gymnasium.make(name)
    assert made is made.unwrapped and gymnasium.spec(f"lerax/{name}").max_episode_steps is None
    assert made.action_space == reference.action_space
    ours, theirs = made.observation_space, reference.observation_space
    assert ours.shape == theirs.shape and ours.dtype == np.float32
    np.testing.assert_array_equal(ours.low, theirs.low.astype(np.float32))
    np.testing.assert_array_equal(ours.high, theirs.high.astype(np.float32))
    assert made.metadata["render_fps"] == pytest.approx(reference.metadata["render_fps"])


def test_registering_again_changes_nothing():
    module = importlib.import_module("lerax.gym")
    module.register()  # Gymnasium would warn
    assert {f"lerax/{name}" for name in ENVS} <= set(gymnasium.registry)


def test_settings_reach_the_environment():
    made = gymnasium.make(ID + "MountainCar-v0", goal_velocity=0.03)
    many = gymnasium.make_vec(ID + "MountainCar-v0", num_envs=2, goal_velocity=0.03, max_episode_steps=7)
    assert (made.env.goal_velocity, made.env.max_episode_steps) == (0.03, 200)
    assert (many.env.goal_velocity, many.env.max_episode_steps) == (0.03, 7)


@pytest.mark.parametrize("cls", [*CONTROL, Doors])
def test_steps_are_those_of_advance(cls):
    """With the keys that a seed stands for, over the end of an episode."""
    env = cls()
    made = to_gymnasium(env)
    made.action_space.seed(0)
    observation, info = made.reset(seed=5)
    words = np.random.default_rng(np.random.SeedSequence(5)).integers(2**32, size=2, dtype=np.uint32)
    key, show_key, _, step_key = jr.split(jr.fold_in(jr.key(words[0]), words[1]), 4)
    state = env.initial(key=key)
    np.testing.assert_array_equal(observation, env.observation(state, key=show_key))
    step = jax.jit(lambda state, action, key: advance(env, state, action, key=key))
    for count in range(1, 60):
        action = made.action_space.sample()
        observation, reward, terminated, truncated, info = made.step(action)
        expected = step(state, jnp.asarray(action), jr.fold_in(step_key, count))
        state = expected.next_state
        np.testing.assert_allclose(observation, expected.next_observation, rtol=1e-5, atol=1e-6)
        assert reward == pytest.approx(float(expected.reward), rel=1e-5, abs=1e-6)
        assert (terminated, truncated) == (bool(expected.terminal), bool(expected.truncated))
        assert [type(part) for part in (reward, terminated, truncated, info)] == [float, bool, bool, dict]
        assert made.observation_space.contains(observation)
        if terminated:
            break


@pytest.mark.parametrize("cls", CONTROL)
def test_episodes_equal_gymnasiums_step_by_step(cls):
    """From the same state in each step: what rounds differently would part them otherwise."""
    made, reference = to_gymnasium(cls()), gymnasium.make(cls.name)
    made.reset(seed=1)
    reference.reset(seed=1)
    made.action_space.seed(1)
    over = steps = 0
    while not over:
        reference.unwrapped.state = np.asarray(made._live.state.y, np.float64)
        action = made.action_space.sample()
        *ours, _ = made.step(action)
        *theirs, _ = reference.step(action)
        np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-5, atol=1e-5)
        assert ours[1] == pytest.approx(theirs[1], rel=1e-5, abs=1e-6) and ours[2:] == theirs[2:]
        over, steps = ours[2] or ours[3], steps + 1
    assert steps <= made.env.max_episode_steps and ours[3] == (steps == made.env.max_episode_steps)


@pytest.mark.parametrize("cls", [Hopper, Reacher])
def test_episodes_of_mujoco_equal_gymnasiums(cls):
    """Whole ones, from the same beginning."""
    made, reference = to_gymnasium(cls()), gymnasium.make(cls.name)
    first, _ = made.reset(seed=2)
    expected = begin_at(reference, made.env.mujoco_data(jax.device_get(made._live.state)))
    np.testing.assert_allclose(first, expected, rtol=1e-5, atol=1e-5)
    made.action_space.seed(2)
    over = False
    while not over:
        action = made.action_space.sample()
        *ours, _ = made.step(action)
        *theirs, _ = reference.step(action)
        np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-5, atol=1e-5)
        assert ours[1] == pytest.approx(theirs[1], rel=1e-5, abs=1e-5) and ours[2:] == theirs[2:]
        over = ours[2] or ours[3]


def episodes(env, seed, count):
    """The observations of episodes, one after the other, with actions that depend on nothing."""
    shown = []
    for episode in range(count):
        shown.append(env.reset(seed=None if episode else seed)[0])
        for action in (1, 0, 1):
            shown.append(env.step(action)[0])
    return np.stack(shown)


def test_a_seed_gives_the_same_episodes_and_another_others():
    one, other = (to_gymnasium(CartPole()) for _ in range(2))
    first = episodes(one, 3, 3)
    np.testing.assert_array_equal(first, episodes(other, 3, 3))
    np.testing.assert_array_equal(first, episodes(one, 3, 3))
    assert len(np.unique(first[::4], axis=0)) == 3
    assert not np.isin(first[::4], episodes(one, 4, 3)[::4]).any()
    assert not np.array_equal(episodes(to_gymnasium(CartPole()), None, 1), episodes(one, None, 1))


def same(ours, theirs):
    """What a step or a reset gave, the infos too."""
    if isinstance(theirs, dict):
        assert set(ours) == set(theirs)
        for name in theirs:
            same(ours[name], theirs[name])
    elif isinstance(theirs, np.ndarray) and theirs.dtype == object:
        assert ours.dtype == object
        for one, other in zip(ours, theirs, strict=True):
            assert (one is None) == (other is None)
            if one is not None:
                np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    else:
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


ENDING = [CartPole(), Doors(), TimeLimit(Pendulum(), 5), TimeLimit(Doors(), 4)]


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@pytest.mark.parametrize("env", ENDING, ids=["CartPole", "Doors", "Pendulum", "Doors-cut"])
def test_many_are_gymnasiums_vector_of_single_ones(env, mode):
    """Observations, rewards, ends and infos, last observations too, over several ends."""
    ours = to_gymnasium_vector(env, 3, autoreset_mode=mode)
    theirs = SyncVectorEnv([lambda: to_gymnasium(env)] * 3, autoreset_mode=mode)
    assert (ours.observation_space, ours.action_space) == (theirs.observation_space, theirs.action_space)
    assert ours.metadata["autoreset_mode"] is mode
    ours.action_space.seed(0)
    for seed in (7, None, [1, None, 2]):
        for one, other in zip(ours.reset(seed=seed), theirs.reset(seed=seed), strict=True):
            same(one, other)
    ends = 0
    for _ in range(40):
        actions = ours.action_space.sample()
        result = ours.step(actions)
        for one, other in zip(result, theirs.step(actions), strict=True):
            same(one, other)
        ends += (result[2] | result[3]).sum()
    assert ends >= 3


def test_some_begin_by_a_mask_and_the_others_stay():
    ours = to_gymnasium_vector(Doors(), 3, autoreset_mode="Disabled")
    theirs = SyncVectorEnv([lambda: to_gymnasium(Doors())] * 3, autoreset_mode="Disabled")
    with pytest.raises(ResetNeeded):
        ours.reset(options={"reset_mask": np.array([True, False, True])})
    for env in (ours, theirs):
        env.reset(seed=0)
    ended = np.zeros(3, bool)
    for count in range(30):
        if ended.any():
            with pytest.raises(ResetNeeded, match="call reset"):
                ours.step(np.zeros(3, int))
            shown = [env.reset(options={"reset_mask": ended.copy()})[0] for env in (ours, theirs)]
            same(*shown)
        actions = np.array([3, count % 4, 1])
        result = ours.step(actions)
        for one, other in zip(result[:4], theirs.step(actions)[:4], strict=True):
            same(one, other)
        ended = result[2] | result[3]


def test_last_observations_are_those_after_the_action():
    """A pole that has fallen, where what goes on stands upright."""
    env = to_gymnasium_vector(CartPole(), 2, autoreset_mode="SameStep")
    env.reset(seed=0)
    for _ in range(100):
        shown, _, terminated, _, infos = env.step(np.array([1, 0]))
        for i in np.flatnonzero(terminated):
            assert infos["_final_obs"][i] and abs(infos["final_obs"][i][2]) > 12 * np.pi / 180
            assert np.abs(shown[i]).max() <= 0.05
    assert "final_obs" not in infos or infos["_final_obs"].any()


def test_masks_of_actions_are_in_the_infos():
    made = to_gymnasium(Doors())
    observation, info = made.reset(seed=0)
    for _ in range(10):
        assert info["action_mask"].tolist() == [door >= observation // 2 for door in range(4)]
        action = made.action_space.sample(info["action_mask"])
        assert action >= observation // 2
        observation, _, _, _, info = made.step(action)


def test_pictures_are_the_renderers():
    made = gymnasium.make(ID + "CartPole-v1", render_mode="rgb_array")
    with pytest.raises(ResetNeeded):
        made.render()
    made.reset(seed=0)
    for _ in range(8):
        made.step(1)
    np.testing.assert_array_equal(made.render(), frame(made.env, jax.device_get(made._live.state)))
    made.close()
    made.close()
    many = to_gymnasium_vector(CartPole(), 2, render_mode="rgb_array")
    many.reset(seed=0)
    for _ in range(8):
        many.step(np.array([1, 0]))
    first, second = many.render()
    np.testing.assert_array_equal(first, made.render())
    assert (first != second).any()
    many.close()
    made.close()


def test_lists_of_pictures_are_gymnasiums():
    made = gymnasium.make(ID + "CartPole-v1", render_mode="rgb_array_list")
    made.reset(seed=0)
    made.step(0)
    assert [picture.shape for picture in made.render()] == [(480, 640, 3)] * 2
    made.close()


@pytest.mark.parametrize("make", [to_gymnasium, lambda env: to_gymnasium_vector(env, 2)])
def test_without_a_render_mode_there_is_no_picture(make):
    made = make(CartPole())
    made.reset()
    with pytest.warns(UserWarning, match="render_mode"):
        assert made.render() is None


class Odd(AbstractSpace):
    shape = ()
    flat_size = 1

    def sample(self, *, key):
        return jnp.zeros(())

    def contains(self, value):
        return jnp.array(True)

    def flatten(self, value):
        return value[None]


class Elsewhere(Doors):
    observation_space = Odd()


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="render_mode: must be rgb_array, None .got 'human'"):
        to_gymnasium(CartPole(), render_mode="human")
    with pytest.raises(ValueError, match="autoreset_mode: must be NextStep, SameStep, Disabled .got 'later'"):
        to_gymnasium_vector(CartPole(), 2, autoreset_mode="later")
    with pytest.raises(ValueError, match="num_envs"):
        to_gymnasium_vector(CartPole(), 0)
    with pytest.raises(TypeError, match="env"):
        to_gymnasium(CartPole)
    with pytest.raises(RenderError, match="cannot be drawn"):
        to_gymnasium(Doors(), render_mode="rgb_array")
    with pytest.raises(TypeError, match="space: Gymnasium has none for it .* allowed: Box, Discrete"):
        to_gymnasium(Elsewhere())
    with pytest.raises(EnvContractError):
        to_gymnasium(type("Broken", (Doors,), {"terminal": lambda self, state, *, key: state.place})())
    many = to_gymnasium_vector(CartPole(), 2)
    for made, action in ((to_gymnasium(CartPole()), 0), (many, [0, 0])):
        with pytest.raises(ResetNeeded, match="call reset"):
            made.step(action)
    many.reset()
    for seed, mask, said in (
        ([1], None, "seed: must be one seed, or 2"),
        (None, np.array([True]), "reset_mask: must be 2 booleans"),
        (None, np.array([False, False]), "at least True|one at least"),
        (None, np.array([1, 0]), "reset_mask"),
    ):
        with pytest.raises(ValueError, match=said):
            many.reset(seed=seed, options={"reset_mask": mask})


@pytest.mark.parametrize(
    "env, actions",
    [
        (CartPole(), [2, -1, 0.5, np.array([1]), "left", None]),
        (Pendulum(), [0.0, np.zeros(2), np.zeros((1, 1)), "left", None]),
    ],
    ids=["discrete", "box"],
)
def test_actions_that_there_are_not_are_refused(env, actions):
    made = to_gymnasium(env)
    made.reset()
    for action in actions:
        with pytest.raises(ValueError, match="action: must be"):
            made.step(action)


def test_environments_that_differ_in_numbers_share_what_is_compiled():
    one, other = to_gymnasium(Pendulum(g=3.0)), to_gymnasium(Pendulum(g=9.0))
    assert one._programs is other._programs is not to_gymnasium(CartPole())._programs
    for made in (one, other):
        made.reset(seed=0)
        made.step(np.zeros(1, np.float32))
    assert one.step(np.zeros(1))[1] != other.step(np.zeros(1))[1]
    assert one._programs.step._cache_size() == 1


OURS = [Box(-1.0, 2.0, (3,)), Box([-np.inf, 0.0], np.inf), Box(0, 255, (4, 4, 3), np.uint8), Discrete(5)]
OURS += [Discrete(5, start=-7), MultiDiscrete((2, 5)), MultiBinary(3), MultiBinary((2, 2))]
SEVERAL = [Dict({"b": Discrete(2), "a": Tuple(OURS)}), Tuple((Dict({"x": Discrete(3, start=1)}),))]


@pytest.mark.parametrize("space", OURS, ids=str)
def test_spaces_come_back_as_they_were(space):
    theirs = space_to(space)
    assert space_from(theirs) == space
    assert theirs.contains(np.array(space.sample(key=jr.key(0)), theirs.dtype))
    assert space.contains(jnp.asarray(theirs.sample()))


@pytest.mark.parametrize("space", SEVERAL, ids=["dict", "tuple"])
def test_spaces_of_several_parts_come_back_as_they_were(space):
    theirs = space_to(space)
    assert space_from(theirs) == space and space.contains(jax.tree.map(jnp.asarray, theirs.sample()))


def test_boxes_of_other_floats_are_of_float32():
    made = space_from(spaces.Box(-1e300, 0.5, (2,), np.float64))
    assert made == Box(-np.inf, 0.5, (2,)) and made.dtype == np.float32
    assert space_from(spaces.Box(0, 9, (2,), np.int64)) == Box(0, 9, (2,))


@pytest.mark.parametrize(
    "space, said",
    [
        (spaces.MultiDiscrete([3, 2], start=[0, 1]), "space: a multi-discrete space begins at 0 .*subtract"),
        (spaces.MultiDiscrete([[3, 2]]), "MultiDiscrete: needs one row of counts"),
        (spaces.Text(3), "space: there is none for it .*; a text has no fixed numbers"),
        (spaces.Tuple([spaces.Sequence(spaces.Discrete(2))]), "there is none for it .*differ in length"),
        (3, "space: there is none for it"),
    ],
)
def test_spaces_that_there_are_not_are_refused(space, said):
    with pytest.raises(ValueError, match=said):
        space_from(space)
