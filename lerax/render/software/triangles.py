"""Triangles: which rays go through them, and the meshes and height fields of a model."""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from lerax.render.mujoco_types import MjModel

from .view import Canvas

BLOCK = 1 << 16  # rays at a time
SHARP = 0.8  # the cosine between a triangle's normal and its corner's below which that is an edge


class Triangles(NamedTuple):
    """Triangles in a frame of their own.

    Attributes:
        corners: `[triangles, 3, 3]`, a corner per row, counter-clockwise as seen from outside.
        normals: The directions out of the surface at the corners, likewise.
    """

    corners: np.ndarray
    normals: np.ndarray


def covered(
    canvas: Canvas, corners: np.ndarray, both_sides: bool
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The rays that go through triangles, some at a time.

    Args:
        canvas: The rays.
        corners: Homogeneous points of the plane of directions, `[triangles, 3, 3]`, a corner per row.
        both_sides: Whether to take triangles that are seen from behind too.

    Yields:
        The numbers of rays, for each that of the triangle, and the weights of its corners, `[3, rays]`.
    """
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    # A corner's weight is the ray's product with the normal of the plane through the others and the camera.
    edges = np.stack([np.cross(b, c), np.cross(c, a), np.cross(a, b)], 1)
    side = np.sign((a * edges[:, 0]).sum(1))
    chosen = np.flatnonzero(side if both_sides else side > 0)
    boxes = canvas.boxes(_outlines(corners[chosen], 1e-6 if canvas.view.parallel else canvas.view.near))
    counts = (boxes[:, 1] - boxes[:, 0]).clip(0) * (boxes[:, 3] - boxes[:, 2]).clip(0)
    shown = np.flatnonzero(counts)
    chosen, boxes, counts = chosen[shown], boxes[shown], counts[shown]
    edges = (edges[chosen] * side[chosen, None, None]).astype(np.float32)
    ends = np.cumsum(counts)
    cuts = [0, *np.searchsorted(ends, np.arange(BLOCK, ends[-1] if len(ends) else 0, BLOCK)), len(chosen)]
    for part in (slice(first, last) for first, last in itertools.pairwise(cuts) if last > first):
        index, place, weights = _inside(canvas, counts[part], boxes[part], edges[part])
        yield index, chosen[part][place], weights


def _inside(
    canvas: Canvas, counts: np.ndarray, boxes: np.ndarray, edges: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same for triangles whose boxes have so many pixels."""
    owner = np.repeat(np.arange(len(counts)), counts)
    offset = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    rows, columns = np.divmod(offset, np.repeat(boxes[:, 1] - boxes[:, 0], counts))
    index, place, u, v = canvas.through(rows + boxes[owner, 2], columns + boxes[owner, 0])
    owner = owner.take(place)
    weights = np.stack([a[owner] * u + b[owner] * v + c[owner] for a, b, c in edges.transpose(1, 2, 0)])
    hit = np.flatnonzero(weights.min(0) >= 0)
    weights = weights[:, hit]
    return index[hit], owner[hit], weights / weights.sum(0)


def _outlines(corners: np.ndarray, near: float) -> np.ndarray:
    """What bounds the parts of triangles that are not nearer than this.

    Returns:
        Left, right, bottom and top as u and v, `[triangles, 4]`.
    """
    points = corners[..., :2] / corners[..., 2:]
    low, high = (least(least(points[:, 0], points[:, 1]), points[:, 2]) for least in (np.minimum, np.maximum))
    crossing = np.flatnonzero((corners[..., 2] < near).any(1))
    parts = corners[crossing]
    depth, following = parts[..., 2:], np.roll(parts, -1, 1)
    way = (near - depth) / (following[..., 2:] - depth)  # how far along each edge it becomes so near
    cut = np.where((way >= 0) & (way <= 1), parts + way * (following - parts), np.nan)
    points = np.concatenate([np.where(depth >= near, parts, np.nan), cut], 1)
    points = points[..., :2] / points[..., 2:]
    low[crossing], high[crossing] = np.fmin.reduce(points, 1), np.fmax.reduce(points, 1)
    return np.stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]], 1)


def mesh(model: MjModel, number: int) -> Triangles:
    """A mesh of a model."""
    first = model.mesh_faceadr[number]
    faces = slice(first, first + model.mesh_facenum[number])
    vertices = model.mesh_vert[model.mesh_vertadr[number] :]
    corners = vertices[model.mesh_face[faces]].astype(float)
    flat = _flat(corners)
    smooth = model.mesh_normal[model.mesh_normaladr[number] :][model.mesh_facenormal[faces]]
    bent = (smooth * flat).sum(-1, keepdims=True) < SHARP
    return Triangles(corners, np.where(bent, flat, smooth))


def height_field(model: MjModel, number: int) -> Triangles:
    """A height field of a model, with the walls around it."""
    rows, columns, first = model.hfield_nrow[number], model.hfield_ncol[number], model.hfield_adr[number]
    reach_x, reach_y, top, bottom = model.hfield_size[number]
    heights = model.hfield_data[first : first + rows * columns].reshape(rows, columns) * top
    x, y = np.linspace(-reach_x, reach_x, columns), np.linspace(-reach_y, reach_y, rows)
    y, x = np.meshgrid(np.pad(y, 1, "edge"), np.pad(x, 1, "edge"), indexing="ij")
    points = np.stack([x, y, np.pad(heights, 1, constant_values=-bottom)], -1)
    a, b, c, d = points[:-1, :-1], points[:-1, 1:], points[1:, 1:], points[1:, :-1]
    corners = np.concatenate([np.stack(t, -2).reshape(-1, 3, 3) for t in ((a, b, c), (a, c, d))])
    return Triangles(corners, _flat(corners))


def _flat(corners: np.ndarray) -> np.ndarray:
    """The normals of flat triangles, of length 1, at their corners."""
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return np.repeat(normals[:, None], 3, 1)
