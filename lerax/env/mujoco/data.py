"""What a task reads of a simulation."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any


class Data:
    """Fields of `mujoco.MjData` by name, as attributes: `data.qpos[..., 0]`.

    Where MuJoCo's own engine simulates, they are NumPy's float64 arrays with a leading axis of simulations;
    where MJX does, they are JAX's, for one simulation. Code that indexes from the right and takes its
    functions from `data.np` serves both.

    Attributes:
        np: `numpy` or `jax.numpy`.
        model: The `mujoco.MjModel`.
        dt: Seconds between two steps of the environment.
    """

    def __init__(self, module: ModuleType, model: Any, dt: float, fields: Mapping[str, Any]):
        self.np: Any = module
        self.model, self.dt = model, dt
        self.__dict__.update(fields)

    def body(self, name: str | int) -> int:
        """The number of a body of the model."""
        return name if isinstance(name, int) else self.model.body(name).id

    def __getitem__(self, name: str) -> Any:
        return self.__dict__[name]

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{name}: not read from the simulation; name it in the class's `fields`")
