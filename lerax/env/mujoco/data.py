"""What a task reads of a simulation."""

from collections.abc import Mapping
from typing import Any


class Data:
    """Fields of `mujoco.MjData` of one simulation, by name, as attributes: `data.qpos[0]`.

    Attributes:
        model: The `mujoco.MjModel`.
        dt: Seconds between two steps of the environment.
    """

    def __init__(self, model: Any, dt: float, fields: Mapping[str, Any]):
        self.model, self.dt = model, dt
        self.__dict__.update(fields)

    def body(self, name: str | int) -> int:
        """The number of a body of the model."""
        return name if isinstance(name, int) else self.model.body(name).id

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{name}: not read from the simulation; name it in the class's `fields`")
