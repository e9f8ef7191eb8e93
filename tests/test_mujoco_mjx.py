"""MJX as the physics of a task, against MuJoCo's own engine."""

import functools
import operator
import sys
from importlib import metadata
from typing import ClassVar

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr

from lerax.env import advance
from lerax.env.mujoco import (
    AbstractMujocoEnv,
    HalfCheetah,
    Hopper,
    Humanoid,
    InvertedDoublePendulum,
    InvertedPendulum,
    wobble,
)
from lerax.settings import setting

try:
    metadata.version("mujoco-mjx")
    MISSING = False
except metadata.PackageNotFoundError:
    MISSING = True
needs_mjx = pytest.mark.skipif(MISSING, reason="mujoco-mjx is not installed: pip install 'lerax[mjx]'")

# Of a number's size. float32 rounds to 6e-8 where the native physics rounds to 1e-16; a few steps of a few
# substeps made of it at most 1e-5 without contacts and 5e-5 with them. A missing force errs by 1e-2 and more.
TOLERANCE = 2e-4

# MJX compiles for half a minute even for Gymnasium's pendulum; for these models, so, for a few seconds.
compiled = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
CART = """<mujoco><option timestep="0.02"/><worldbody><body>
<joint name="x" type="slide" axis="1 0 0" damping="1"/>
<geom type="box" size="0.1 0.1 0.1" mass="1" contype="0"/><body><joint type="hinge" axis="0 1 0"/>
<geom type="capsule" fromto="0 0 0 0 0 0.6" size="0.05" mass="1" contype="0"/></body></body></worldbody>
<actuator><motor joint="x" gear="30" ctrlrange="-3 3"/></actuator></mujoco>"""
BALL = """<mujoco><option timestep="0.005"/><worldbody><geom type="plane" size="5 5 1"/><body pos="0 0 0.1">
<joint name="x" type="slide" axis="1 0 0"/><joint type="slide" axis="0 0 1"/>
<geom size="0.1" mass="1"/></body></worldbody>
<actuator><motor joint="x" ctrlrange="-1 1"/></actuator></mujoco>"""
DELAYED = CART.replace("<motor", '<motor delay="0.04" nsample="4"')


class Ball(AbstractMujocoEnv):
    """A ball pushed along the floor, which presses against it."""

    xml_file: str = setting("", "The model.")
    frame_skip: int = setting(4, "Substeps.")
    default_camera_config: tuple = setting({}, "None.")
    name: ClassVar[str] = "Ball"
    fields: ClassVar[tuple[str, ...]] = ("xpos", "cfrc_ext")

    def offsets(self, *, key):
        return wobble(self.mujoco_model, 0.005, key=key)

    def observe(self, data):
        return jnp.concatenate([data.qpos, data.qvel, data.xpos[1], data.cfrc_ext[1]])

    def track(self, data):
        return data.xpos[..., 1, :1]

    def judge(self, data, action, moved):
        return moved[0] / data.dt, data.qpos[1] < -0.05


@pytest.fixture
def made(tmp_path):
    """A task with a model of its own."""

    def make(task, model, **fields):
        file = tmp_path / "model.xml"
        file.write_text(model)
        return task(str(file), **fields)

    return make


def course(env, *, steps, lanes=3):
    """Observations, rewards and ends of some lanes, and their last states."""
    keys = jr.split(jr.key(1), steps)
    actions = jax.vmap(jax.vmap(lambda key: env.action_space.sample(key=key)))(
        jax.vmap(lambda key: jr.split(key, lanes))(keys)
    )

    @compiled
    def run():
        def step(states, given):
            action, key = given
            taken = jax.vmap(lambda s, a, k: advance(env, s, a, key=k))(states, action, jr.split(key, lanes))
            return taken.state, (taken.next_observation, taken.observation, taken.reward, taken.done)

        first = jax.vmap(lambda key: env.initial(key=key))(jr.split(jr.key(0), lanes))
        return jax.vmap(env.observation)(first), *jax.lax.scan(step, first, (actions, keys))

    return jax.device_get(run())


def assert_agree(native, mjx, *, steps, tolerance=TOLERANCE):
    first, state, stepped = course(native, steps=steps)
    other_first, other, other_stepped = course(mjx, steps=steps)
    np.testing.assert_allclose(other_first, first, rtol=tolerance, atol=tolerance)
    for one, two in zip(stepped, other_stepped, strict=True):
        np.testing.assert_allclose(two, one, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(other.steps, state.steps)
    for lane in range(len(state.steps)):
        one, two = (jax.tree.map(operator.itemgetter(lane), states) for states in (state, other))
        np.testing.assert_allclose(
            mjx.mujoco_data(two).xpos, native.mujoco_data(one).xpos, rtol=tolerance, atol=tolerance
        )
    return stepped


@needs_mjx
def test_a_course_of_several_episodes_is_that_of_the_native_physics(made):
    native, mjx = (made(InvertedPendulum, CART, physics=physics) for physics in ("native", "mjx"))
    *_, done = assert_agree(native, mjx, steps=40)
    assert done.sum() > 3, "no episode ended"


@needs_mjx
def test_contact_forces_are_those_of_the_native_physics(made):
    native, mjx = (made(Ball, BALL, physics=physics) for physics in ("native", "mjx"))
    observations, *_ = assert_agree(native, mjx, steps=5)
    assert np.abs(observations[..., 7:]).max() > 5, "the ball weighs 9.81 N"


@needs_mjx
@pytest.mark.slow
@pytest.mark.parametrize("task", [InvertedDoublePendulum, HalfCheetah])
def test_the_tasks_are_those_of_the_native_physics(task):
    assert_agree(task(), task(physics="mjx"), steps=4)


@needs_mjx
def test_a_step_has_the_derivative_that_differences_of_the_native_physics_have(made):
    native, mjx = (made(InvertedPendulum, CART, physics=physics) for physics in ("native", "mjx"))
    after = lambda env, force: env.transition(env.initial(key=jr.key(0)), force).outcome[:-2]
    slope = compiled(jax.jacfwd(lambda force: after(mjx, force)))(jnp.array([0.5]))[:, 0]
    difference = after(native, jnp.array([1.0])) - after(native, jnp.array([0.0]))
    np.testing.assert_allclose(slope, difference, rtol=2e-2)
    assert abs(slope[2]) > 0.1, "the cart does not move"


@needs_mjx
def test_a_simulation_that_becomes_unstable_ends_its_episode_with_numbers(made):
    env = made(InvertedPendulum, CART, physics="mjx")
    state = env.initial(key=jr.key(0))
    after = compiled(env.transition)(state, jnp.array([jnp.nan]))
    assert env.terminal(after) and env.reward(state, jnp.zeros(1), after) == 0
    np.testing.assert_array_equal(env.observation(after), env.observation(state))
    assert np.isfinite(env.mujoco_data(jax.device_get(after)).qpos).all()


@needs_mjx
def test_the_first_use_may_be_in_traced_code(made):
    fresh = lambda: made(InvertedPendulum, CART, physics="mjx", frame_skip=3).initial(key=jr.key(0)).outcome
    traced = compiled(fresh)()
    np.testing.assert_allclose(fresh(), traced, rtol=1e-6)


@needs_mjx
def test_it_is_drawn_from_numpy_arrays(made):
    class Drawn:
        def render_data(self, data):
            self.qpos = data.qpos.copy()

    env, renderer = made(InvertedPendulum, CART, physics="mjx"), Drawn()
    state = jax.device_get(env.initial(key=jr.key(0)))
    env.render(state, renderer)
    np.testing.assert_allclose(renderer.qpos, state.outcome[:2], rtol=1e-6)


@needs_mjx
@pytest.mark.parametrize(
    ("task", "model", "reason"),
    [
        (Humanoid, None, "it lacks mjtSolver.mjSOL_PGS"),
        (InvertedPendulum, DELAYED, "does not step what the model has of mjSTATE_HISTORY"),
        (type("Reader", (Ball,), {"fields": ("efc_force",)}), BALL, "does not compute the field efc_force"),
    ],
)
def test_what_mjx_cannot_do_is_refused_in_one_line(made, task, model, reason):
    with pytest.raises(ValueError, match=f"^physics: MJX .*{reason}.*use physics=") as error:
        made(task, model, physics="mjx") if model else task(physics="mjx")
    assert "\n" not in str(error.value)


def test_an_unknown_physics_is_refused():
    with pytest.raises(ValueError, match=r"^physics: out of range \(got 'warp'\); allowed: .*native, mjx$"):
        Hopper(physics="warp")


@pytest.mark.parametrize(
    ("version", "got"), [(None, "without it"), ("3.3.7", "and mujoco-mjx 3.3.7: .*halted")]
)
def test_without_a_fitting_mjx_it_is_said_what_to_install(monkeypatch, version, got):
    import mujoco

    def find(name):
        if version is None:
            raise metadata.PackageNotFoundError(name)
        return version

    monkeypatch.delattr(mujoco, "mjx", raising=False)
    monkeypatch.setitem(sys.modules, "mujoco.mjx", None)  # its import is halted
    monkeypatch.setattr(metadata, "version", find)
    with pytest.raises(
        ImportError, match=rf'^physics: "mjx" needs mujoco-mjx>=3.17 \(got .*{got}.*pip install'
    ):
        Hopper(frame_skip=7, physics="mjx")
