"""What the software renderer draws again, against pictures that are drawn for the first time."""

import mujoco
import numpy as np
import pytest
from pictures import load, scene

from lerax.render import HeadlessMujocoRenderer

SIZE = 160, 120
CAMERA = '<camera name="c" pos="0 -3 2" xyaxes="1 0 0 0 .6 1"/>'
CUBE = " ".join(f"{x} {y} {z}" for x in (-1, 1) for y in (-1, 1) for z in (-1, 1))
ASSETS = f"""<mesh name="m" scale=".2 .1 .1" vertex="{CUBE}"/>
  <texture type="skybox" builtin="gradient" rgb1="1 .5 0" rgb2="0 0 1" width="64" height="64"/>
  <texture name="t" type="2d" builtin="checker" rgb1=".9 .9 .9" rgb2=".4 .4 .4" width="64" height="64"/>
  <material name="t" texture="t" texrepeat="2 2" texuniform="true"/>"""
THINGS = (
    '<geom name="floor" type="plane" size="3 3 1" material="t"/>',
    '<geom name="wall" type="plane" size="1 1 1" pos="0 2 1" euler="80 0 0"/>',
    '<body name="box" pos=".4 0 .5"><geom name="box" type="box" size=".2 .1 .3"/></body>',
    '<body name="clear" pos="-.4 0 .6"><geom name="clear" size=".3" rgba="0 1 0 .4"/></body>',
    '<body name="ahead" pos="-.5 -.8 .6"><geom type="capsule" size=".1 .2" rgba="0 0 1 .4"/></body>',
    '<body name="mesh" pos="-.7 .5 .4"><geom name="mesh" type="mesh" mesh="m" group="1"/></body>',
    '<light name="lamp" pos="1 -1 3" dir="-.3 .3 -1" cutoff="60"/>',
    '<light name="sun" type="directional" dir="1 .5 -1" diffuse=".3 .3 .3"/>',
)


def renderer_of(model, like=None):
    """A renderer, that has drawn nothing, of the same picture as another one."""
    renderer = HeadlessMujocoRenderer(model, *SIZE)
    renderer._open_with("software")
    if like is not None:
        renderer._camera, renderer._option = like._camera, like._option
        renderer._scene.flags[:] = like._scene.flags
    return renderer


def taken(renderer, data):
    mujoco.mj_forward(renderer.model, data)
    renderer.render_data(data)
    return renderer.as_array().astype(int)


def move(name, *by):
    def apply(model, renderer):
        model.body(name).pos += by

    return apply


def assign(part, field, value):
    def apply(model, renderer):
        getattr(getattr(model, part[0])(part[1]), field)[:] = value

    return apply


def flag(name, value):
    def apply(model, renderer):
        renderer._scene.flags[getattr(mujoco.mjtRndFlag, f"mjRND_{name}").value] = value

    return apply


def without_meshes(model, renderer):
    renderer._option.geomgroup[1] = 0


def nothing(model, renderer):
    pass


CHANGES = {
    "a box": move("box", 0.1, 0.1, 0.1),
    "a little": move("box", 0.003, 0, 0),
    "out of the picture": move("box", 5, 0, 0),
    "something clear": move("clear", 0.05, 0, 0.1),
    "which of two clear things is nearer": move("clear", 0, -1.2, 0),
    "a mesh": move("mesh", 0.1, 0, 0.2),
    "fewer things": without_meshes,
    "a turn": assign(("body", "box"), "quat", (0.9, 0.1, 0.2, 0.3)),
    "a color": assign(("geom", "box"), "rgba", (1, 0, 0, 1)),
    "a size": assign(("geom", "box"), "size", (0.1, 0.2, 0.3)),
    "a wall": assign(("geom", "wall"), "pos", (0, 1.5, 1)),
    "a checker": assign(("mat", "t"), "texrepeat", (3, 3)),
    "a place of a light": assign(("light", "lamp"), "pos", (0, -1, 3)),
    "a color of a light": assign(("light", "sun"), "diffuse", (0.6, 0, 0)),
    "a place of the camera": assign(("cam", "c"), "pos", (0.1, -3, 2)),
    "an opening of the camera": assign(("cam", "c"), "fovy", 50),
    "no shadows": flag("SHADOW", 0),
    "no sky": flag("SKYBOX", 0),
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_is_seen(name):
    model, data = load(scene(*THINGS, camera=CAMERA, assets=ASSETS, visual=""))
    with renderer_of(model) as renderer:
        before = taken(renderer, data)
        CHANGES[name](model, renderer)
        after = taken(renderer, data)
        with renderer_of(model, renderer) as other:
            expected = taken(other, data)
    assert np.abs(expected - before).max() > 10
    np.testing.assert_allclose(after, expected, atol=1)


def test_many_pictures_after_each_other_are_as_if_each_were_the_first():
    model, data = load(scene(*THINGS, camera=CAMERA, assets=ASSETS, visual=""))
    generator = np.random.default_rng(0)
    with renderer_of(model) as renderer, renderer_of(model) as other:
        for _ in range(30):
            for name in generator.choice(["box", "clear", "ahead"], 2):
                model.body(name).pos = generator.uniform((-1.5, -2.5, 0), (1.5, 1, 1.5))
            other._artist._shown = None
            np.testing.assert_allclose(taken(renderer, data), taken(other, data), atol=1)


@pytest.mark.parametrize("name, left", [("box", False), ("clear", True), (None, None)])
def test_what_has_not_changed_is_not_drawn_again(name, left):
    """It is painted over, and stays so."""
    model, data = load(scene(*THINGS[2:4], camera=CAMERA, assets=ASSETS, visual=""))
    with renderer_of(model) as renderer:
        taken(renderer, data)
        renderer._artist._color[:] = 77
        if name:
            model.body(name).pos[2] += 0.1
        again = (taken(renderer, data) != 77).any(-1)
    assert again.any() == (name is not None)
    half = again[:, 80:] if left else again[:, :80]
    assert not half.any()


def test_a_picture_after_one_that_failed_is_whole(monkeypatch):
    model, data = load(scene(*THINGS, camera=CAMERA, assets=ASSETS, visual=""))
    with renderer_of(model) as renderer, renderer_of(model) as other:
        taken(renderer, data)
        model.body("box").pos[2] += 0.1
        with monkeypatch.context() as patched:
            patched.setattr("lerax.render.software.renderer._edges", lambda owner: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                taken(renderer, data)
        np.testing.assert_allclose(taken(renderer, data), taken(other, data), atol=1)
