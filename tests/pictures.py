"""Small MuJoCo scenes, and pictures of them by a renderer of choice."""

import mujoco

from lerax.render import HeadlessMujocoRenderer, gl

GLOWS = 'specular="0" emission="1"'  # shows its colour, whatever shines
DARK = '<visual><headlight ambient="0 0 0" diffuse="0 0 0" specular="0 0 0"/></visual>'
AHEAD = '<camera name="c" xyaxes="1 0 0 0 0 1" fovy="60"/>'  # looks along y
DOWN = '<camera name="c" pos="0 0 10" projection="orthographic" fovy="4"/>'  # shows a height of 4


def find_gl():
    """The OpenGL that draws here, or None, and why others do not."""
    reasons = []
    for name, reason in gl.kinds():
        if reason is None:
            return None if name == "software" else name, "; ".join(reasons)
        reasons.append(f"{name}: {reason}")


def scene(*things, camera=DOWN, assets="", visual=DARK):
    """MJCF of a scene with the materials red, green and blue."""
    return f"""<mujoco>{visual}<asset><material name="red" rgba="1 0 0 1" {GLOWS}/>
      <material name="green" rgba="0 1 0 1" {GLOWS}/><material name="blue" rgba="0 0 1 1" {GLOWS}/>
      {assets}</asset><worldbody>{camera}{"".join(things)}</worldbody></mujoco>"""


def load(xml):
    """A model of a text or a file, and the data of its first state."""
    text = xml.lstrip().startswith("<")
    model = mujoco.MjModel.from_xml_string(xml) if text else mujoco.MjModel.from_xml_path(xml)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


def draw(model, data, *size, kind="software", without=(), **options):
    """A picture of numbers in [0, 1]; `without` names flags of the scene to switch off."""
    renderer = HeadlessMujocoRenderer(model, *size, **options)
    renderer._open_with(kind)
    for flag in without:
        renderer._scene.flags[getattr(mujoco.mjtRndFlag, f"mjRND_{flag}").value] = 0
    with renderer:
        renderer.render_data(data)
        return renderer.as_array() / 255


def picture(*things, size=(320, 320), shadows=False, **options):
    """A scene drawn without OpenGL."""
    return draw(*load(scene(*things, **options)), *size, shadows=shadows)
