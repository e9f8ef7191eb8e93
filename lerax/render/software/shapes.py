"""Things in a scene: where rays meet them, and where they throw shadows."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .light import Light, Material
from .solids import Pose, Vector, along, first_hit, normal, side, unit
from .texture import Checker
from .triangles import Triangles, covered
from .view import Canvas, Mask, Rays, View

ENDLESS, TINY = 1e6, 1e-9  # lengths of a plane without an end, and of what has none


class Hits(NamedTuple):
    """Where rays meet a thing, in its frame.

    Attributes:
        rays: They, or a window with some others.
        mask: Which of a window meet it, the rest means nothing for others; None for all.
        depth: How far along their directions.
        point: Where.
        normal: The direction out of the thing, of length 1.
        direction: Where the rays go.
        color: The colours that are painted there, `[3, rays]`; None for the material's.
        side: A number for the side of the thing, if it has edges.
    """

    rays: Rays
    mask: Mask
    depth: np.ndarray
    point: Vector
    normal: Vector
    direction: Vector
    color: np.ndarray | None = None
    side: np.ndarray | int = 0


class AbstractShape(ABC):
    """A thing in a scene.

    Attributes:
        pose: Where it is.
        material: How it takes light.
        flat: Whether it is a plane, on which shadows fall and highlights do not.
    """

    pose: Pose
    material: Material
    flat: bool

    @abstractmethod
    def state(self) -> tuple:
        """What it is, where and of what: two that have the same look the same."""

    @abstractmethod
    def outline(self, view: View, projection: np.ndarray) -> np.ndarray:
        """What bounds its picture, as `View.outline`."""

    @abstractmethod
    def hits(self, canvas: Canvas) -> Iterator[Hits]:
        """Where rays meet it before what they have met so far, some rays at a time."""

    @abstractmethod
    def shadow(self, canvas: Canvas, ground: "AbstractShape", light: Light) -> Iterator[tuple[Rays, Mask]]:
        """The rays that see its shadow, if they see the plane it falls on, some at a time: as in `Hits`."""


class Solid(AbstractShape):
    """A solid of closed form, or a plane.

    Args:
        kind: One of `solids.KINDS`.
        size: Half lengths along its axes, or radius, radius and half length, `[3]`.
        pose: Where it is.
        material: How it takes light.
        checker: What is painted on a plane.
    """

    def __init__(
        self, kind: str, size: np.ndarray, pose: Pose, material: Material, checker: Checker | None = None
    ):
        self.pose, self.material, self.flat = pose, material, kind == "plane"
        self._kind, self._checker = kind, checker
        size = np.where(size > 0, size, ENDLESS if self.flat else TINY)
        points, reach = _hull(kind, size)
        self._points = pose.position + points @ pose.axes
        self._spread = (pose.axes.T * reach**2) @ pose.axes
        self._outlines: dict[bytes, np.ndarray] = {}
        self._given = kind, size, *pose, *(checker or ())
        self._half = float(size[2] / size[0])
        if kind in ("plane", "capsule"):
            size = np.array([size[0], size[1], 1 if self.flat else size[0]])
        size = size[:, None]
        self._size, self._scaled = size.astype(np.float32), Pose(pose.axes / size, pose.position)

    def hits(self, canvas: Canvas) -> Iterator[Hits]:
        view = canvas.view
        for rays in canvas.within(self.outline(view, view.projection)):
            origin, direction = canvas.lines(rays, self._scaled)
            depth = first_hit(self._kind, self._half, origin, direction)
            mask = (depth > view.near) & (depth <= canvas.depth[rays].ravel())
            if not mask.any():
                continue
            if isinstance(rays, np.ndarray):
                (hit,) = np.nonzero(mask)
                rays, mask, depth = rays[hit], None, depth[hit]
                origin, direction = _of(origin, hit), _of(direction, hit)
            point = along(origin, direction, depth)
            away = normal(self._kind, self._half, self._size, point)
            point, direction = point * self._size, direction * self._size
            color = self._painted(view, depth, point, direction)
            yield Hits(rays, mask, depth, point, away, direction, color, side(self._kind, away))

    def shadow(self, canvas: Canvas, ground: AbstractShape, light: Light) -> Iterator[tuple[Rays, Mask]]:
        view, floor = canvas.view, ground.pose
        axes = (self._scaled.axes @ floor.axes.T).astype(np.float32)
        start = (self._scaled.axes @ (floor.position - self.pose.position)).astype(np.float32)[:, None]
        projection = view.projection @ light.onto(floor)
        for rays in canvas.within(self.outline(view, projection)):
            origin, direction = canvas.lines(rays, floor)
            x, y, _ = along(origin, direction, -origin[2] / direction[2])
            point = axes[:, :1] * x + axes[:, 1:2] * y + start
            t = first_hit(self._kind, self._half, point, light.way(point, self._scaled))
            mask = (t > 0) & (t < light.reach)
            yield (rays[mask], None) if isinstance(rays, np.ndarray) else (rays, mask)

    def state(self) -> tuple:
        return state(self.material), *map(_bytes, self._given)

    def outline(self, view: View, projection: np.ndarray) -> np.ndarray:
        key = projection.tobytes()  # both passes over a picture ask for it
        if key not in self._outlines:
            self._outlines[key] = view.outline(self._points, self._spread, projection)
        return self._outlines[key]

    def _painted(self, view: View, depth: np.ndarray, point: Vector, direction: Vector) -> np.ndarray | None:
        """The colours of the checker at points, over as much of it as two pixels side by side show."""
        if self._checker is None:
            return None
        columns = (self.pose.axes @ view.axes.T).astype(np.float32)
        reach = 2 * view.pixel * (np.ones_like(depth) if view.parallel else depth)
        slopes = direction[:2] / direction[2]
        across, up = (np.abs(columns[:2, [i]] - slopes * columns[2, i]) for i in (0, 1))
        return self._checker.at(point[:2], reach * (across + up))


class Faceted(AbstractShape):
    """A thing made of triangles.

    Args:
        triangles: Them, in its frame.
        pose: Where it is.
        material: How it takes light.
    """

    def __init__(self, triangles: Triangles, pose: Pose, material: Material):
        self.pose, self.material, self.flat, self._triangles = pose, material, False, triangles
        self._corners = pose.position + triangles.corners @ pose.axes

    def state(self) -> tuple:
        return state(self.material), id(self._triangles), *map(_bytes, self.pose)

    def outline(self, view: View, projection: np.ndarray) -> np.ndarray:
        return np.array([-np.inf, np.inf, -np.inf, np.inf])  # the whole picture is cheaper than all corners

    def hits(self, canvas: Canvas) -> Iterator[Hits]:
        view = canvas.view
        depths = (self._corners - view.position) @ view.axes[2]
        nearest, found = canvas.depth.flatten(), []
        for rays, owner, weights in covered(canvas, _project(view.projection, self._corners), False):
            depth = (weights * depths[owner].T).sum(0).astype(np.float32)
            hit = np.flatnonzero((depth > view.near) & (depth <= nearest.take(rays)))
            np.minimum.at(nearest, rays[hit], depth[hit])
            found.append((rays[hit], owner[hit], depth[hit], weights[:, hit].T))
        if found:
            rays, owner, depth, weights = (np.concatenate(parts) for parts in zip(*found, strict=True))
            first = np.flatnonzero(depth == nearest.take(rays))
            rays, depth = np.unravel_index(rays[first], canvas.depth.shape), depth[first]
            away = (weights[first, :, None] * self._triangles.normals[owner[first]]).sum(1).T
            origin, direction = canvas.lines(rays, self.pose)
            yield Hits(rays, None, depth, along(origin, direction, depth), unit(away), direction)

    def shadow(self, canvas: Canvas, ground: AbstractShape, light: Light) -> Iterator[tuple[Rays, Mask]]:
        above = ((self._corners - ground.pose.position) @ ground.pose.axes[2] > 0).all(1)
        projection = canvas.view.projection @ light.onto(ground.pose)
        for rays, _, _ in covered(canvas, _project(projection, self._corners[above]), True):
            yield np.unravel_index(rays, canvas.depth.shape), None


def state(thing: Material | Light | View) -> tuple:
    """All that it holds, for comparisons."""
    return tuple(map(_bytes, vars(thing).values()))


def _bytes(value: Any) -> bytes:
    return np.asarray(value).tobytes()


def _hull(kind: str, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points, `[n, 3]`, and half axes, `[3]`: the hull of ellipsoids there of that size holds the solid."""
    if kind in ("plane", "box"):
        deep = (-1, 1) if kind == "box" else (0,)
        return np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in deep]) * size, np.zeros(3)
    if kind in ("capsule", "cylinder"):
        ends = np.array([(0, 0, -size[2]), (0, 0, size[2])])
        return ends, np.array([size[0], size[1], size[0] if kind == "capsule" else 0])
    return np.zeros((1, 3)), size


def _project(projection: np.ndarray, corners: np.ndarray) -> np.ndarray:
    return corners @ projection[:, :3].T + projection[:, 3]


def _of(vector: Vector, index: np.ndarray) -> Vector:
    return vector.take(index, 1) if vector.shape[1] > 1 else vector
