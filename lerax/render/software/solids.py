"""Where rays meet the solids of MuJoCo, in closed form.

Everything is in the solid's own frame, in units in which it is of size 1 (a capsule: of radius 1). Points and
directions are arrays `[3, rays]`, or `[3, 1]` where all rays have the same.
"""

from typing import NamedTuple

import numpy as np

Vector = np.ndarray
KINDS = ("plane", "sphere", "capsule", "ellipsoid", "cylinder", "box")
TINY = np.float32(1e-12)


class Pose(NamedTuple):
    """Where a thing is in the world.

    Attributes:
        axes: Its axes, one per row; longer ones make smaller units.
        position: Its origin.
    """

    axes: np.ndarray
    position: np.ndarray


def first_hit(kind: str, half: float, origin: Vector, direction: Vector) -> np.ndarray:
    """How far along each ray, in lengths of its direction, it enters the solid; NaN where it misses it.

    Args:
        kind: One of `KINDS`.
        half: Half the length of a capsule's axis.
        origin: Where the rays begin.
        direction: Where they go.
    """
    if kind == "plane":
        return _plane(origin, direction)
    squared = dot(direction, direction)
    middle = -dot(origin, direction) / squared
    nearest = along(origin, direction, middle)  # numbers stay small, however far away the rays begin
    if kind in ("sphere", "ellipsoid"):
        return middle - np.sqrt((1 - dot(nearest, nearest)) / squared)
    if kind == "capsule":
        return middle + _capsule(half, nearest, direction, squared)
    enter, leave = _cylinder(nearest, direction) if kind == "cylinder" else _box(nearest, direction)
    np.copyto(enter, np.nan, where=enter > leave)
    return middle + enter


def normal(kind: str, half: float, size: Vector, point: Vector) -> Vector:
    """The direction of length 1 that leaves the solid at each point of its surface.

    Args:
        kind: One of `KINDS`.
        half: Half the length of a capsule's axis.
        size: What one unit stands for along x, y and z, `[3, 1]`.
        point: The points.
    """
    if kind == "plane":
        return np.array([[0], [0], [1]], np.float32)
    if kind == "capsule":
        away = point.copy()
        away[2] -= np.clip(point[2], -half, half)
        return away
    if kind == "ellipsoid":
        return unit(point / size)
    if kind == "cylinder":
        x, y, z = point
        side = z * z < x * x + y * y
        return np.stack([x * side, y * side, np.sign(z) * ~side])
    if kind == "box":
        a, b, c = np.abs(point)
        along_x, along_y = (a >= b) & (a >= c), (b > a) & (b >= c)
        return np.sign(point) * np.stack([along_x, along_y, ~(along_x | along_y)])
    return point


def side(kind: str, normal: Vector) -> np.ndarray | int:
    """A number for the flat side of a box or a cylinder that a normal is of; 0 elsewhere."""
    if kind == "box":
        return (normal[0] + 3 * normal[1] + 9 * normal[2]).astype(np.int32)
    return normal[2].astype(np.int32) if kind == "cylinder" else 0


def dot(a: Vector, b: Vector) -> np.ndarray:
    """The scalar products."""
    return (a * b).sum(0)


def along(origin: Vector, direction: Vector, t: np.ndarray) -> Vector:
    """The points that lie so many lengths of the direction from the origin."""
    return origin + direction * t


def unit(a: Vector) -> Vector:
    """The vectors, each of length 1."""
    return a * (1 / np.sqrt(np.maximum(dot(a, a), TINY)))


def _plane(origin: Vector, direction: Vector) -> np.ndarray:
    t = -origin[2] / direction[2]
    x, y = np.abs(along(origin[:2], direction[:2], t))
    np.copyto(t, np.nan, where=np.maximum(x, y) > 1)
    return t


def _capsule(half: float, origin: Vector, direction: Vector, squared: np.ndarray) -> np.ndarray:
    """Where the ray enters the endless cylinder says which of its ends, if any, it meets instead."""
    t = _tube(origin, direction)[0]
    z = origin[2] + t * direction[2]
    end = origin.copy()
    end[2] -= np.clip(z, -half, half)
    b = dot(end, direction)
    ball = (-b - np.sqrt(b * b - squared * (dot(end, end) - 1))) / squared
    np.copyto(t, ball, where=np.abs(z) > half)
    return t


def _cylinder(origin: Vector, direction: Vector) -> tuple[np.ndarray, np.ndarray]:
    (tube_in, tube_out), (slab_in, slab_out) = _tube(origin, direction), _slab(origin[2], direction[2])
    return np.maximum(tube_in, slab_in), np.minimum(tube_out, slab_out)


def _box(origin: Vector, direction: Vector) -> tuple[np.ndarray, np.ndarray]:
    enter, leave = _slab(origin, direction)
    return enter.max(0), leave.min(0)


def _tube(origin: Vector, direction: Vector) -> tuple[np.ndarray, np.ndarray]:
    """Where rays enter and leave the endless cylinder around z."""
    origin, direction = origin[:2], direction[:2]
    a, b = np.maximum(dot(direction, direction), TINY), dot(origin, direction)
    root = np.sqrt(b * b - a * (dot(origin, origin) - 1))
    return (-b - root) / a, (-b + root) / a


def _slab(start: np.ndarray, step: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where rays enter and leave what lies between -1 and 1."""
    step = step + TINY  # never zero
    reach, middle = np.abs(1 / step), -start / step
    return middle - reach, middle + reach
