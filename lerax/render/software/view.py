"""A camera, and the rays that go through the pixels of its picture."""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np

from lerax.render.mujoco_types import MjvGLCamera

from .solids import Pose, Vector

SAMPLES = ((-0.125, -0.375), (0.375, -0.125), (-0.375, 0.125), (0.125, 0.375))  # in a pixel, from its centre
Rays = np.ndarray | tuple  # an index into what a canvas holds; a window (two slices) is faster than numbers
Mask = np.ndarray | None  # which rays of a window are meant; None for all
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
        width, height: How many columns and rows of pixels are seen.
        column, row: The first of them.
    """

    def __init__(self, camera: MjvGLCamera, width: int, height: int):
        self.width, self.height, self.column, self.row = width, height, 0, 0
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

    def part(self, box: np.ndarray, margin: int) -> "View":
        """The same camera's view of some pixels (as `boxes`), and of those around them within the picture."""
        view, size = copy.copy(self), (self.width, self.height)
        (x0, y0), (x1, y1) = np.maximum(box[::2] - margin, 0), np.minimum(box[1::2] + margin, size)
        view.column, view.row, view.width, view.height = map(int, (x0, y0, x1 - x0, y1 - y0))
        return view

    @property
    def window(self) -> tuple[slice, slice]:
        """The rows and columns of the whole picture that are seen."""
        return slice(self.row, self.row + self.height), slice(self.column, self.column + self.width)

    def directions(self) -> tuple[np.ndarray, np.ndarray]:
        """The u of the middles of its columns of pixels, and the v of those of its rows."""
        columns, rows = (
            np.arange(first, first + n, dtype=np.float32) + np.float32(0.5)
            for first, n in ((self.column, self.width), (self.row, self.height))
        )
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

    def boxes(self, outlines: np.ndarray, middles: bool) -> np.ndarray:
        """The pixels within bounds, counted from the first ones that are seen.

        Args:
            outlines: Left, right, bottom and top as u and v, `[..., 4]`; NaN if there are none.
            middles: Whether to take only those whose middles are within.

        Returns:
            The first column, the one after the last, the first row, the one after the last: `[..., 4]`.
        """
        origin, scale = np.array([self.left, self.left, self.top, self.top]), np.array([1, 1, -1, -1])
        edges = (outlines[..., (0, 1, 3, 2)] - origin) * (scale / self.pixel)
        first, last = edges[..., ::2], edges[..., 1::2]
        if middles:
            first[...], last[...] = np.ceil(first - 0.5), np.floor(last + 0.5)
        else:
            first[...], last[...] = np.floor(first), np.ceil(last)
        edges[np.isnan(edges)] = 0
        edges -= (self.column, self.column, self.row, self.row)
        limits = self.width, self.width, self.height, self.height
        return np.minimum(np.maximum(edges, 0), limits).astype(int)


class Canvas:
    """Rays of a view, and what they have met so far.

    Args:
        view: The camera.
        background: What is seen where there is nothing: uint8, `[3, height, width]`.
        pixels: The pixels, each with as many rays as `SAMPLES`; None for one ray through each pixel.

    Attributes:
        u, v: Where the rays go through the plane of directions. Like all that follows they are
            `[height, width]`, or `[samples * pixels]`, the first samples of all pixels first.
        color: What each ray shows: uint8, red, green and blue one after the other.
        depth: How far along its direction it met something; infinite where it did not.
        owner: A number for what it met.
    """

    def __init__(self, view: View, background: np.ndarray, pixels: np.ndarray | None = None):
        self.view, self._slot, self._places = view, None, None
        u, v = view.directions()
        if pixels is None:
            self.u, self.v = np.broadcast_arrays(u, v[:, None])
            self.color = background.copy("C")
        else:
            self._slot = np.full(view.width * view.height, -1)
            self._slot[pixels] = np.arange(len(pixels))
            self._places = rows, columns = np.divmod(pixels, view.width)
            across, up = (view.pixel * np.array(SAMPLES, np.float32) * (1, -1)).astype(np.float32).T
            self.u, self.v = (u[columns] + across[:, None]).ravel(), (v[rows] + up[:, None]).ravel()
            self.color = np.tile(background.reshape(3, -1).take(pixels, 1), len(SAMPLES))
        self.depth = np.full(self.u.shape, np.inf, np.float32)
        self.owner = np.zeros(self.u.shape, np.int32)

    def boxes(self, outlines: np.ndarray) -> np.ndarray:
        """The pixels that have rays within bounds, as `View.boxes`."""
        return self.view.boxes(outlines, middles=self._slot is None)

    def within(self, outline: np.ndarray) -> Iterator[Rays]:
        """The rays through pixels within bounds (left, right, bottom, top), some at a time."""
        x0, x1, y0, y1 = self.boxes(outline)
        if self._places is None:
            step = max(1, BLOCK // max(x1 - x0, 1))
            if x0 < x1:
                yield from ((slice(y, min(y + step, y1)), slice(x0, x1)) for y in range(y0, y1, step))
        else:
            rows, columns = self._places
            inside = np.flatnonzero((rows >= y0) & (rows < y1) & (columns >= x0) & (columns < x1))
            rays = self._rays_of(inside)
            yield from (rays[first : first + BLOCK] for first in range(0, len(rays), BLOCK))

    def through(
        self, rows: np.ndarray, columns: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The rays through pixels: their numbers, the places of their pixels in the lists, their u and v."""
        pixels = rows * self.view.width + columns
        if self._slot is None:
            return pixels, np.arange(len(pixels)), self.u[0].take(columns), self.v[:, 0].take(rows)
        slots = self._slot.take(pixels)
        known = np.flatnonzero(slots >= 0)
        numbers = self._rays_of(slots[known])
        return numbers, np.tile(known, len(SAMPLES)), self.u.take(numbers), self.v.take(numbers)

    def lines(self, rays: Rays, pose: Pose) -> tuple[Vector, Vector]:
        """Where rays begin and where they go, in a frame."""
        view = self.view
        u, v = self.u[rays], self.v[rays]
        if u.ndim > 1:  # a window
            u, v = u[:1], v[:, :1]
        turned = (pose.axes @ view.axes.T).astype(np.float32).T
        start = (pose.axes @ (view.position - pose.position)).astype(np.float32)
        right, up, forward, start = (way.reshape(3, *[1] * u.ndim) for way in (*turned, start))
        middle = start if view.parallel else forward
        ways = (right * u + (up * v + middle)).reshape(3, -1)
        return (ways, forward.reshape(3, 1)) if view.parallel else (start.reshape(3, 1), ways)

    def paint(
        self, rays: Rays, mask: Mask, depth: np.ndarray, owner: Any, color: np.ndarray, alpha: float
    ) -> None:
        """Lets rays meet something that is nearer than what they have met before.

        Args:
            rays: They.
            mask: Which of them.
            depth: How far it is.
            owner: A number for it.
            color: Its colour: uint8, `[3, rays]`, or `[3, 1]` if all show the same.
            alpha: 1, or less if one can see through it.
        """
        for mine, new in zip(self.color, color, strict=True):
            mixed = new if alpha == 1 else mine[rays].ravel() * (1 - alpha) + new * alpha + 0.5
            self.put(mine, rays, mask, mixed)
        if alpha == 1:
            self.put(self.depth, rays, mask, depth)
        else:
            owner = self.owner[rays].ravel() * 31 + owner
        self.put(self.owner, rays, mask, owner)

    def put(self, held: np.ndarray, rays: Rays, mask: Mask, new: Any) -> None:
        """Changes what an array as large as the others holds for rays."""
        if mask is None:
            held[rays] = new
            return
        window = held[rays]
        new = new.reshape(window.shape) if np.size(new) > 1 else new
        np.copyto(window, new, "unsafe", mask.reshape(window.shape))

    def _rays_of(self, places: np.ndarray) -> np.ndarray:
        """The numbers of the rays through the pixels at these places of a list."""
        pixels = self.u.size // len(SAMPLES)
        return (places + np.arange(len(SAMPLES))[:, None] * pixels).ravel()
