"""What MuJoCo's classes are called in annotations: the package has no types, and takes long to import."""

from typing import Any, TypeAlias

MjData: TypeAlias = Any
MjModel: TypeAlias = Any
MjvCamera: TypeAlias = Any
MjvGLCamera: TypeAlias = Any
MjvGeom: TypeAlias = Any
MjvLight: TypeAlias = Any
MjvScene: TypeAlias = Any
