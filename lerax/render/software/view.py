"""A camera, and the rays that go through the pixels of its picture."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from .solids import Frame, Vector

SAMPLES = ((-0.125, -0.375), (0.375, -0.125), (-0.375, 0.125), (0.125, 0.375))  # in a pixel, from its centre
Rays = np.ndarray | slice  # numbers of rays; a slice is much faster, where they follow each other
BLOCK = 1 << 15  # pixels at a time: what stays in a processor's cache


class View:
    """A camera's frame (x right, y up, z forward) and its picture.

    Its rays go through the points (u, v, 1) of the plane of directions: the camera's x and y at distance 1,
    or at any distance if it sees in parallel.

    Args:
        camera: A `mujoco.MjvGLCamera`.
        width: Width of the picture, in pixels.
        height: Height of the picture, in pixels.

    Attributes:
        axes: The camera's axes in the world, one per row.
        position: Where it is in the world.
        parallel: Whether distant things look as large as near ones.
        near: How far away the nearest thing is that can be seen.
        pixel: Size of a pixel in the plane of directions.
        left: u at the left edge of the picture.
        top: v at its top edge.
        projection: From homogeneous points of the world to those of the plane of directions, `[3, 4]`.
    """

    def __init__(self, camera: Any, width: int, height: int):
        self.width, self.height = width, height
        forward, up = (np.array(axis, float) for axis in (camera.forward, camera.up))
        self.axes = np.stack([np.cross(forward, up), up, forward])
        self.position = np.array(camera.pos, float)
        self.parallel = bool(camera.orthographic)
        self.near = float(camera.frustum_near)
        distance = 1.0 if self.parallel else self.near
        bottom, self.top = camera.frustum_bottom / distance, camera.frustum_top / distance
        self.pixel = (self.top - bottom) / height
        self.left = camera.frustum_center / distance - self.pixel * width / 2
        self.projection = np.concatenate([self.axes, -self.axes @ self.position[:, None]], 1)
        if self.parallel:
            self.projection[2] = (0, 0, 0, 1)

    def directions(self) -> tuple[np.ndarray, np.ndarray]:
        """The u of the middles of its columns of pixels, and the v of those of its rows."""
        columns, rows = (np.arange(n, dtype=np.float32) + np.float32(0.5) for n in (self.width, self.height))
        return self.left + self.pixel * columns, self.top - self.pixel * rows

    def outline(self, points: np.ndarray, spread: np.ndarray, projection: np.ndarray) -> np.ndarray:
        """What bounds the picture of the hull of ellipsoids that are alike.

        Args:
            points: Their middles in the world, `[n, 3]`.
            spread: R diag(s)^2 R^T for half axes of lengths s in directions R, `[3, 3]`.
            projection: From the world to the plane of directions, `[3, 4]`.

        Returns:
            Left, right, bottom and top as u and v; NaN if it is behind the camera.
        """
        matrix, middle = projection[:, :3], points @ projection[:, :3].T + projection[:, 3]
        spread = matrix @ spread @ matrix.T
        reach = np.sqrt(max(spread[2, 2], 0.0))
        if (middle[:, 2] <= -reach).all():
            return np.full(4, np.nan)
        if (middle[:, 2] <= reach).any():  # some of it is beside the camera
            return np.array([-np.inf, np.inf, -np.inf, np.inf])
        # Lines of constant u or v touch the outline at the roots of its dual conic.
        conic = spread - middle[:, :, None] * middle[:, None, :]
        a, b, c = conic[:, 2, 2, None], conic[:, :2, 2], conic[:, (0, 1), (0, 1)]
        root = np.sqrt(np.maximum(b * b - a * c, 0))
        low, high = ((b + root) / a).min(0), ((b - root) / a).max(0)
        return np.array([low[0], high[0], low[1], high[1]])


class Canvas:
    """Rays of a view, and what they have met so far.

    Args:
        view: The camera.
        background: What is seen where there is nothing: uint8, `[3, pixels of the view]`.
        pixels: The pixels, each with as many rays as `SAMPLES`; None for one ray through each pixel.

    Attributes:
        u, v: Where the rays go through the plane of directions.
        color: What each ray shows: uint8, `[3, rays]`.
        depth: How far along its direction it met something; infinite where it did not.
        owner: A number for what it met.
    """

    def __init__(self, view: View, background: np.ndarray, pixels: np.ndarray | None = None):
        self.view, self._slot, self._places = view, None, None
        u, v = view.directions()
        if pixels is None:
            self.u, self.v = np.tile(u, view.height), np.repeat(v, view.width)
            self.color = background.copy()
        else:
            self._slot = np.full(view.width * view.height, -1)
            self._slot[pixels] = np.arange(len(pixels))
            self._places = rows, columns = np.divmod(pixels, view.width)
            across, up = (view.pixel * np.array(SAMPLES, np.float32) * (1, -1)).astype(np.float32).T
            self.u, self.v = (u[columns, None] + across).ravel(), (v[rows, None] + up).ravel()
            self.color = np.repeat(background[:, pixels], len(SAMPLES), 1)
        self.depth = np.full(len(self.u), np.inf, np.float32)
        self.owner = np.zeros(len(self.u), np.int32)

    def boxes(self, outlines: np.ndarray) -> np.ndarray:
        """The pixels that have rays within bounds.

        Args:
            outlines: Left, right, bottom and top as u and v, `[..., 4]`; NaN if there are none.

        Returns:
            The first column, the one after the last, the first row, the one after the last: `[..., 4]`.
        """
        view = self.view
        origin, scale = np.array([view.left, view.left, view.top, view.top]), np.array([1, 1, -1, -1])
        edges = (outlines[..., (0, 1, 3, 2)] - origin) * (scale / view.pixel)
        first, last = edges[..., ::2], edges[..., 1::2]
        if self._slot is None:  # the rays are in the middle of the pixels
            first[...], last[...] = np.ceil(first - 0.5), np.floor(last + 0.5)
        else:
            first[...], last[...] = np.floor(first), np.ceil(last)
        edges[np.isnan(edges)] = 0
        return np.minimum(np.maximum(edges, 0), (view.width, view.width, view.height, view.height)).astype(
            int
        )

    def within(self, outline: np.ndarray) -> Iterator[Rays]:
        """The numbers of the rays through pixels within bounds (left, right, bottom, top), some at a time."""
        x0, x1, y0, y1 = self.boxes(outline)
        if self._places is None:
            columns, step = np.arange(x0, x1), max(1, BLOCK // max(x1 - x0, 1))
            for first in range(y0, y1, step):
                last = min(first + step, y1)
                if x1 - x0 == self.view.width:
                    yield slice(first * x1, last * x1)
                else:
                    yield (np.arange(first, last)[:, None] * self.view.width + columns).ravel()
        else:
            rows, columns = self._places
            inside = np.flatnonzero((rows >= y0) & (rows < y1) & (columns >= x0) & (columns < x1))
            rays = _rays_of(inside)
            yield from (rays[first : first + BLOCK] for first in range(0, len(rays), BLOCK))

    def through(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of the rays that go through pixels, and for each the place of its pixel in the list."""
        if self._slot is None:
            return pixels, np.arange(len(pixels))
        slots = self._slot.take(pixels)
        known = np.flatnonzero(slots >= 0)
        return _rays_of(slots[known]), np.repeat(known, len(SAMPLES))

    def lines(self, rays: Rays, frame: Frame) -> tuple[Vector, Vector]:
        """Where rays begin and where they go, in a frame."""
        view = self.view
        start = (frame.axes @ (view.position - frame.position)).astype(np.float32)
        right, up, forward = (frame.axes @ view.axes.T).astype(np.float32).T
        u, v = self.u[rays], self.v[rays]
        if isinstance(rays, slice):  # whole rows
            u, v = u[: view.width], v[:: view.width, None]
        middle = start if view.parallel else forward
        x, y, z = ((right[i] * u + (up[i] * v + middle[i])).ravel() for i in range(3))
        return ((x, y, z), tuple(forward)) if view.parallel else (tuple(start), (x, y, z))

    def paint(self, rays: Rays, depth: np.ndarray, owner: Any, color: np.ndarray, alpha: float) -> None:
        """Lets rays meet something that is nearer than what they have met before.

        Args:
            rays: Their numbers.
            depth: How far it is.
            owner: A number for it.
            color: Its colour: uint8, `[3, rays]`.
            alpha: 1, or less if one can see through it.
        """
        for mine, new in zip(self.color, color, strict=True):
            mine[rays] = new if alpha == 1 else mine[rays] * (1 - alpha) + new * alpha + 0.5
        if alpha == 1:
            self.depth[rays], self.owner[rays] = depth, owner
        else:
            self.owner[rays] = self.owner[rays] * 31 + owner


def _rays_of(places: np.ndarray) -> np.ndarray:
    """The numbers of the rays through the pixels at these places of a list."""
    return (places[:, None] * len(SAMPLES) + np.arange(len(SAMPLES))).ravel()


def chosen(rays: Rays, index: np.ndarray) -> np.ndarray:
    """The numbers of those of the rays that are at these places among them."""
    return index + rays.start if isinstance(rays, slice) else rays[index]
