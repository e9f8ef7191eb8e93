"""Textures of a model: the checker of a plane, and the sky."""

from typing import NamedTuple

import numpy as np

from lerax.render.mujoco_types import MjModel

from .view import View

# The sides of a sky: the axis of the world along which one looks at them, that of their columns and that of
# their rows, each with its sign.
SIDES = (
    (0, 1, 1, 1, 2, -1),
    (0, -1, 1, -1, 2, -1),
    (2, 1, 0, 1, 1, -1),
    (2, -1, 0, 1, 1, 1),
    (1, -1, 0, 1, 2, -1),
    (1, 1, 0, -1, 2, -1),
)


class Checker(NamedTuple):
    """A checker of two colours.

    Attributes:
        colors: The two, `[2, 3]`, in [0, 1].
        scale: How many cells there are in a unit, along x and y.
        start: The corner at which they begin, at low x and high y.
    """

    colors: np.ndarray
    scale: np.ndarray
    start: np.ndarray

    def at(self, point: np.ndarray, width: np.ndarray) -> np.ndarray:
        """The mean colours, `[3, points]`, of rectangles around points `[2, points]`, as wide as given."""
        scale, start = self.scale.astype(np.float32)[:, None], self.start.astype(np.float32)[:, None]
        flip = np.array([[1], [-1]], np.float32)  # rows of a texture go down
        x, y = _wave((point - start) * (scale * flip), np.maximum(width * scale, np.float32(1e-3)))
        one, other = self.colors.astype(np.float32)[..., None]
        return (one + other) / 2 + (one - other) * (np.float32(0.5) * x * y)


def checker(picture: np.ndarray) -> np.ndarray | None:
    """The two colours, `[2, 3]` in [0, 1], of a picture of four fields; None if it is something else."""
    height, width = (side // 2 for side in picture.shape[:2])
    fields = [picture[y : y + height, x : x + width].reshape(-1, 3) for y in (0, height) for x in (0, width)]
    if min(height, width) == 0:
        return None
    colors = [np.median(field, 0) for field in fields]
    same = [(np.abs(field - color).max(1) < 8).mean() for field, color in zip(fields, colors, strict=True)]
    alike = max(np.abs(colors[0] - colors[3]).max(), np.abs(colors[1] - colors[2]).max()) < 8
    # Lines between the fields are left out.
    return np.stack(colors[:2]) / 255 if alike and min(same) > 0.9 else None


def image(model: MjModel, number: int) -> np.ndarray:
    """A texture of a model: uint8, `[height, width, 3]`."""
    shape = model.tex_height[number], model.tex_width[number], model.tex_nchannel[number]
    first = model.tex_adr[number]
    picture = model.tex_data[first : first + np.prod(shape, dtype=int)].reshape(shape)
    return picture[..., :3] if shape[2] >= 3 else np.repeat(picture[..., :1], 3, 2)


def sky(picture: np.ndarray, view: View) -> np.ndarray:
    """What a camera sees of the sky: uint8, `[3, height, width]`.

    Args:
        picture: Its six sides, one below the other, or one for all.
        view: The camera.
    """
    size = picture.shape[1]
    picture = np.resize(picture, (6 * size, size, 3))
    u, v = (part * (not view.parallel) for part in view.directions())
    right, up, forward = view.axes.astype(np.float32)
    ways = [(right[i] * u + up[i] * v[:, None] + forward[i]).ravel() for i in range(3)]
    farthest = np.maximum(np.maximum(np.abs(ways[0]), np.abs(ways[1])), np.abs(ways[2]))
    color = np.empty((3, len(farthest)), np.uint8)
    for side, (axis, sign, x, x_sign, y, y_sign) in enumerate(SIDES):
        there = np.flatnonzero(ways[axis] * sign == farthest)
        half = size / 2 / farthest[there]
        column, row = (
            np.clip(size / 2 + s * ways[a][there] * half, 0, size - 1).astype(int)
            for a, s in ((x, x_sign), (y, y_sign))
        )
        color[:, there] = picture[row + side * size, column].T
    return color.reshape(3, view.height, view.width)


def _wave(at: np.ndarray, width: np.ndarray) -> np.ndarray:
    """The mean, over a width around a place, of what is 1 from 0 to 1, -1 from 1 to 2, and so on."""
    half = width * np.float32(0.5)
    return (_rise(at + half) - _rise(at - half)) / width


def _rise(at: np.ndarray) -> np.ndarray:
    """The integral of that from 0."""
    at = at * np.float32(0.5)
    return np.abs(at - np.floor(at + np.float32(0.5))) * np.float32(2)
