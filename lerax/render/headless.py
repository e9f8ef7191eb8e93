"""The renderer that draws an environment off screen."""

from typing import Any

from lerax.errors import SettingError

from .base_renderer import RenderError
from .color import WHITE
from .frames import FrameRenderer
from .mujoco_renderer import HeadlessMujocoRenderer
from .pygame_renderer import HeadlessPygameRenderer


def headless_renderer(
    env: Any,
    width: int = 640,
    height: int = 480,
    camera: str | int | None = None,
    *,
    fastest: bool = False,
) -> HeadlessMujocoRenderer | HeadlessPygameRenderer | FrameRenderer:
    """A renderer that draws an environment, wrapped or not, off screen at the size given.

    Args:
        env: The environment; if its `unwrapped` has a `mujoco_model`, its scene is drawn, else what
            its `default_renderer` shows is drawn with pygame, or its own pictures are fitted into the size.
        width: Width of the picture, in pixels.
        height: Height of the picture, in pixels.
        camera: Name or number of one of the model's cameras, where there is a model; None for what the
            environment's `mujoco_camera` says, if it has one.
        fastest: Draw with what takes the least processor time, not with what draws the finest pictures.

    Raises:
        RenderError: The environment cannot be drawn, or what draws it is not installed.
        ValueError: The size is not of 1 to 16,384 pixels each way, or there is no such camera.
    """
    model = getattr(env.unwrapped, "mujoco_model", None)
    if model is not None:
        camera = getattr(env.unwrapped, "mujoco_camera", None) if camera is None else camera
        return HeadlessMujocoRenderer(model, width, height, camera, fastest=fastest)
    if camera is not None:
        raise SettingError("camera", camera, wrong=f"{env.name} has none to choose from")
    default = env.default_renderer()
    if isinstance(default, FrameRenderer):
        return FrameRenderer(width, height)
    if not hasattr(default, "transform"):
        said = f"its `default_renderer` gives {type(default).__name__}, and not a renderer"
        raise RenderError(f"{env.name} cannot be drawn: {said}")
    background = getattr(default, "background_color", WHITE)
    return HeadlessPygameRenderer(width, height, background, default.transform)
