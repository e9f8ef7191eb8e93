"""What a process of its own, `python -m lerax.render.trial KIND [fastest]`, finds out about an OpenGL."""

import os
import sys
import time

from .gl import has_software, import_mujoco
from .mujoco_renderer import HeadlessMujocoRenderer
from .mujoco_types import MjData, MjModel

BALL = "<mujoco><worldbody><light pos='0 0 3'/><geom size='.3' rgba='1 0 0 1'/></worldbody></mujoco>"
LIMB = (
    "<body pos='{} 0 1'><joint axis='0 1 0'/>"
    "<geom type='capsule' size='.08' fromto='0 0 0 0 0 -.6' rgba='.8 .4 .2 1'/></body>"
)
# As the tasks are: a checkered floor, a light, and a few limbs that swing over it.
ROBOT = f"""<mujoco>
  <asset>
    <texture name='checker' type='2d' builtin='checker' width='100' height='100'/>
    <material name='floor' texture='checker' texrepeat='30 30'/>
  </asset>
  <worldbody>
    <light pos='0 0 3'/>
    <camera pos='0 -3 1' xyaxes='1 0 0 0 .2 1'/>
    <geom type='plane' size='20 20 .1' material='floor'/>
    {"".join(LIMB.format(i / 3 - 1) for i in range(6))}
  </worldbody>
</mujoco>"""
FRAMES = 3  # that are timed, after the first
NICENESS = 10


def draws_with(name: str) -> bool:
    """Whether one kind of OpenGL draws a red ball that can be seen; may end the process instead."""
    model, data = _load(BALL)
    renderer = HeadlessMujocoRenderer(model, 64, 48)
    renderer._open_with(name)
    with renderer:
        renderer.render_data(data)
        return bool(renderer.as_array()[..., 0].max() > 40)


def frame_seconds(name: str) -> float:
    """The processor time (s) that a frame of 640 x 480 takes, on all cores; `name` may be `software`.

    Unlike the time on the clock it does not depend on what else the machine does, and it is what drawing
    takes from a training beside it.
    """
    mujoco = import_mujoco()
    model, data = _load(ROBOT)
    renderer = HeadlessMujocoRenderer(model)
    renderer._open_with(name)
    with renderer:
        renderer.render_data(data)
        began = time.process_time()
        for i in range(FRAMES):
            data.qpos[:] = 0.1 * i
            mujoco.mj_forward(model, data)
            renderer.render_data(data)
        return (time.process_time() - began) / FRAMES


def speaks_against(name: str, *, fastest: bool) -> str | None:
    """Why a kind of OpenGL is not what should draw here; None if nothing does."""
    if fastest:
        os.nice(NICENESS)  # a training may be running
    if not draws_with(name):
        return "it draws black pictures"
    if fastest and has_software():
        theirs, ours = frame_seconds(name), frame_seconds("software")
        if theirs > ours:
            return f"it takes {theirs:.3f} s of processor time a frame, the software renderer {ours:.3f} s"
    return None


def _load(xml: str) -> tuple[MjModel, MjData]:
    mujoco = import_mujoco()
    model = mujoco.MjModel.from_xml_string(xml)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


if __name__ == "__main__":
    try:
        sys.exit(speaks_against(sys.argv[1], fastest="fastest" in sys.argv))
    except Exception as error:  # each OpenGL raises what it likes
        sys.exit(" ".join(f"{error}".split()) or type(error).__name__)
