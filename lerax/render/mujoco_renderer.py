"""Pictures of MuJoCo models, drawn off screen."""

import threading
from typing import Any

import numpy as np

from .base_renderer import AbstractFrameSource, RenderError, check_size
from .gl import find_gl, gl_context, import_mujoco
from .software import Software

MAX_GEOMS = 10_000


class HeadlessMujocoRenderer(AbstractFrameSource):
    """Draws a MuJoCo model off screen: with OpenGL, found by trying, or without it (`lerax.render.software`).

    It does without where no OpenGL works, or `MUJOCO_GL` is `off` or, which only lerax knows, `software`. It
    opens with the first picture; with OpenGL it serves only the thread that drew that one.

    Args:
        model: The `mujoco.MjModel`; it is not changed.
        width: Width of the picture, in pixels.
        height: Height of the picture, in pixels.
        camera: Name or number of a camera of the model, or a `mujoco.MjvCamera`; None for the model's first,
            or, where it has none, a view of all of it.
        shadows: Draw shadows; with OpenGL but without a graphics card they take most of the time.

    Attributes:
        drawn_with: `egl`, `osmesa`, `glfw` or `software`; None before the first picture.

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
        self.drawn_with: str | None = None
        self._artist: _OpenGL | Software | None = None
        self._thread: int | None = None

    def is_open(self) -> bool:
        return self._artist is not None

    def open(self) -> None:
        self._opened()

    def _opened(self) -> "_OpenGL | Software":
        if self._artist is None:
            return self._open_with(find_gl()[0] or "software")
        if self._thread not in (None, threading.get_ident()):
            raise RenderError("a HeadlessMujocoRenderer serves one thread: make one on each that draws")
        return self._artist

    def _open_with(self, name: str) -> "_OpenGL | Software":
        what = self._mujoco, self.model, self.width, self.height
        artist = Software(*what) if name == "software" else _OpenGL(name, *what)
        self._scene = self._mujoco.MjvScene(self.model, maxgeom=MAX_GEOMS)
        self._scene.flags[self._mujoco.mjtRndFlag.mjRND_SHADOW.value] = self._shadows
        self._option = self._mujoco.MjvOption()
        self._thread = None if name == "software" else threading.get_ident()
        self.drawn_with, self._artist = name, artist
        return artist

    def close(self) -> None:
        if self._artist is not None:
            self._opened().close()  # on its own thread
            self._artist = self._thread = None

    def render_data(self, data: Any) -> None:
        """Draws the state of a `mujoco.MjData` of the model, whose positions are up to date (`mj_forward`).

        Raises:
            RenderError: OpenGL does not start, or this is not the thread that drew the first picture with it.
        """
        artist, mujoco = self._opened(), self._mujoco
        everything = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(self.model, data, self._option, None, self._camera, everything, self._scene)
        artist.draw(self._scene)

    def as_array(self) -> np.ndarray:
        return self._opened().pixels()


class _OpenGL:
    """Draws scenes of a model with one kind of OpenGL, on one thread."""

    def __init__(self, name: str, mujoco: Any, model: Any, width: int, height: int):
        self._mujoco = mujoco
        try:
            self._context = gl_context(name)(width, height)
            self._context.make_current()
            self._target = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        except Exception as error:  # each OpenGL raises what it likes
            raise RenderError(f"OpenGL ({name}) does not start ({error}); set MUJOCO_GL=off") from error
        mujoco.mjr_resizeOffscreen(width, height, self._target)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._target)
        self._rectangle = mujoco.MjrRect(0, 0, width, height)

    def draw(self, scene: Any) -> None:
        self._context.make_current()
        self._mujoco.mjr_render(self._rectangle, scene, self._target)

    def pixels(self) -> np.ndarray:
        self._context.make_current()
        pixels = np.empty((self._rectangle.height, self._rectangle.width, 3), np.uint8)
        self._mujoco.mjr_readPixels(pixels, None, self._rectangle, self._target)
        return np.ascontiguousarray(pixels[::-1])  # OpenGL begins at the bottom

    def close(self) -> None:
        self._context.make_current()
        self._target.free()
        self._context.free()


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
