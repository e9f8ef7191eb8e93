"""Outlines of shapes, as points in pixels."""

import math
from functools import lru_cache

import numpy as np

Pixels = tuple[float, float]


def grid(part: list[Pixels], left: int, top: int, fineness: int) -> tuple[tuple[int, int], ...]:
    """The points on a stencil's finer grid: cells' corners for a rectangle, else the cells they are in."""
    nearest = 0.5 if len(part) == 2 else 0.0
    dx, dy = nearest - left * fineness, nearest - top * fineness
    return tuple([(math.floor(x * fineness + dx), math.floor(y * fineness + dy)) for x, y in part])


@lru_cache(maxsize=256)
def _corners(count: int) -> list[Pixels]:
    return [
        (math.cos(turn), math.sin(turn)) for turn in np.linspace(0, math.tau, count, endpoint=False).tolist()
    ]


def circle(radius: float) -> list[Pixels]:
    """A unit circle's corners: so many that they are less than a fifth of a pixel off at this radius."""
    return _corners(4 * math.ceil(1 + 1.25 * math.sqrt(radius)))


def stroke(start: Pixels, end: Pixels, half: float) -> list[Pixels]:
    """The outline of a line with round ends."""
    angle = math.atan2(end[1] - start[1], end[0] - start[0])
    along, down = half * math.cos(angle), half * math.sin(angle)
    around = circle(half)
    quarter = len(around) // 4
    caps = (end, around[-quarter:] + around[: quarter + 1]), (start, around[quarter : -quarter + 1])
    return [
        (x + a * along - b * down, y + a * down + b * along) for (x, y), corners in caps for a, b in corners
    ]
