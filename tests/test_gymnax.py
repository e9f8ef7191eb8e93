"""Tasks of gymnax, against gymnax's own steps where it is installed, and two small ones in its forms."""

import dataclasses
import importlib.util
import sys
import types

import equinox as eqx
import jax
import numpy as np
import pytest
import terminal
from jax import numpy as jnp
from jax import random as jr

from lerax.env import advance, from_gymnax
from lerax.env import gymnax as door
from lerax.env.step import check_contract
from lerax.errors import SettingError
from lerax.network.encoder import ENCODERS, filters_of
from lerax.registry import ENV, presets
from lerax.render import RenderError, headless_renderer
from lerax.space import Box, Dict, Discrete, Tuple
from lerax.tree import settings_as_data

INSTALLED = importlib.util.find_spec("gymnax") is not None
real = pytest.mark.skipif(not INSTALLED, reason="pip install gymnax, 0.0.9 or 1.x, and run this file again")


def module(name, **parts):
    found = types.ModuleType(name)
    vars(found).update(parts)
    return found


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Place:
    place: jax.Array
    time: jax.Array


@dataclasses.dataclass(frozen=True)
class Parameters:
    max_steps_in_episode: int = 4
    gain: float = 1.0
    table: tuple = None
    reward: float = 3.0  # of the name of a method


def space(kind, **parts):
    return type(kind, (), parts)()


class Before:
    """A corridor as tasks were before 1.0: the end of the time is an end like another. 1 goes right."""

    def __init__(self, size: int = 3):
        self.size = size

    @property
    def default_params(self):
        return Parameters(table=jnp.array([1.0, 2.0]))

    def reset_env(self, key, params):
        return self.seen(0), Place(0, 0)

    def ends(self, state, params):
        return (state.place >= self.size) | (state.time >= params.max_steps_in_episode)

    def step_env(self, key, state, action, params):
        state = Place(state.place + action, state.time + 1)
        reward = params.gain * params.table[1] * action
        return self.seen(state.place), state, reward, self.ends(state, params), {}

    def seen(self, place):
        return jnp.zeros((4, 5, 2), bool).at[1, place, 0].set(True).at[2, place].set(True)

    def observation_space(self, params):
        return space("Box", low=0, high=1, shape=(4, 5, 2))

    def action_space(self, params):
        return space("Discrete", n=2)


class Since(Before):
    """The same as tasks are since 1.0."""

    def ends(self, state, params):
        return state.place >= self.size

    def is_truncated(self, state, params):
        return state.time >= params.max_steps_in_episode


class Plain(Since):
    """One whose observations are no pictures."""

    def seen(self, place):
        return jnp.int32(place)

    def observation_space(self, params):
        return space("Discrete", n=9)


@pytest.fixture
def installed(monkeypatch):
    """gymnax with a few small tasks."""
    tasks = {"Before-v0": Before, "Since-v0": Since, "Plain-v0": Plain}
    make = lambda id, **arguments: (tasks[id](**arguments), None)
    fake = module("gymnax", registered_envs=list(tasks), make=make)
    clear = lambda: (door.task_class.cache_clear(), door._made.cache_clear())
    clear()
    monkeypatch.setitem(sys.modules, "gymnax", fake)
    yield
    clear()


@pytest.mark.parametrize("id", ["Before-v0", "Since-v0"])
@pytest.mark.parametrize(
    ("actions", "terminal", "truncated"),
    [([1, 1, 1], True, False), ([0, 0, 0, 0], False, True), ([0, 1, 1, 1], True, True)],
)
def test_an_end_of_the_task_and_one_of_the_time_are_told_apart(installed, id, actions, terminal, truncated):
    env = from_gymnax(id)
    state = env.initial(key=jr.key(0))
    for count, action in enumerate(actions, 1):
        given = advance(env, state, jnp.int32(action), key=jr.key(1))
        state = given.state
        ended = (terminal, truncated) if count == len(actions) else (False, False)
        assert (bool(given.terminal), bool(given.truncated)) == ended
        assert given.reward == 2 * action
    assert (int(state.theirs.place), int(state.theirs.time)) == (0, 0)  # the next episode


def test_settings_are_parameters_and_arguments(installed):
    env = from_gymnax("Since-v0", size=1, gain=5.0, table=[1.0, 3.0], max_steps_in_episode=7)
    given = advance(env, env.initial(key=jr.key(0)), jnp.int32(1), key=jr.key(1))
    assert given.terminal and given.reward == 15
    assert "reward" not in env.parameters  # an environment has a method of that name
    with pytest.raises(SettingError, match="max_steps_in_episode.*at least 1"):
        from_gymnax("Since-v0", max_steps_in_episode=0)
    with pytest.raises(TypeError, match="speed"):
        from_gymnax("Since-v0", speed=1)


def test_another_number_compiles_nothing(installed):
    traced = []

    @eqx.filter_jit
    def first(env):
        traced.append(1)
        state = env.transition(env.initial(key=jr.key(0)), jnp.int32(1), key=jr.key(0))
        return state.earned

    numbers = [first(settings_as_data(from_gymnax("Since-v0", gain=gain))) for gain in (1.0, 2.5)]
    assert numbers == [2, 5] and len(traced) == 1


def test_names_that_there_are_not(installed, monkeypatch):
    with pytest.raises(SettingError, match=r"no such task \(got 'Sinse-v0'\); did you mean Since-v0"):
        from_gymnax("Sinse-v0")
    assert ENV.load(ENV.find("gymnax:Since-v0")) is door.task_class("Since-v0")
    monkeypatch.setitem(sys.modules, "gymnax", None)
    with pytest.raises(ImportError, match=r"pip install 'lerax\[gymnax\]'"):
        door.task_class("Other-v0")


def test_pictures_have_a_colour_for_each_channel(installed):
    env = from_gymnax("Since-v0")
    state = env.transition(env.initial(key=jr.key(0)), jnp.int32(1), key=jr.key(0))
    with headless_renderer(env, 200, 160) as renderer:
        env.render(jax.device_get(state), renderer)
        frame = renderer.as_array()
    assert frame.shape == (160, 200, 3)
    cells = frame[20::40, 20::40]
    one, other, ground = (color.to_rgb255() for color in (*door.CHANNELS[:2], door.GROUND))
    wanted = np.full((4, 5, 3), ground)
    wanted[1, 1], wanted[2, 1] = one, other
    np.testing.assert_array_equal(cells, wanted)
    with pytest.raises(RenderError, match="gymnax:Plain-v0 cannot be drawn"):
        from_gymnax("Plain-v0").default_renderer()


def test_spaces_and_encoders():
    box = space("Box", low=jnp.array([-3.4028235e38, 0.0]), high=3.4028235e38, shape=(2,))
    parts = space("Tuple", spaces=[space("Discrete", n=3), box])
    found = door.space_of(space("Dict", spaces={"a": parts}))
    wanted = Dict({"a": Tuple([Discrete(3), Box([-np.inf, 0.0], [np.inf, np.inf])])})
    assert found == wanted
    assert filters_of(Box(0, 1, (10, 10, 4)), "auto") == ENCODERS["minatar"]
    with pytest.raises(SettingError, match="there is none for it"):
        door.space_of(space("Graph"))


def test_presets_of_minatar_are_those_of_gymnaxs_tasks():
    assert {*presets("gymnax:Breakout-MinAtar")} == {"pqn", "ppo"}


@pytest.mark.skipif(INSTALLED, reason="gymnax is installed")
def test_what_is_not_installed_is_named_in_one_line(tmp_path):
    done = terminal.run("train", "gymnax:Breakout-MinAtar", cwd=tmp_path)
    assert done.returncode == 2
    assert "ENV: not available (got 'gymnax:Breakout-MinAtar')" in done.stderr
    assert "pip install 'lerax[gymnax]'" in done.stderr and done.stderr.count("\n") == 1


TASKS = {  # with the limits that show both ends, where there are two
    "CartPole-v1": (20, {"terminal", "truncated"}),
    "Pendulum-v1": (30, {"truncated"}),
    "Breakout-MinAtar": (12, {"terminal", "truncated"}),
    "Asterix-MinAtar": (60, {"terminal", "truncated"}),
    "Freeway-MinAtar": (50, {"truncated"}),
    "SpaceInvaders-MinAtar": (60, {"terminal", "truncated"}),
}


@real
@pytest.mark.filterwarnings("ignore")  # those of gymnax and what it imports
@pytest.mark.parametrize("id", TASKS)
def test_episodes_are_those_of_gymnax(id):
    """Observations, rewards and states as of `step_env`, and ends as with and without a limit."""
    import gymnax

    limit, ends = TASKS[id]
    env = from_gymnax(id, max_steps_in_episode=limit)
    check_contract(env)
    task, parameters = gymnax.make(id)
    parameters = parameters.replace(max_steps_in_episode=limit)
    longer = parameters.replace(max_steps_in_episode=10 * limit)
    step = jax.jit(lambda state, action, key: advance(env, state, action, key=key))
    theirs = jax.jit(lambda key, state, action: task.step_env(key, state, action, parameters))
    unlimited = jax.jit(lambda key, state, action: task.step_env(key, state, action, longer)[3])
    reset = jax.jit(lambda key: task.reset_env(key, parameters))
    state = jax.jit(lambda key: env.initial(key=key))(jr.key(5))
    seen, inner = reset(jr.key(5))
    np.testing.assert_array_equal(env.observation(state), seen)
    found, age = set(), 0
    for t in range(300):
        key = jr.fold_in(jr.key(6), t)
        action = env.action_space.sample(key=key)
        given = step(state, action, key)
        state, age = given.state, age + 1
        over = unlimited(jr.fold_in(key, 0), inner, action)
        seen, inner, reward, _, _ = theirs(jr.fold_in(key, 0), inner, action)
        np.testing.assert_allclose(given.next_observation, seen, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(given.reward, reward, rtol=1e-4, atol=1e-5)
        assert (bool(given.terminal), bool(given.truncated)) == (bool(over), age == limit)
        found |= {"terminal"} if over else {"truncated"} if age == limit else set()
        if over or age == limit:
            (seen, inner), age = reset(jr.fold_in(key, 4)), 0
            np.testing.assert_allclose(given.observation, seen, rtol=1e-6)
    assert found == ends
