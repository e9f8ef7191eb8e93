"""Pictures of MuJoCo models, drawn off screen."""

import contextlib
import functools
import threading
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Protocol, runtime_checkable

import numpy as np

from lerax.errors import LeraxWarning, SettingError

from . import gl
from .base_renderer import AbstractFrameSource, RenderError, check_size
from .mujoco_types import MjData, MjModel, MjvCamera, MjvScene

MAX_GEOMS = 10_000


class HeadlessMujocoRenderer(AbstractFrameSource):
    """Draws a MuJoCo model off screen: with OpenGL, found by trying, or without it (`lerax.render.software`).

    It opens with the first picture: with what `MUJOCO_GL` names, else EGL, else OSMesa. What does not start,
    or fails later, is followed by the next, at last by `software`, which needs no OpenGL; one warning says
    what draws and why. `MUJOCO_GL` set to `off` or, which only lerax knows, `software` does without OpenGL.
    With OpenGL it serves only the thread that drew the first picture.

    Args:
        model: The `mujoco.MjModel`; it is not changed.
        width: Width of the picture, in pixels.
        height: Height of the picture, in pixels.
        camera: Name or number of a camera of the model, or a `mujoco.MjvCamera`; None for the model's first,
            or, where it has none, a view of all of it.
        shadows: Draw shadows; with OpenGL but without a graphics card they take most of the time.
        fastest: Draw with what takes the least processor time (`software` where OpenGL has no graphics card),
            not with what draws the finest pictures; what `MUJOCO_GL` names comes first all the same.

    Attributes:
        drawn_with: `egl`, `osmesa`, `glfw` or `software`; None before the first picture.

    Raises:
        ValueError: The size is not of 1 to 16,384 pixels each way, or the model has no such camera.
        RenderError: mujoco is not installed.
    """

    def __init__(
        self,
        model: MjModel,
        width: int = 640,
        height: int = 480,
        camera: str | int | MjvCamera | None = None,
        shadows: bool = True,
        *,
        fastest: bool = False,
    ):
        check_size(width, height)
        try:
            self._mujoco = gl.import_mujoco()
        except ImportError as error:
            raise RenderError(f"mujoco cannot be imported ({error}): pip install mujoco") from error
        self.model, self.width, self.height = model, width, height
        self._camera = _camera(self._mujoco, model, camera)
        self._shadows, self._fastest = shadows, fastest
        self.drawn_with: str | None = None
        self._artist: _Artist | None = None
        self._thread: int | None = None
        self._kinds: Iterator[tuple[str, str | None]] = iter(())  # what is left to try
        self._failed: list[str] = []

    def is_open(self) -> bool:
        return self._artist is not None

    def open(self) -> None:
        self._opened()

    def _opened(self) -> "_Artist":
        if self._artist is None:
            self._kinds, self._failed = gl.kinds(self._fastest), []
            return self._open_next(bool(gl.wanted()))
        if self._thread not in (None, threading.get_ident()):
            raise RenderError("a HeadlessMujocoRenderer serves one thread: make one on each that draws")
        return self._artist

    def _open_next(self, tell: bool) -> "_Artist":
        """Opens the next kind that starts; if asked to, tells what draws instead of those that did not."""
        for name, reason in self._kinds:
            if reason is None:
                try:
                    artist = self._open_with(name)
                except RenderError as error:
                    reason, tell = str(error), True
                else:
                    if tell and self._failed:
                        _warn_once(self._failed[0], name, self._fastest)
                    return artist
            self._failed.append(f"{name}: {reason}")
        raise RenderError(f"nothing draws MuJoCo's pictures here ({'; '.join(self._failed)})")

    def _open_with(self, name: str) -> "_Artist":
        what = self._mujoco, self.model, self.width, self.height
        artist = _software(*what) if name == "software" else _OpenGL(name, *what)
        self._scene = self._mujoco.MjvScene(self.model, maxgeom=MAX_GEOMS)
        self._scene.flags[self._mujoco.mjtRndFlag.mjRND_SHADOW.value] = self._shadows
        self._option = self._mujoco.MjvOption()
        self._frame = np.zeros((self.height, self.width, 3), np.uint8)
        self._thread = None if name == "software" else threading.get_ident()
        self.drawn_with, self._artist = name, artist
        return artist

    def close(self) -> None:
        if self._artist is not None:
            self._opened().close()  # on its own thread
            self._artist = self._thread = None

    def render_data(self, data: MjData) -> None:
        """Draws the state of a `mujoco.MjData` of the model, whose positions are up to date (`mj_forward`).

        Raises:
            RenderError: This is not the thread that drew the first picture with OpenGL.
        """
        artist, mujoco = self._opened(), self._mujoco
        everything = mujoco.mjtCatBit.mjCAT_ALL.value
        while True:
            mujoco.mjv_updateScene(
                self.model, data, self._option, None, self._camera, everything, self._scene
            )
            try:
                self._frame = artist.draw(self._scene)
                return
            except RenderError as error:
                self._failed.insert(0, f"{self.drawn_with}: {error}")
                artist.close()
                artist = self._open_next(tell=True)

    def as_array(self) -> np.ndarray:
        self._opened()
        return self._frame.copy()


def draw_data(renderer: Any, data: MjData, name: str) -> None:
    """Draws a simulation with what an environment's `render` was given.

    Raises:
        RenderError: It is no renderer of MuJoCo's scenes.
    """
    if not hasattr(renderer, "render_data"):
        raise RenderError(f"{name} is drawn by a HeadlessMujocoRenderer (got {type(renderer).__name__})")
    renderer.render_data(data)


@runtime_checkable
class _Artist(Protocol):
    """Draws scenes of a model."""

    def draw(self, scene: MjvScene, /) -> np.ndarray:
        """The picture of a scene: uint8, `[height, width, 3]`.

        Raises:
            RenderError: It has failed.
        """
        ...

    def close(self) -> None:
        """Gives back what it holds."""


def _software(mujoco: ModuleType, model: MjModel, width: int, height: int) -> _Artist:
    """The only door to the software renderer: all else works without that folder."""
    from .software import Software

    return Software(mujoco, model, width, height)


class _OpenGL:
    """Draws scenes of a model with one kind of OpenGL, on one thread.

    Raises:
        RenderError: It does not start.
    """

    def __init__(self, name: str, mujoco: ModuleType, model: MjModel, width: int, height: int):
        self._mujoco = mujoco
        with _saying("it does not start"):
            self._context = gl.gl_context(name)(width, height)
            self._context.make_current()
            self._target = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
            mujoco.mjr_resizeOffscreen(width, height, self._target)
            mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._target)
        self._rectangle = mujoco.MjrRect(0, 0, width, height)

    def draw(self, scene: MjvScene) -> np.ndarray:
        """The picture of a scene: uint8, `[height, width, 3]`.

        Raises:
            RenderError: OpenGL has failed.
        """
        pixels = np.empty((self._rectangle.height, self._rectangle.width, 3), np.uint8)
        with _saying("it failed while it drew"):
            self._context.make_current()
            self._mujoco.mjr_render(self._rectangle, scene, self._target)
            self._mujoco.mjr_readPixels(pixels, None, self._rectangle, self._target)
        return pixels[::-1]  # OpenGL begins at the bottom

    def close(self) -> None:
        with contextlib.suppress(Exception):  # if it is broken there is nothing to give back
            self._context.make_current()
            self._target.free()
            self._context.free()


@contextlib.contextmanager
def _saying(what: str) -> Iterator[None]:
    """Makes one kind of error of all those that OpenGL raises."""
    try:
        yield
    except Exception as error:  # each OpenGL raises what it likes
        raise RenderError(f"{what} ({' '.join(f'{error}'.split()) or type(error).__name__})") from error


@functools.cache
def _warn_once(failed: str, name: str, fastest: bool) -> None:
    subject = f"MUJOCO_GL={gl.wanted()}" if gl.wanted() else "OpenGL"
    hint = "" if fastest else f"; for OpenGL: {gl.PACKAGES}"
    instead = f"the software renderer{hint}" if name == "software" else name
    warnings.warn(f"{subject} does not work here ({failed}); using {instead}", LeraxWarning, stacklevel=3)


def _camera(mujoco: ModuleType, model: MjModel, camera: str | int | MjvCamera | None) -> MjvCamera:
    if isinstance(camera, mujoco.MjvCamera):
        return camera
    view = mujoco.MjvCamera()
    mujoco.mjv_defaultFreeCamera(model, view)
    if camera is None and model.ncam == 0:
        return view
    names = [model.camera(i).name for i in range(model.ncam)]
    number = names.index(camera) if camera in names else 0 if camera is None else camera
    if not (isinstance(number, int) and 0 <= number < model.ncam):
        raise SettingError("camera", camera, wrong=f"the model has {names}")
    view.type, view.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED.value, number
    return view
