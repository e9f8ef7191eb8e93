"""Pictures of MuJoCo models without OpenGL beside those with it, and when which is drawn."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from pictures import GLOWS, draw, find_gl, load, scene

import lerax.render
from lerax.render import HeadlessMujocoRenderer, gl, mujoco_renderer

FOUND, REASONS = find_gl()
needs_gl = pytest.mark.skipif(FOUND is None, reason=f"no OpenGL here: {REASONS}")
ROOT = str(Path(lerax.render.__file__).parents[2])
ASSETS = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"
MODELS = (
    "ant half_cheetah hopper humanoid humanoidstandup inverted_double_pendulum inverted_pendulum "
    "pusher_v5 reacher swimmer walker2d_v5"
).split()

COLORS = [f"{r} {g} {b} 1" for r in (0, 0.5, 1) for g in (0, 1) for b in (0, 1)][1:]
KINDS = """
type="sphere" size=".2" pos="-1.2 0 .4"
type="capsule" size=".1 .2" pos="-.8 0 .4" euler="30 20 0"
type="cylinder" size=".15 .2" pos="-.4 0 .4" euler="30 40 0"
type="ellipsoid" size=".1 .2 .3" pos="0 0 .4" euler="30 40 0"
type="box" size=".1 .15 .2" pos=".4 0 .4" euler="30 20 40"
type="mesh" mesh="tetra" pos=".9 0 .4"
type="mesh" mesh="ball" pos="-.2 1.9 .5"
type="hfield" hfield="field" pos="1.2 1.2 .1"
type="plane" size=".3 .2 1" pos="-1.2 .6 .9" euler="50 20 0"
type="plane" size="0 0 1"
""".strip().splitlines()
ASSET = """<mesh name="tetra" vertex="0 0 0  .5 0 0  0 .5 0  0 0 .5"/>
<mesh name="ball" builtin="sphere" params="3" scale=".5 .5 .5"/>
<hfield name="field" nrow="20" ncol="30" size=".6 .4 .3 .1"/>"""
CAMERAS = {
    "perspective": '<camera name="c" pos="0 -3 2" xyaxes="1 0 0 0 .55 .8" fovy="45"/>',
    "orthographic": '<camera pos="0 -3 2" xyaxes="1 0 0 0 .55 .8" projection="orthographic" fovy="3"/>',
}

BALL = scene('<geom size="1" material="red"/>')


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """One of the models makes MuJoCo write a file where it is loaded."""
    monkeypatch.chdir(tmp_path)


def every_kind(material, camera, **options):
    geoms = (f'<geom {kind} rgba="{c}" {material}/>' for kind, c in zip(KINDS, COLORS, strict=False))
    model, data = load(scene(*geoms, camera=CAMERAS[camera], **options))
    rows, columns = np.mgrid[:20, :30]
    model.hfield_data[:] = (0.5 + 0.5 * np.sin(rows / 3) * np.cos(columns / 4)).ravel()
    return model, data


def both(model, data, *size, **options):
    return (
        draw(model, data, *size, kind=kind, without=("REFLECTION", "HAZE"), **options)
        for kind in ("software", FOUND)
    )


@needs_gl
@pytest.mark.parametrize("camera", CAMERAS)
def test_every_kind_of_geom_is_where_opengl_draws_it_and_as_bright(camera):
    assets = ASSET + f'<material name="glows" {GLOWS}/>'
    flat = list(both(*every_kind('material="glows"', camera, assets=assets), 400, 300, shadows=False))
    light = """
      <visual><headlight ambient=".1 .1 .1" diffuse=".3 .3 .3" specular=".2 .2 .2"/></visual><worldbody>
      <light pos="0 0 4" dir=".1 .2 -1" type="directional" diffuse=".5 .5 .4" specular=".1 .1 .1"/>
      <light pos="1 -2 3" dir="-.3 .6 -1" cutoff="60" diffuse=".4 .4 .5" attenuation="1 .1 0"/></worldbody>"""
    lit = list(both(*every_kind("", camera, assets=ASSET, visual=light), 400, 300, shadows=False))
    for kind, color in zip(KINDS, COLORS, strict=False):
        color = np.array(color.split()[:3], float)
        ours, theirs = (np.abs(frame - color).max(-1) < 0.05 for frame in flat)
        assert theirs.sum() > 100, kind
        assert (ours & theirs).sum() / (ours | theirs).sum() > 0.95, kind
        means = [frame[ours & theirs].mean(0) for frame in lit]
        assert means[0] == pytest.approx(means[1], abs=0.04), kind


@needs_gl
@pytest.mark.parametrize(
    "axes", ["0 -1 0 0 0 1", "0 1 0 0 0 1", "1 0 0 0 0 1", "-1 0 0 0 0 1", "1 0 0 0 -1 .1", "1 0 0 0 1 0"]
)
def test_all_sides_of_the_sky_are_where_opengl_draws_them(axes):
    sky = '<texture type="skybox" builtin="flat" width="64" height="64"/>'
    camera = f'<camera name="c" xyaxes="{axes}" fovy="120"/>'
    model, data = load(scene('<geom size=".01" pos="0 0 -100" rgba="0 0 0 0"/>', camera=camera, assets=sky))
    sides = model.tex_data.reshape(6, 64, 64, 3)
    sides[..., 0] = np.arange(20, 260, 40)[:, None, None]
    sides[..., 1], sides[..., 2] = np.linspace(0, 255, 64)[:, None], np.linspace(0, 255, 64)
    ours, theirs = both(model, data, 160, 120)
    assert np.abs(ours - theirs).mean() < 0.02


@needs_gl
@pytest.mark.parametrize("name", MODELS)
def test_gymnasiums_models_look_as_with_opengl(name):
    ours, theirs = both(*load(str(ASSETS / f"{name}.xml")), 320, 240)
    assert (np.abs(ours - theirs).max(-1) > 0.2).mean() < 0.01  # shadows on the robot, the edges of checkers
    assert np.abs(ours - theirs).mean() < 0.02
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.97


@pytest.mark.parametrize("name", MODELS)
def test_gymnasiums_models_show_their_robot(name):
    model, data = load(str(ASSETS / f"{name}.xml"))
    frame = draw(model, data, 320, 240)
    model.geom_rgba[model.geom_bodyid > 0, 3] = 0
    robot = np.abs(frame - draw(model, data, 320, 240)).max(-1) > 0.1
    assert robot[60:180, 80:240].sum() > 50


@pytest.fixture
def ball(monkeypatch):
    mujoco_renderer._warn_once.cache_clear()
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    return load(BALL)


def opened(model, data, *size):
    renderer = HeadlessMujocoRenderer(model, *size)
    assert renderer.drawn_with is None and not renderer.is_open()
    with renderer:
        renderer.render_data(data)
        frame = renderer.as_array()
    assert not renderer.is_open()
    return renderer.drawn_with, frame


def test_without_opengl_it_draws_all_the_same(ball, monkeypatch):
    monkeypatch.setattr(gl, "_try_out", lambda *_: "no library")
    name, frame = opened(*ball, 639, 481)
    assert name == "software" and frame.shape == (481, 639, 3) and tuple(frame[240, 319]) == (255, 0, 0)


@pytest.mark.parametrize("asked", ["software", "Off", "disable"])
def test_opengl_is_not_even_looked_for_if_it_is_not_wanted(ball, monkeypatch, asked):
    monkeypatch.setattr(gl, "_try_out", lambda *_: pytest.fail("looked for"))
    monkeypatch.setenv("MUJOCO_GL", asked)
    assert opened(*ball, 64, 48)[0] == "software"


@pytest.mark.parametrize("asked", ["nonsense", "egl"])
def test_a_mujoco_gl_that_does_not_work_is_a_warning(ball, monkeypatch, asked):
    monkeypatch.setattr(gl, "_try_out", lambda *_: "no library")
    monkeypatch.setenv("MUJOCO_GL", asked)
    with pytest.warns(
        RuntimeWarning, match=f"MUJOCO_GL={asked} does not work here .*software.*apt-get install libegl1"
    ):
        name, frame = opened(*ball, 64, 48)
    assert name == "software" and frame.max() == 255


ALONE = f"""
import os, sys
before = dict(os.environ)
from lerax.render import HeadlessMujocoRenderer, gl
mujoco = gl.import_mujoco()
model = mujoco.MjModel.from_xml_string('''{BALL}''')
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
with HeadlessMujocoRenderer(model, 64, 48) as renderer:
    renderer.render_data(data)
    assert renderer.as_array().max() == 255
assert dict(os.environ) == before
print(renderer.drawn_with, "OpenGL" in sys.modules, "jax" in sys.modules)
"""


def test_a_process_that_asks_for_it_loads_no_opengl():
    without = {name: value for name, value in os.environ.items() if name not in ("MUJOCO_GL", "DISPLAY")}
    asked = without | {"PYTHONPATH": os.pathsep.join([ROOT, *sys.path]), "MUJOCO_GL": "software"}
    done = subprocess.run([sys.executable, "-c", ALONE], env=asked, capture_output=True, text=True)
    assert (done.stdout.split(), done.stderr) == (["software", "False", "False"], "")


def test_it_draws_on_any_thread_and_on_several_at_once(ball, monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "software")
    model, data = load(str(ASSETS / "ant.xml"))
    frames = []

    def work(renderer):
        renderer.render_data(data)
        frames.append(renderer.as_array())

    renderers = [HeadlessMujocoRenderer(model, 160, 120) for _ in range(3)]
    renderers[0].render_data(data)
    expected = renderers[0].as_array()
    threads = [threading.Thread(target=work, args=(renderer,)) for renderer in renderers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(frames) == 3 and expected.std() > 0
    for frame in frames:
        np.testing.assert_array_equal(frame, expected)
