"""What goes wrong in a MuJoCo task: arguments, derivatives, simulations that cannot go on, memory."""

import os
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import equinox as eqx
import gymnasium
import jax
import mujoco
import numpy as np
import pytest
import terminal
from jax import numpy as jnp
from jax import random as jr

import lerax
from lerax.env.mujoco import AbstractMujocoEnv, Ant, HalfCheetah, Hopper, model
from lerax.errors import LeraxWarning
from lerax.settings import setting

ROOT = str(Path(lerax.__file__).parents[1])


@pytest.fixture(autouse=True)
def clean(tmp_path, monkeypatch):
    """In a folder of its own, where nothing has been warned of yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(model, "_warned", set())


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"xml_file": "ant.xml"},
            ValueError,
            "xml_file: a model for another task .got 'ant.xml': free, hinge",
        ),
        ({"xml_file": "swimmer.xml"}, ValueError, "xml_file: .*slide x, slide y, .*slide x, slide z, hinge$"),
        ({"xml_file": "nothing.xml"}, FileNotFoundError, "xml_file: not found .*'nothing.xml'.*hopper.xml"),
        ({"frame_skip": 0}, ValueError, "frame_skip: out of range .*0.*at least 1"),
        ({"threads": -1}, ValueError, "threads: out of range .*-1.*at least 0"),
        (
            {"healthy_z_range": (2.0, 0.7)},
            ValueError,
            "z_range: not an interval .*the lower one first",
        ),
        ({"healthy_z_range": 0.7}, ValueError, "z_range: not an interval .*got 0.7"),
        ({"default_camera_config": {"lens": 1.0}}, ValueError, "has no 'lens' .*; allowed: .*distance"),
        ({"default_camera_config": {"distance": (1, 2)}}, ValueError, "not a value for distance"),
        ({"max_episode_steps": 0}, ValueError, "max_episode_steps: out of range .*0.*at least 1.* or none"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(options, error, message):
    with pytest.raises(error, match=message) as caught:
        Hopper(**options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["<mujoco><nonsense/></mujoco>", "nothing", ""])
def test_a_file_that_is_no_model_is_refused(text):
    Path("bad.xml").write_text(text)
    with pytest.raises(ValueError, match="xml_file: bad.xml is no valid model") as caught:
        Hopper(xml_file="bad.xml")
    assert "\n" not in str(caught.value)


class Loose(Hopper):
    weight: float = 1.0


class Weighted(Hopper):
    weight: Any = eqx.field(default=1.0, static=True)


@pytest.mark.filterwarnings("ignore:A JAX array is being set as static")
@pytest.mark.parametrize("weight", [[1.0, 2.0], np.ones(2), jnp.ones(2)])
def test_attributes_of_a_task_are_no_arrays(weight):
    with pytest.raises(TypeError, match=r"weight: must be a number, text or a tuple of these \(got"):
        Weighted(weight=weight)
    assert Weighted(weight=(1.0, 2.0)).weight == (1.0, 2.0)


def test_attributes_of_a_task_are_static():
    with pytest.raises(TypeError, match="weight: must be static.*lerax.settings.setting"):
        Loose()


class Shapeless(Hopper):
    def observe(self, data):
        return data.qpos[1]


def test_an_observation_is_a_vector():
    with pytest.raises(ValueError, match=r"^Hopper-v5: observe must return a vector \(got the shape \(\)\)$"):
        Shapeless()


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit, lambda f: jax.vmap(f, axis_size=2)])
def test_a_gradient_through_a_step_is_refused(wrap):
    env = Hopper()
    state = env.initial(key=jr.key(0))
    value = lambda action: wrap(lambda: env.transition(state, action).outcome.sum())().sum()
    with pytest.raises(TypeError, match="Hopper-v5: MuJoCo's engine has no derivatives.*stop_gradient"):
        jax.grad(value)(jnp.zeros(3))
    assert not jax.grad(lambda action: value(jax.lax.stop_gradient(action)))(jnp.zeros(3)).any()


def play(env, state, actions):
    """Observations, rewards and ends of the steps, and what was warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        seen = []
        for action in actions:
            state = env.transition(state, jnp.asarray(action))
            seen.append(np.asarray(state.outcome))
    assert all(warning.category is LeraxWarning for warning in caught)
    return np.array(seen), [str(warning.message) for warning in caught]


@pytest.mark.parametrize("cls", [HalfCheetah, Ant])
def test_nan_actions_are_what_they_are_in_gymnasium(cls):
    env, reference = cls(), gymnasium.make(cls.name).unwrapped
    state = env.initial(key=jr.key(0))
    data = env.mujoco_data(jax.device_get(state))
    reference.reset()
    mujoco.mj_resetData(reference.model, reference.data)
    reference.set_state(data.qpos, data.qvel)
    actions = np.zeros((8, *env.action_space.shape), np.float32)
    actions[2:4, 1] = np.nan
    expected = [(*step[0], step[1], step[2]) for step in map(reference.step, actions)]
    seen, warned = play(env, state, actions)
    np.testing.assert_allclose(seen, np.array(expected, np.float64), rtol=1e-5, atol=1e-6)
    assert np.isnan(seen[2:4, -2]).all() and np.isfinite(np.delete(seen, [2, 3], axis=0)).all()
    (text,) = warned
    assert text.startswith(f"{env.name}: MuJoCo: Nan, Inf or huge value in CTRL at ACTUATOR 1")
    assert play(env, state, actions)[1] == [], "it is said once"
    # Gymnasium's engine writes a log, unless its warnings went to us.
    assert not Path("MUJOCO_LOG.TXT").exists()


def test_an_unstable_simulation_is_reset_by_the_engine_and_goes_on():
    env, reference = Ant(), gymnasium.make("Ant-v5").unwrapped
    state = env.initial(key=jr.key(0))
    data = env.mujoco_data(jax.device_get(state))
    data.qvel[3] = 1e11
    reference.reset()
    mujoco.mj_resetData(reference.model, reference.data)
    reference.set_state(data.qpos, data.qvel)
    words = np.asarray(state.row).copy()
    numbers = words.view(np.float64)
    at = 1 + env.mujoco_model.nq + 3  # after the time and the positions
    numbers[at] = 1e11
    state = type(state)(jnp.asarray(words), state.outcome, state.steps)
    expected = [reference.step(np.zeros(8, np.float32)) for _ in range(5)]
    seen, warned = play(env, state, np.zeros((5, 8), np.float32))
    np.testing.assert_allclose(seen[:, :-2], [step[0] for step in expected], rtol=1e-5, atol=1e-6)
    assert len(warned) == 1 and "value in QVEL at DOF 3. The simulation is unstable" in warned[0]


PILE = """<mujoco><size memory="64K"/><worldbody><geom type="plane" size="5 5 .1"/>{}</worldbody></mujoco>"""
BOX = '<body pos="0 0 {}"><freejoint/><geom type="box" size=".1 .1 .1"/></body>'


class Pile(AbstractMujocoEnv):
    """Boxes that fall onto each other, and have more contacts then than the model's memory can hold."""

    xml_file: str = setting("pile.xml", "The model.")
    frame_skip: int = setting(1, "Substeps.")
    default_camera_config: tuple = setting({}, "None.")

    name: ClassVar[str] = "Pile"

    def offsets(self, *, key):
        up = jnp.where(jr.bernoulli(key), 1000.0, 0.0)
        return jnp.zeros(self.mujoco_model.nq).at[2::7].set(up), jnp.zeros(self.mujoco_model.nv)

    def observe(self, data):
        return data.qpos[2:3]

    def judge(self, data, action, moved):
        return data.qpos[2], False


class Forces(Pile):
    fields: ClassVar[tuple[str, ...]] = ("cfrc_ext",)


@pytest.mark.parametrize("cls", [Pile, Forces])
def test_where_the_engine_gives_up_the_episode_ends_and_others_go_on(cls):
    Path("pile.xml").write_text(PILE.format("".join(BOX.format(1 + 0.25 * i) for i in range(8))))
    env = cls()
    keys = jr.split(jr.key(0), 4)
    high = np.array([bool(jr.bernoulli(key)) for key in keys])
    assert high.any() and not high.all()
    states = jax.vmap(lambda key: env.initial(key=key))(keys)
    step = jax.vmap(env.transition)
    loop = lambda s: jax.lax.scan(lambda s, _: (step(s, jnp.zeros((4, 0))),) * 2, s, length=260)[1]
    with pytest.warns(RuntimeWarning, match="Pile: MuJoCo: the engine gave up.*mj_stackAlloc") as warned:
        seen = np.asarray(jax.jit(loop)(states).outcome)
    assert len(warned) == 1
    heights, rewards, ends = (seen[..., i] for i in range(3))
    assert not ends[:, high].any()
    assert (np.diff(heights[:, high], axis=0) < 0).all(), "what falls goes on falling"
    over = np.argmax(ends[:, ~high], axis=0)
    assert (over > 100).all() and (over == over[0]).all()
    assert (ends[over[0] :, ~high] == 1).all() and (rewards[over[0] :, ~high] == 0).all()


QUIET = """
import os
from jax import random as jr
from lerax.env.mujoco import HalfCheetah

HalfCheetah().initial(key=jr.key(0)).outcome.block_until_ready()
print(os.listdir("."))
"""

STEADY = """
import jax, resource
from jax import numpy as jnp, random as jr
from lerax.env import advance
from lerax.env.mujoco import InvertedPendulum

env, lanes = InvertedPendulum(), 64

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20

@jax.jit
def play(states, key):
    def step(carry, key):
        one = lambda s, k: advance(env, s, jr.uniform(k, (1,), minval=-3, maxval=3), key=k)
        taken = jax.vmap(one)(carry, jr.split(key, lanes))
        return taken.state, taken.done.sum()
    states, done = jax.lax.scan(step, states, jr.split(key, 1000))
    return states, done.sum()

states = jax.vmap(lambda key: env.initial(key=key))(jr.split(jr.key(0), lanes))
ended = 0
for i in range(6):
    states, done = play(states, jr.key(i))
    ended += int(done)
    if i == 0:
        before = resident()
print(resident() - before, ended)
"""


def process(program, folder):
    python = {"PYTHONPATH": os.pathsep.join([ROOT, *sys.path])}
    done = terminal.finish([sys.executable, "-W", "error", "-c", program], folder, python)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_what_mujoco_says_of_a_model_file_is_not_logged(tmp_path):
    assert process(QUIET, tmp_path).strip() == "[]"


def test_memory_does_not_grow(tmp_path):
    """Over 320,000 steps and the ends of thousands of episodes."""
    grown, ended = process(STEADY, tmp_path).split()
    assert float(grown) < 8 and int(ended) > 1000


def heavier(env, state):
    """The height of a free box after a step, from the same beginning."""
    return float(jax.jit(lambda state: env.transition(state, jnp.zeros(0)))(state).outcome[0])


@pytest.mark.parametrize("included", [False, True])
def test_a_model_whose_file_has_changed_is_read_again(included):
    """The relative: what the file includes. An environment that is there already stays as it is."""
    text = PILE.format(BOX.format(5)).replace("<worldbody>", '<option gravity="0 0 {}"/><worldbody>')
    if included:
        Path("pile.xml").write_text('<mujoco><include file="part.xml"/></mujoco>')
    file = Path("part.xml" if included else "pile.xml")
    file.write_text(text.format(-10))
    old, same = Pile(), Pile()
    assert old == same and old.mujoco_model is same.mujoco_model
    state, fallen = old.initial(key=jr.key(0)), heavier(old, old.initial(key=jr.key(0)))
    file.write_text(text.format(-90))
    new = Pile()
    assert new != old and (new.mujoco_model.opt.gravity[2], old.mujoco_model.opt.gravity[2]) == (-90, -10)
    assert heavier(old, state) == fallen > heavier(new, state)
    assert new.dt == new.mujoco_model.opt.timestep


def test_warnings_are_told_from_several_threads():
    """The relative: each of them takes what is there until nothing is left."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            for _ in range(200):
                model._said.extend([model.DEPRECATED] * 20)
                for told in [pool.submit(model.tell_warnings, "a model") for _ in range(4)]:
                    told.result()
    finally:
        sys.setswitchinterval(interval)
    assert not model._said
