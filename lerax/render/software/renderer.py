"""Pictures of scenes: one ray through each pixel, and more where two things meet."""

from collections.abc import Sequence
from types import ModuleType

import numpy as np

from lerax.render.mujoco_types import MjModel, MjvScene

from .change import Shown, changed
from .light import Light, power
from .scene import SceneReader
from .shapes import AbstractShape, Hits
from .solids import Vector, dot, unit
from .view import SAMPLES, Canvas, View

SHININESS = 128  # the exponent of a highlight whose shininess is 1
SHADOW, SIDE = 1 << 16, 1 << 24  # tell a thing from itself in a shadow, or on another side


class Software:
    """Draws scenes of a model in NumPy, without OpenGL, on any thread; what has not changed is drawn once.

    Light, highlights, transparency, the checker of a plane and the sky are MuJoCo's. Shadows fall on planes
    only, there are no reflections and no fog, and other textures are drawn in their mean colour.

    Args:
        mujoco: The module.
        model: The `mujoco.MjModel`; it is not changed.
        width: Width of the picture, in pixels.
        height: Height of the picture, in pixels.
    """

    def __init__(self, mujoco: ModuleType, model: MjModel, width: int, height: int):
        self._mujoco, self._reader = mujoco, SceneReader(mujoco, model)
        self._color = np.zeros((3, height, width), np.uint8)
        self._shown: Shown | None = None  # what is in it

    def draw(self, scene: MjvScene) -> np.ndarray:
        """The picture of a `mujoco.MjvScene` of the model: uint8, `[height, width, 3]`."""
        _, height, width = self._color.shape
        view = View(self._mujoco.mjv_averageCamera(*scene.camera), width, height)
        now = Shown(
            view,
            self._reader.background(scene, view),
            self._reader.lights(scene),
            self._reader.shapes(scene, view),
            bool(scene.flags[self._mujoco.mjtRndFlag.mjRND_SHADOW.value]),
        )
        with np.errstate(all="ignore"):  # what a ray misses is NaN
            box = changed(self._shown, now)
            if box is not None:
                self._redraw(now, box)
        self._shown = now
        return np.stack(list(self._color), -1)

    def _redraw(self, shown: Shown, box: np.ndarray) -> None:
        """Draws some pixels again, and those beside them, which may be edges now or have been."""
        # One more is drawn around them: whether a pixel is an edge is seen from all its neighbours.
        new, drawn = (shown.view.part(box, margin) for margin in (1, 2))
        top, left = new.row - drawn.row, new.column - drawn.column
        color = _draw(shown, drawn)[:, top : top + new.height, left : left + new.width]
        self._color[:, *new.window] = color

    def close(self) -> None:
        """Does nothing: there is nothing to give back."""


def _draw(shown: Shown, view: View) -> np.ndarray:
    """The colours of a part of a picture: uint8, `[3, height, width]`."""
    background = shown.background[:, *view.window]
    canvas = Canvas(view, background)
    _paint(canvas, shown)
    edges = _edges(canvas.owner)
    fine = Canvas(view, background, edges)
    _paint(fine, shown)
    mixed = fine.color.reshape(3, len(SAMPLES), -1).mean(1, dtype=np.float32) + np.float32(0.5)
    for color, mix in zip(canvas.color.reshape(3, -1), mixed, strict=True):
        color[edges] = mix
    return canvas.color


def _paint(canvas: Canvas, shown: Shown) -> None:
    for number, shape in enumerate(shown.shapes, 1):
        fallen = shape.flat and shown.shadows
        dark = [_shadow(canvas, shape, light, shown.shapes) if fallen else None for light in shown.lights]
        for hits in shape.hits(canvas):
            lit = [True if part is None else ~part[hits.rays].ravel() for part in dark]
            darkness = sum(place * np.logical_not(part) for place, part in enumerate(lit, 1))
            color = _shade(shape, hits, shown.lights, lit)
            owner = number + SHADOW * darkness + SIDE * hits.side
            canvas.paint(hits.rays, hits.mask, hits.depth, owner, color, shape.material.alpha)


def _shadow(
    canvas: Canvas, ground: AbstractShape, light: Light, shapes: list[AbstractShape]
) -> np.ndarray | None:
    """Which rays see a plane in a shadow, if they see it: bool, for each; None if the light throws none."""
    if not light.casts or light.above(ground.pose) <= 0:
        return None
    dark = np.zeros(canvas.u.shape, bool)
    for shape in shapes:
        if shape.material.casts and shape is not ground:
            for rays, mask in shape.shadow(canvas, ground, light):
                canvas.put(dark, rays, mask, True)
    return dark


def _shade(
    shape: AbstractShape, hits: Hits, lights: list[Light], lit: Sequence[np.ndarray | bool]
) -> np.ndarray:
    """The colours of points of a surface: uint8, `[3, points]`, or `[3, 1]` if they are all alike.

    Args:
        shape: Whose surface it is.
        hits: The points.
        lights: What shines.
        lit: For each light whether it is seen from the points.
    """
    material = shape.material
    mirrors = material.specular > 0 and not shape.flat
    glow, shine = material.emission, 0.0
    for light, clear in zip(lights, lit, strict=True):
        toward, arrives = light.reaching(hits.point, shape.pose)
        facing = np.maximum(dot(hits.normal, toward), 0) * arrives * clear
        glow = glow + light.ambient * arrives + light.diffuse * facing
        if mirrors:
            gloss = _highlight(hits, toward, material.shininess) * arrives * (facing > 0)
            shine = shine + light.specular * material.specular * gloss
    color = material.color.astype(np.float32)[:, None]
    painted = color if hits.color is None else color * hits.color
    return (np.minimum((painted * glow + shine) * 255, 255) + 0.5).astype(np.uint8)


def _highlight(hits: Hits, toward: Vector, shininess: float) -> np.ndarray:
    half = unit(toward + unit(-hits.direction))
    return power(dot(half, hits.normal), shininess * SHININESS)


def _edges(owner: np.ndarray) -> np.ndarray:
    """The numbers of the pixels beside which there is something else."""
    edge = np.zeros(owner.shape, bool)
    across, down = owner[:, 1:] != owner[:, :-1], owner[1:] != owner[:-1]
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= down
    edge[:-1] |= down
    return np.flatnonzero(edge)
