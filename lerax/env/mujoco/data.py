"""What a task reads of a simulation."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float

from lerax.render.mujoco_types import MjModel

Judged = tuple[Float[ArrayLike, ""], Bool[ArrayLike, ""]]
"""The reward of a step, and whether the task is over."""
Tracked = Float[Array | np.ndarray, "*simulation tracked"]
"""Numbers of which the difference between two steps matters, such as a position."""


class Data:
    """Fields of `mujoco.MjData` of one simulation, by name, as attributes: `data.qpos[0]`.

    Args:
        model: The `mujoco.MjModel`.
        frame_skip: Steps of the engine in one step of the environment.
        fields: The fields.

    Attributes:
        model: The `mujoco.MjModel`.
        dt: Seconds between two steps of the environment.
    """

    def __init__(self, model: MjModel, frame_skip: int, fields: Mapping[str, Array | np.ndarray]):
        self.model, self.dt = model, model.opt.timestep * frame_skip
        self.__dict__.update(fields)

    def body(self, name: str | int) -> int:
        """The number of a body of the model."""
        return name if isinstance(name, int) else self.model.body(name).id

    def __getattr__(self, name: str) -> Array:
        raise AttributeError(f"{name}: not read from the simulation; name it in the class's `fields`")
