"""Tasks of brax and Playground, against their own steps where installed, and small ones of their form."""

import dataclasses
import functools
import importlib.util
import sys
import types
from typing import Any

import jax
import numpy as np
import pytest
import terminal
from jax import numpy as jnp
from jax import random as jr

from lerax.env import advance, brax, from_brax, from_playground, playground
from lerax.env.mujoco.model import engine
from lerax.env.step import check_contract
from lerax.errors import SettingError
from lerax.registry import ENV
from lerax.render import headless_renderer
from lerax.space import Box, Dict

MODEL = """<mujoco><worldbody><light pos="0 0 3"/><camera pos="0 -3 0" xyaxes="1 0 0 0 0 1"/><body>
<joint type="slide" axis="1 0 0"/><geom size=".2" rgba="1 0 0 1"/></body></worldbody></mujoco>"""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Simulation:
    q: jax.Array
    qd: jax.Array

    qpos = property(lambda self: self.q)
    qvel = property(lambda self: self.qd)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
    pipeline_state: Simulation
    obs: jax.Array
    reward: jax.Array
    done: jax.Array

    data = property(lambda self: self.pipeline_state)


class Slide:
    """Pushed along a line; over beyond `end`. Its numbers are weakly typed, as theirs may be."""

    action_size, dt = 1, 0.05

    def __init__(self, gain=1.0, end=0.5, span=(0.0, 1.0), backend="generalized", **kwargs):
        self.gain, self.end = gain, end
        self.mj_model = engine().MjModel.from_xml_string(MODEL)
        self.sys = types.SimpleNamespace(mj_model=self.mj_model)

    def reset(self, rng):
        return self.state(0.1 * jax.random.uniform(rng, (1,)), 0.0, 0.0)

    def step(self, state, action):
        place = state.pipeline_state.q + 0.1 * self.gain * action
        return self.state(place, place[0] - state.obs[0], place[0] > self.end)

    def state(self, place, reward, done):
        done = jnp.where(done, 1.0, 0.0)
        return State(Simulation(place, jnp.zeros(1)), self.seen(place), jnp.asarray(reward), done)

    def seen(self, place) -> Any:
        return jnp.concatenate([place, place**2])


class Parts(Slide):
    """One that is observed in parts, as those are whose critics see more."""

    def seen(self, place) -> Any:
        return {"state": place, "privileged_state": place**2}

    def step(self, state, action):
        return self.state(state.pipeline_state.q + action, 1.0, False)


class Config(dict):
    to_dict = lambda self: dict(self)


def module(name, **parts):
    found = types.ModuleType(name)
    vars(found).update(parts)
    return found


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """brax and Playground with small tasks; the models of one are elsewhere."""
    config = Config(
        gain=1.0, end=0.5, episode_length=7, action_repeat=1, impl="warp", vision_config={"nworld": 1}
    )
    tasks = {"Slide": Slide, "Parts": Parts, "Go1": Slide}
    loaded = []

    def load(id, config_overrides):
        loaded.append(config_overrides)
        return tasks[id](**{name: value for name, value in config_overrides.items() if name != "impl"})

    registry = types.SimpleNamespace(
        ALL_ENVS=list(tasks), get_default_config=lambda id: Config(config), load=load
    )
    suite = types.SimpleNamespace(ALL_ENVS=["Slide", "Parts"])
    models = module("mujoco_playground._src.mjx_env", MENAGERIE_PATH=tmp_path / "mujoco_menagerie")
    caches = brax.task_class, brax._made, brax._seen_of, playground.task_class, playground._made
    clear = lambda: [cached.cache_clear() for cached in caches]
    clear()
    for fake in (
        module("brax", __path__=[]),
        module("brax.envs", _envs={"slide": Slide, "parts": Parts}),
        module("mujoco_playground", registry=registry, dm_control_suite=suite, __path__=[]),
        module("mujoco_playground._src", __path__=[]),
        models,
    ):
        monkeypatch.setitem(sys.modules, fake.__name__, fake)
    yield loaded
    clear()


MAKERS = {
    "brax": functools.partial(from_brax, "slide"),
    "playground": functools.partial(from_playground, "Slide"),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_ends_of_the_task_and_of_the_time(installed, make):
    env = make(max_episode_steps=4)
    check_contract(env)
    assert (env.action_space, env.observation_space) == (Box(-1.0, 1.0, (1,)), Box(-jnp.inf, jnp.inf, (2,)))
    for push, count, wanted in ((2.0, 3, (True, False)), (0.0, 4, (False, True))):
        state: Any
        state, ends = env.initial(key=jr.key(0)), []
        for t in range(count):
            place = state.theirs.obs[0] + 0.1 * push
            given = advance(env, state, jnp.full(1, push), key=jr.key(t))
            state = given.state
            np.testing.assert_allclose(given.next_observation, [place, place**2], rtol=1e-5)
            np.testing.assert_allclose(given.reward, 0.1 * push, atol=1e-6)
            ends.append((bool(given.terminal), bool(given.truncated)))
        assert ends[-1] == wanted and not any(map(any, ends[:-1]))
        assert state.steps == 0  # the next episode


def test_settings_are_the_arguments(installed):
    assert from_brax("slide").max_episode_steps == 1000
    far = from_brax("slide", gain=5.0, span=(0.0, 2.0), end=0.2)
    assert far.arguments == ("gain", "end", "span", "backend")
    assert advance(far, far.initial(key=jr.key(0)), jnp.ones(1), key=jr.key(0)).terminal
    with pytest.raises(SettingError, match="gain"):
        from_brax("slide", gain="much")
    with pytest.raises(TypeError, match="speed"):
        from_brax("slide", speed=1)


def test_settings_of_playground_are_its_configurations(installed):
    env = from_playground("Slide", gain=2.0)
    assert (env.max_episode_steps, env.arguments) == (7, ("gain", "end", "impl"))
    assert env.initial(key=jr.key(0)).steps == 0
    assert installed[-1] == {"impl": "jax", "gain": 2.0}


def test_what_is_observed_in_parts(installed):
    env = from_brax("parts")
    check_contract(env)
    one = Box(-jnp.inf, jnp.inf, (1,))
    assert env.observation_space == Dict({"privileged_state": one, "state": one})


def test_what_is_not_there(installed, monkeypatch):
    with pytest.raises(SettingError, match=r"brax has no such task \(got 'slyde'\); did you mean slide\?"):
        from_brax("slyde")
    with pytest.raises(SettingError, match=r"nothing is fetched.*'Go1'.*mujoco_menagerie"):
        from_playground("Go1")
    assert ENV.load(ENV.find("brax:slide")) is brax.task_class("slide")
    for name, load in (("brax.envs", brax.task_class), ("mujoco_playground", playground.task_class)):
        monkeypatch.setitem(sys.modules, name, None)
        extra = name.partition(".")[0].removeprefix("mujoco_")
        with pytest.raises(ImportError, match=rf"pip install 'lerax\[{extra}\]'"):
            load("other")


def test_the_simulation_is_drawn(installed):
    env = from_brax("slide")
    state = env.initial(key=jr.key(0))
    moved = env.transition(state, jnp.full(1, 8.0))
    with headless_renderer(env, 64, 48) as renderer:
        red = []
        for one in (state, moved):
            env.render(jax.device_get(one), renderer)
            frame = renderer.as_array().astype(int)
            red.append(np.argwhere(frame[..., 0] > frame[..., 1] + 60)[:, 1].mean())
    assert abs(red[1] - red[0]) > 3


def test_what_is_not_installed_is_named_in_one_line(tmp_path):
    for name in ("brax", "playground"):
        if importlib.util.find_spec("mujoco_playground" if name == "playground" else name) is None:
            done = terminal.run("train", f"{name}:ant", cwd=tmp_path)
            assert done.returncode == 2 and done.stderr.count("\n") == 1
            assert f"pip install 'lerax[{name}]'" in done.stderr


REAL = {"brax": ("brax", "inverted_pendulum"), "playground": ("mujoco_playground", "CartpoleBalance")}


@pytest.mark.filterwarnings("ignore")  # theirs
@pytest.mark.parametrize("library", REAL)
def test_episodes_are_those_of_the_library(library):
    package, id = REAL[library]
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"pip install {library}, and run this file again")
    env = (from_brax if library == "brax" else from_playground)(id, max_episode_steps=5)
    check_contract(env)
    step = jax.jit(lambda state, action, key: advance(env, state, action, key=key))
    theirs = jax.jit(env._task.step)
    state = jax.jit(lambda key: env.initial(key=key))(jr.key(5))
    inner = jax.jit(env._task.reset)(jr.key(5))
    for t in range(5):
        action = env.action_space.sample(key=jr.key(t))
        given, inner = step(state, action, jr.key(t)), theirs(inner, action)
        state = given.state
        np.testing.assert_allclose(given.next_observation, inner.obs, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(given.reward, inner.reward, rtol=1e-4, atol=1e-5)
        assert (bool(given.terminal), bool(given.truncated)) == (bool(inner.done), t == 4)
        if inner.done:
            break
