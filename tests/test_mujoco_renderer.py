"""Pictures of MuJoCo models; which OpenGL draws them."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import mujoco
import numpy as np
import pytest
from pictures import find_gl

import lerax.render
from lerax.render import HeadlessMujocoRenderer, RenderError, gl, headless_renderer

MODEL = """
<mujoco>
  <worldbody>
    <light pos="0 0 3"/>
    <camera name="front" pos="0 -3 0" xyaxes="1 0 0 0 0 1"/>
    <camera name="side" pos="-3 0 0" xyaxes="0 -1 0 0 0 1"/>
    <body pos="0 0 .8"><freejoint/><geom type="sphere" size=".3" rgba="1 0 0 1"/></body>
    <geom type="box" pos=".8 0 0" size=".2 .2 .2" rgba="0 0 1 1"/>
  </worldbody>
</mujoco>
"""
ROOT = str(Path(lerax.render.__file__).parents[2])
FOUND, REASONS = find_gl()
needs_gl = pytest.mark.skipif(FOUND is None, reason=f"no OpenGL here: {REASONS}")


@pytest.fixture(scope="module")
def model():
    return mujoco.MjModel.from_xml_string(MODEL)


@pytest.fixture
def data(model):
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return data


def picture(model, data, *size, **options):
    with HeadlessMujocoRenderer(model, *size, **options) as renderer:
        renderer.render_data(data)
        return renderer.as_array().astype(int)


def middle(frame, color):
    """Where a colour is, as parts of the width and of the height, from the left and from the top."""
    ys, xs = np.nonzero(frame[..., color] > frame.sum(-1) * 0.6 + 20)
    return xs.mean() / frame.shape[1], ys.mean() / frame.shape[0]


@needs_gl
@pytest.mark.parametrize("size", [(320, 240), (639, 481), (1000, 700)])
def test_a_model_is_drawn_upright_at_any_size(model, data, size):
    frame = picture(model, data, *size, camera="front")
    assert frame.shape == (size[1], size[0], 3)
    (red_x, red_y), (blue_x, blue_y) = middle(frame, 0), middle(frame, 2)
    assert abs(red_x - 0.5) < 0.02 and red_y < 0.3 and blue_x > 0.6 and abs(blue_y - 0.5) < 0.1


@needs_gl
def test_cameras_are_chosen_by_name_number_or_object(model, data):
    front, side = (picture(model, data, 160, 120, camera=name) for name in ("front", "side"))
    assert np.abs(front - side).max() > 50
    np.testing.assert_array_equal(front, picture(model, data, 160, 120))
    np.testing.assert_array_equal(side, picture(model, data, 160, 120, camera=1))
    free = mujoco.MjvCamera()
    free.distance, free.lookat = 3, [0, 0, 0]
    assert np.abs(front - picture(model, data, 160, 120, camera=free)).max() > 50


@pytest.mark.parametrize("camera", ["back", 2, -1])
def test_a_camera_that_the_model_lacks_is_refused(model, camera):
    with pytest.raises(ValueError, match="front.*side.*got"):
        HeadlessMujocoRenderer(model, camera=camera)


@needs_gl
def test_the_picture_follows_the_state(model, data):
    before = middle(picture(model, data, 320, 240, camera="front"), 0)
    data.qpos[:3] = (-0.5, 0, -0.3)
    mujoco.mj_forward(model, data)
    after = middle(picture(model, data, 320, 240, camera="front"), 0)
    assert after[0] < before[0] - 0.1 and after[1] > before[1] + 0.2


@needs_gl
def test_each_thread_has_a_renderer_of_its_own(model, data):
    got = []

    def work(renderer):
        try:
            renderer.render_data(data)
            got.append(renderer.as_array())
            renderer.close()
        except RenderError as error:
            got.append(error)

    with HeadlessMujocoRenderer(model, 64, 48) as mine:
        mine.render_data(data)
        for renderer in (mine, HeadlessMujocoRenderer(model, 64, 48)):
            thread = threading.Thread(target=work, args=(renderer,))
            thread.start()
            thread.join()
        assert isinstance(got[0], RenderError) and "one thread" in str(got[0])
        np.testing.assert_array_equal(mine.as_array(), got[1])


@needs_gl
def test_an_env_with_a_model_is_drawn_with_it(model, data):
    env = SimpleNamespace(mujoco_model=model)
    renderer = headless_renderer(SimpleNamespace(unwrapped=env), 65, 49)
    assert isinstance(renderer, HeadlessMujocoRenderer) and not renderer.is_open()
    with renderer:
        renderer.render_data(data)
        assert renderer.as_array().shape == (49, 65, 3)


def test_what_does_not_draw_gives_its_reason():
    assert "mujoco.nothing" in gl._try_out("nothing", False)


DRAW = f"""
import os, sys
before = dict(os.environ)
from lerax.render import HeadlessMujocoRenderer, gl
mujoco = gl.import_mujoco()
model = mujoco.MjModel.from_xml_string('''{MODEL}''')
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
with HeadlessMujocoRenderer(model, 64, 48) as renderer:
    renderer.render_data(data)
    assert renderer.as_array().max() > 50
assert dict(os.environ) == before
print(renderer.drawn_with)
"""


def draw(**variables):
    without = {name: value for name, value in os.environ.items() if name not in ("MUJOCO_GL", "DISPLAY")}
    environment = without | {"PYTHONPATH": os.pathsep.join([ROOT, *sys.path])} | variables
    return subprocess.run([sys.executable, "-c", DRAW], env=environment, capture_output=True, text=True)


@needs_gl
def test_a_nonsense_mujoco_gl_is_a_warning():
    done = draw(MUJOCO_GL="nonsense")
    assert done.stdout.strip() == FOUND, done.stderr
    assert "MUJOCO_GL=nonsense does not work here" in done.stderr and f"using {FOUND}" in done.stderr


@needs_gl
@pytest.mark.parametrize("name", ["egl", "osmesa"])
def test_a_mujoco_gl_that_works_is_used(name):
    if gl._try_out(name, False) is not None:
        pytest.skip(f"{name} does not work here")
    done = draw(MUJOCO_GL=name)
    assert (done.stdout.strip(), done.stderr) == (name, "")
