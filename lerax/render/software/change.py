"""What has changed since the last picture: only there it is drawn again."""

import itertools
from typing import NamedTuple

import numpy as np

from .light import Light
from .shapes import AbstractShape, state
from .view import View


class Shown(NamedTuple):
    """What a picture shows.

    Attributes:
        view: The camera.
        background: What is seen where there is nothing: uint8, `[3, height, width]`; it is not changed later.
        lights: What shines.
        shapes: The things, in the order in which they are drawn.
        shadows: Whether shadows are shown.
    """

    view: View
    background: np.ndarray
    lights: list[Light]
    shapes: list[AbstractShape]
    shadows: bool


def changed(before: Shown | None, now: Shown) -> np.ndarray | None:
    """The pixels through which one may see something else, as `View.boxes`; None if there are none."""
    view = now.view
    if before is None or _around(before) != _around(now):
        return np.array([0, view.width, 0, view.height])
    pairs = itertools.zip_longest(before.shapes, now.shapes)
    moved = [part for a, b in pairs if not (a and b and a.state() == b.state()) for part in (a, b) if part]
    # A plane that has changed itself has done so with all that falls on it.
    grounds = [shape.pose for shape in now.shapes if shape.flat and now.shadows]
    onto = [view.projection @ light.onto(ground) for ground in grounds for light in now.lights if light.casts]
    outlines = [shape.outline(view, way) for shape in moved for way in (view.projection, *onto)]
    boxes = view.boxes(np.reshape(outlines, (-1, 4)), middles=False)
    boxes = boxes[(boxes[:, 0] < boxes[:, 1]) & (boxes[:, 2] < boxes[:, 3])]
    return np.where((True, False, True, False), boxes.min(0), boxes.max(0)) if len(boxes) else None


def _around(shown: Shown) -> tuple:
    """All but the things."""
    return id(shown.background), shown.shadows, state(shown.view), *map(state, shown.lights)
