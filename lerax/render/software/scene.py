"""What is in a scene of a model: its things, its lights, its sky."""

from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

from lerax.render.mujoco_types import MjModel, MjvGeom, MjvScene

from .light import Light, Material
from .shapes import AbstractShape, Faceted, Solid
from .solids import KINDS, Pose
from .texture import Checker, checker, image, sky
from .triangles import Triangles, height_field, mesh
from .view import View

T = TypeVar("T")
WORLD = Pose(np.eye(3), np.zeros(3))
FROM_BELOW = 0.5  # how opaque planes are from there


class SceneReader:
    """Reads the scenes of a model. What does not change is read once.

    Args:
        mujoco: The module.
        model: The `mujoco.MjModel`.
    """

    def __init__(self, mujoco: ModuleType, model: MjModel):
        self._mujoco, self._model = mujoco, model
        self._color_role = mujoco.mjtTextureRole.mjTEXROLE_RGB.value
        self._kinds = {self._code(kind): kind for kind in KINDS}
        self._known: dict[tuple[Callable, int], Any] = {}
        self._background: tuple[tuple, np.ndarray] | None = None

    def lights(self, scene: MjvScene) -> list[Light]:
        """The lights of a `mujoco.MjvScene`."""
        kinds = self._mujoco.mjtLightType
        directional, spot = kinds.mjLIGHT_DIRECTIONAL.value, kinds.mjLIGHT_SPOT.value
        lights = scene.lights[: scene.nlight]
        return [Light(light, light.type == directional, light.type == spot) for light in lights]

    def shapes(self, scene: MjvScene, view: View) -> list[AbstractShape]:
        """Its things in the order in which they are to be drawn: those that can be seen through last.

        Arrows, wire frames and labels, which only debugging shows, are left out.
        """
        shapes = [self._shape(geom, scene, view) for geom in scene.geoms[: scene.ngeom]]

        def order(shape: AbstractShape) -> tuple:
            clear, distance = shape.material.alpha < 1, np.linalg.norm(shape.pose.position - view.position)
            return (1, -distance) if clear else (0, shape.flat)

        return sorted((shape for shape in shapes if shape is not None), key=order)

    def background(self, scene: MjvScene, view: View) -> np.ndarray:
        """What a camera sees where there is nothing: uint8, `[3, height, width]`."""
        wanted = bool(scene.flags[self._mujoco.mjtRndFlag.mjRND_SKYBOX.value])
        key = (view.axes.tobytes(), view.left, view.top, view.pixel, wanted)
        if self._background is None or self._background[0] != key:
            skies = np.flatnonzero(self._model.tex_type == self._mujoco.mjtTexture.mjTEXTURE_SKYBOX.value)
            shown = wanted and len(skies)
            black = np.zeros((3, view.height, view.width), np.uint8)
            self._background = key, sky(image(self._model, int(skies[0])), view) if shown else black
        return self._background[1]

    def _shape(self, geom: MjvGeom, scene: MjvScene, view: View) -> AbstractShape | None:
        pose = Pose(np.array(geom.mat, float).reshape(3, 3).T, np.array(geom.pos, float))
        material, pattern = self._material(geom, pose, view)
        if geom.type in self._kinds:
            return Solid(self._kinds[geom.type], np.array(geom.size, float), pose, material, pattern)
        if geom.type == self._code("line"):
            return _line(geom, pose, material, view)
        if geom.type in (self._code("mesh"), self._code("sdf")):
            return Faceted(self._once(mesh, geom.dataid // 2), pose, material)
        if geom.type == self._code("hfield"):
            return Faceted(self._once(height_field, geom.dataid), pose, material)
        triangles = self._soft(geom, scene)
        return None if triangles is None else Faceted(triangles, WORLD, material)

    def _soft(self, geom: MjvGeom, scene: MjvScene) -> Triangles | None:
        """What bends, in the world's frame."""
        number = geom.objid
        if geom.type == self._code("flex"):
            part = slice(scene.flexfaceadr[number], scene.flexfaceadr[number] + scene.flexfaceused[number])
            return Triangles(scene.flexface.reshape(-1, 3, 3)[part], scene.flexnormal.reshape(-1, 3, 3)[part])
        if geom.type == self._code("skin"):
            first, corner = self._model.skin_faceadr[number], scene.skinvertadr[number]
            corners = self._model.skin_face[first : first + self._model.skin_facenum[number]] + corner
            return Triangles(scene.skinvert.reshape(-1, 3)[corners], scene.skinnormal.reshape(-1, 3)[corners])
        return None

    def _material(self, geom: MjvGeom, pose: Pose, view: View) -> tuple[Material, Checker | None]:
        """What a thing is made of; of its texture, the checker of a plane, or else the mean colour."""
        model, plane = self._model, geom.type == self._code("plane")
        color, alpha, pattern = np.array(geom.rgba[:3], float), float(geom.rgba[3]), None
        texture = model.mat_texid[geom.matid, self._color_role] if geom.matid >= 0 else -1
        if texture >= 0:
            mean, colors = self._once(_texture, int(texture))
            if plane and colors is not None:
                uniform, repeat = model.mat_texuniform[geom.matid], model.mat_texrepeat[geom.matid]
                pattern = _checker(np.array(geom.size[:2], float), colors, bool(uniform), repeat)
            else:
                color *= mean
        below = plane and pose.axes[2] @ (view.position - pose.position) < 0
        alpha = alpha * FROM_BELOW if below else 1 - (1 - alpha) ** 2  # MuJoCo draws the back and the front
        gloss = float(geom.specular), float(geom.shininess)
        casts = bool(getattr(geom, "castshadow", True))  # MuJoCo 3 lacks it
        return Material(color, alpha, float(geom.emission), *gloss, casts), pattern

    def _code(self, kind: str) -> int:
        return getattr(self._mujoco.mjtGeom, f"mjGEOM_{kind.upper()}").value

    def _once(self, read: Callable[[MjModel, int], T], number: int) -> T:
        key = read, number
        if key not in self._known:
            self._known[key] = read(self._model, number)
        return self._known[key]


def _texture(model: MjModel, number: int) -> tuple[np.ndarray, np.ndarray | None]:
    """The mean colour of a texture, and the two of a checker."""
    picture = image(model, number)
    return picture.mean((0, 1)) / 255, checker(picture)


def _checker(size: np.ndarray, colors: np.ndarray, uniform: bool, repeat: np.ndarray) -> Checker:
    """The checker of a plane that shows a texture repeatedly.

    Args:
        size: Half its lengths along x and y; 0 if it has no end.
        colors: The checker's.
        uniform: Whether the texture is repeated in each unit of length, not over the whole.
        repeat: How often along x and y.
    """
    endless = size <= 0
    scale = np.where(endless | uniform, repeat, repeat / np.where(endless, 1, size))
    return Checker(colors, scale, np.where(endless, 0, size) * (-1, 1))


def _line(geom: MjvGeom, pose: Pose, material: Material, view: View) -> Solid:
    """A capsule for a line, which begins at its position, as many pixels wide as its first size says."""
    length = float(geom.size[2])
    middle = pose.position + pose.axes[2] * length / 2
    distance = 1.0 if view.parallel else max(view.axes[2] @ (middle - view.position), view.near)
    radius = max(float(geom.size[0]), 1.0) * view.pixel * distance / 2
    return Solid("capsule", np.array([radius, radius, length / 2]), Pose(pose.axes, middle), material)
