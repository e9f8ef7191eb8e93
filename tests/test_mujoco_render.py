"""How MuJoCo's tasks are drawn; without OpenGL, so that every machine can."""

import equinox as eqx
import gymnasium
import jax
import mujoco
import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr
from pictures import find_gl
from toys import frame

from lerax.env.mujoco import Hopper, InvertedDoublePendulum, InvertedPendulum, Reacher
from lerax.render import HeadlessPygameRenderer, RenderError, headless_renderer

FOUND, REASONS = find_gl()
SIZE = 160, 120


@pytest.fixture
def software(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "off")


def first(env):
    return jax.device_get(env.initial(key=jr.key(0)))


def shifted(env, state, number, by):
    """The state with one position changed."""
    words = np.array(state.row)
    words.view(np.float64)[1 + number] += by  # after the time
    return eqx.tree_at(lambda s: s.row, state, words)


def cart(picture):
    """Mean column of what is as yellow as the cart."""
    red, green, blue = (picture[..., i] for i in range(3))
    return np.nonzero((red > 60) & (green > 60) & (blue < 40))[1].mean()


def test_the_picture_follows_the_state(software):
    env = InvertedPendulum()
    state = first(env)
    columns = [cart(frame(env, shifted(env, state, 0, by), *SIZE)) for by in (-0.5, 0.0, 0.5)]
    assert columns[1] == pytest.approx(SIZE[0] / 2, abs=3)
    # By half a metre, at 2.04 m and 45 degrees of opening from bottom to top.
    metre = SIZE[1] / 2 / np.tan(np.pi / 8) / 2.04
    np.testing.assert_allclose(np.diff(columns), 0.5 * metre, rtol=0.2)


def test_stacked_states_are_drawn_one_after_the_other(software):
    env = Hopper()
    step = lambda s, _: (env.transition(s, jnp.ones(3)), s)
    states = jax.jit(lambda s: jax.lax.scan(step, s, length=3)[1])(env.initial(key=jr.key(0)))
    frames = []

    with headless_renderer(env, *SIZE) as renderer:
        draw = renderer.render_data
        renderer.render_data = lambda data: (draw(data), frames.append(renderer.as_array()))
        env.render_stacked(states, renderer)
        assert renderer.drawn_with == "software"
    assert len(frames) == 3
    for i, picture in enumerate(frames):
        host = jax.tree.map(lambda x, i=i: np.asarray(x[i]), jax.device_get(states))
        np.testing.assert_array_equal(picture, frame(env, host, *SIZE))
    assert (frames[0] != frames[2]).any()


def test_the_models_own_camera_is_taken_first(software):
    env = Hopper(default_camera_config={"distance": 30.0})
    assert env.mujoco_camera is None and env.mujoco_model.camera(0).name == "track"
    tracked = frame(env, first(env), *SIZE)
    np.testing.assert_array_equal(tracked, frame(Hopper(), first(Hopper()), *SIZE))
    far = frame(env, shifted(env, first(env), 0, 7.0), *SIZE)
    brown = lambda picture: np.nonzero(picture[..., 0] > picture[..., 2] + 40)[1].mean()
    assert brown(far) == pytest.approx(brown(tracked), abs=3), "the camera goes along"


def test_a_model_without_a_camera_is_looked_at_as_configured(software):
    env = InvertedDoublePendulum()
    camera = env.mujoco_camera
    np.testing.assert_allclose(camera.lookat, [0.0, 0.0, 0.1225])
    assert (camera.distance, camera.type) == (4.1225, mujoco.mjtCamera.mjCAMERA_FREE.value)
    near, far = (InvertedDoublePendulum(default_camera_config={"distance": d}) for d in (3.0, 6.0))
    yellow = lambda picture: ((picture[..., 0] > 60) & (picture[..., 2] < 40)).sum()
    sizes = [yellow(frame(one, first(one), *SIZE)) for one in (near, far)]
    assert sizes[0] > 2.5 * sizes[1] > 0
    following = InvertedDoublePendulum(default_camera_config={"trackbodyid": 1}).mujoco_camera
    assert (following.type, following.trackbodyid) == (mujoco.mjtCamera.mjCAMERA_TRACKING.value, 1)
    with pytest.raises(ValueError, match="default_camera_config: .* has no 'distanse'"):
        _ = InvertedDoublePendulum(default_camera_config={"distanse": 3.0}).mujoco_camera


@pytest.mark.skipif(FOUND is None, reason=f"no OpenGL here: {REASONS}")
@pytest.mark.parametrize("cls", [InvertedPendulum, Reacher])
def test_the_picture_is_gymnasiums(cls, monkeypatch):
    """Of models without a camera, drawn by the same OpenGL."""
    env = cls()
    state = first(env)
    ours = frame(env, state, *SIZE)
    monkeypatch.setenv("MUJOCO_GL", FOUND)
    options = {"render_mode": "rgb_array", "width": SIZE[0], "height": SIZE[1]}
    reference = gymnasium.make(cls.name, disable_env_checker=True, **options).unwrapped
    reference.reset(seed=0)
    data = env.mujoco_data(state)
    reference.set_state(data.qpos, data.qvel)
    apart = np.abs(ours - reference.render().astype(int))
    assert np.ptp(ours) > 60 and apart.mean() < 3


def test_a_renderer_of_another_kind_is_refused():
    env = Hopper()
    with pytest.raises(RenderError, match="Hopper-v5 is drawn by a HeadlessMujocoRenderer .*Pygame"):
        env.render(first(env), HeadlessPygameRenderer(*SIZE))
