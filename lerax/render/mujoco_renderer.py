"""Pictures of MuJoCo models, drawn off screen."""

import threading
from typing import Any

import numpy as np

from .base_renderer import AbstractFrameSource, RenderError, check_size
from .gl import PACKAGES, find_gl, gl_context, import_mujoco

MAX_GEOMS = 10_000


class HeadlessMujocoRenderer(AbstractFrameSource):
    """Draws a MuJoCo model off screen with OpenGL, found by trying (`lerax.render.gl`).

    It opens with the first picture, on the thread that draws it, and serves that thread alone.

    Args:
        model: The `mujoco.MjModel`; it is not changed.
        width: Width of the picture, in pixels.
        height: Height of the picture, in pixels.
        camera: Name or number of a camera of the model, or a `mujoco.MjvCamera`; None for the model's first,
            or, where it has none, a view of all of it.
        shadows: Draw shadows; without a graphics card they take most of the time.

    Raises:
        ValueError: The size is not of 1 to 16,384 pixels each way, or the model has no such camera.
        RenderError: mujoco is not installed.
    """

    def __init__(
        self,
        model: Any,
        width: int = 640,
        height: int = 480,
        camera: str | int | Any | None = None,
        shadows: bool = True,
    ):
        check_size(width, height)
        try:
            self._mujoco: Any = import_mujoco()
        except ImportError as error:
            raise RenderError(f"mujoco cannot be imported ({error}): pip install mujoco") from error
        self.model, self.width, self.height = model, width, height
        self._camera = _camera(self._mujoco, model, camera)
        self._shadows = shadows
        self._gl: Any = None
        self._target: Any = None
        self._thread: int | None = None

    def is_open(self) -> bool:
        return self._gl is not None

    def open(self) -> None:
        if self._gl is not None:
            if self._thread != threading.get_ident():
                raise RenderError("a HeadlessMujocoRenderer serves one thread: make one on each that draws")
            return
        name, reasons = find_gl()
        if name is None:  # the place for a renderer that needs no OpenGL
            raise RenderError(f"no OpenGL draws without a display here ({reasons}); install one: {PACKAGES}")
        self._open_with(name)

    def _open_with(self, name: str) -> None:
        mujoco = self._mujoco
        try:
            gl = gl_context(name)(self.width, self.height)
            gl.make_current()
            target = mujoco.MjrContext(self.model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        except Exception as error:  # each OpenGL raises what it likes
            raise RenderError(f"OpenGL ({name}) does not start ({error}); set another MUJOCO_GL") from error
        mujoco.mjr_resizeOffscreen(self.width, self.height, target)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, target)
        self._target, self._rect = target, mujoco.MjrRect(0, 0, self.width, self.height)
        self._scene = mujoco.MjvScene(self.model, maxgeom=MAX_GEOMS)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = self._shadows
        self._option = mujoco.MjvOption()
        self._gl, self._thread = gl, threading.get_ident()

    def close(self) -> None:
        if self._gl is not None:
            self.open()  # on its own thread
            self._gl.make_current()
            self._target.free()
            self._gl.free()
            self._gl = self._thread = self._target = None

    def render_data(self, data: Any) -> None:
        """Draws the state of a `mujoco.MjData` of the model, whose positions are up to date (`mj_forward`).

        Raises:
            RenderError: There is no OpenGL, or this is not the thread that drew the first picture.
        """
        self.open()
        mujoco = self._mujoco
        everything = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(self.model, data, self._option, None, self._camera, everything, self._scene)
        self._gl.make_current()
        mujoco.mjr_render(self._rect, self._scene, self._target)

    def as_array(self) -> np.ndarray:
        self.open()
        self._gl.make_current()
        pixels = np.empty((self.height, self.width, 3), np.uint8)
        self._mujoco.mjr_readPixels(pixels, None, self._rect, self._target)
        return np.ascontiguousarray(pixels[::-1])  # OpenGL begins at the bottom


def draws_with(name: str) -> bool:
    """Whether one kind of OpenGL draws a red ball that can be seen; may end the process instead."""
    mujoco: Any = import_mujoco()
    ball = "<mujoco><worldbody><light pos='0 0 3'/><geom size='.3' rgba='1 0 0 1'/></worldbody></mujoco>"
    model = mujoco.MjModel.from_xml_string(ball)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    renderer = HeadlessMujocoRenderer(model, 64, 48)
    renderer._open_with(name)
    with renderer:
        renderer.render_data(data)
        return bool(renderer.as_array()[..., 0].max() > 40)


def _camera(mujoco: Any, model: Any, camera: Any) -> Any:
    if isinstance(camera, mujoco.MjvCamera):
        return camera
    view = mujoco.MjvCamera()
    mujoco.mjv_defaultFreeCamera(model, view)
    if camera is None and model.ncam == 0:
        return view
    names = [model.camera(i).name for i in range(model.ncam)]
    number = names.index(camera) if camera in names else 0 if camera is None else camera
    if not (isinstance(number, int) and 0 <= number < model.ncam):
        raise ValueError(f"camera: the model has {names} (got {camera!r})")
    view.type, view.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED.value, number
    return view
