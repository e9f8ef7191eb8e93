"""Light: what reaches a surface, and the colour that it gives to it."""

from dataclasses import dataclass

import numpy as np

from lerax.render.mujoco_types import MjvLight

from .solids import TINY, Pose, Vector, dot


@dataclass(frozen=True)
class Material:
    """How a surface takes light.

    Attributes:
        color: Red, green and blue in [0, 1].
        alpha: 1, or less if one can see through it.
        emission: The part of its colour that needs no light.
        specular: How much light it mirrors.
        shininess: How small its highlights are, in [0, 1].
        casts: Whether it throws shadows.
    """

    color: np.ndarray
    alpha: float
    emission: float
    specular: float
    shininess: float
    casts: bool


class Light:
    """A light of a scene.

    Args:
        light: A `mujoco.MjvLight`.
        directional: Whether it comes from a direction, not from a place.
        spot: Whether it shines into a cone only.

    Attributes:
        casts: Whether what it shines on throws shadows.
        reach: How often the way to it fits before it: once, or endlessly if it comes from a direction.
        ambient: Its colour on everything that it reaches.
        diffuse: Its colour on what faces it.
        specular: The colour of its highlights.
    """

    def __init__(self, light: MjvLight, directional: bool, spot: bool):
        self.casts, self._spot, self._directional = bool(light.castshadow), spot, directional
        self.reach = float("inf") if directional else 1.0
        self._direction = np.array(light.dir, float)
        self._place = np.append(-self._direction, 0) if directional else np.append(light.pos, 1.0)
        self.ambient, self.diffuse, self.specular = (
            np.array(color, np.float32)[:, None] for color in (light.ambient, light.diffuse, light.specular)
        )
        fading = [float(part) for part in light.attenuation]
        self._fading = fading if any(fading) else [1.0, 0.0, 0.0]
        self._edge, self._exponent = float(np.cos(np.radians(light.cutoff))), float(light.exponent)

    def way(self, point: Vector, pose: Pose) -> Vector:
        """The ways from points of a frame to the light, in that frame."""
        if self._directional:
            return -self._along(pose)
        return (pose.axes @ (self._place[:3] - pose.position)).astype(np.float32)[:, None] - point

    def reaching(self, point: Vector, pose: Pose) -> tuple[Vector, np.ndarray | np.float32]:
        """The direction to it, of length 1, and how much of it arrives, at points of a frame."""
        way = self.way(point, pose)
        if self._directional:
            return way, np.float32(1)
        distance = np.sqrt(np.maximum(dot(way, way), TINY))
        toward = way / distance
        arrives = 1 / (self._fading[0] + distance * (self._fading[1] + distance * self._fading[2]))
        if self._spot:
            inside = dot(toward, -self._along(pose))
            arrives = arrives * power(inside, self._exponent) * (inside >= self._edge)
        return toward, arrives

    def _along(self, pose: Pose) -> Vector:
        """Where it shines, in a frame."""
        return (pose.axes @ self._direction).astype(np.float32)[:, None]

    def above(self, ground: Pose) -> float:
        """How far above the plane z = 0 of a frame it is, or how steeply it shines on it."""
        return float(_plane(ground) @ self._place)

    def onto(self, ground: Pose) -> np.ndarray:
        """The matrix [4, 4] from homogeneous points to their shadows on the plane z = 0 of a frame."""
        return np.eye(4) * self.above(ground) - np.outer(self._place, _plane(ground))


def _plane(ground: Pose) -> np.ndarray:
    return np.append(ground.axes[2], -ground.axes[2] @ ground.position)


def power(base: np.ndarray, exponent: float) -> np.ndarray:
    """The power of numbers, those below 0 taken for 0."""
    return np.exp(exponent * np.log(np.maximum(base, TINY)))
