"""What computes a task's physics, and MuJoCo's own engine as such."""

from collections.abc import Hashable, Mapping
from typing import NoReturn, Protocol, runtime_checkable

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, UInt32

from lerax.render.mujoco_types import MjData, MjModel

from .. import host_call
from .mjx import Mjx
from .native import Native, Task

UPPER_HALF_OF_1 = 0x3FF00000  # as float64

Row = UInt32[Array, " words"] | Float[Array, " numbers"]
"""A simulation: words of float64 numbers (`lerax.env.mujoco.native`), or float32 numbers for MJX."""
Stepped = tuple[Row, dict[str, Array], Float[Array, " tracked"], Bool[Array, ""]]
"""The next row, the fields, by how much what the task tracks has changed, and if the engine gave up."""


@runtime_checkable
class Physics(Protocol):
    """Steps simulations, of which a row of numbers holds all; rows are for JAX to map.

    Attributes:
        shapes: The fields that are read of a simulation, and their shapes.
    """

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]: ...

    def displaced(self, positions: Float[Array, " nq"], velocities: Float[Array, " nv"]) -> Row:
        """A row that is to begin with these differences from the model's own beginning; its end is not 0."""
        ...

    def begin(self, row: Row) -> tuple[Row, dict[str, Array]]:
        """Begins the episode of a row from `displaced`: the row, and the fields."""
        ...

    def step(self, row: Row, action: Float[Array, " nu"]) -> Stepped:
        """Steps once."""
        ...

    def data(self, row: np.ndarray) -> MjData:
        """A new `mujoco.MjData` in the state of a row, and brought up to date."""
        ...


class OnHost:
    """MuJoCo's own engine, called on the host from compiled programs.

    Args:
        task: The environment.
        model: Its `mujoco.MjModel`.
        threads: Threads that simulate; 0 for one per core that the process may use.
        owner: What tells environments apart.

    Attributes:
        shapes: The fields that are read of a simulation, and their shapes.
    """

    def __init__(self, task: Task, model: MjModel, threads: int, owner: Hashable):
        self._native, self._name = Native(task, model, threads), task.name
        self.shapes = self._native.shapes
        self._results = (
            jax.ShapeDtypeStruct((2 * self._native.row_size,), jnp.uint32),
            jax.ShapeDtypeStruct((self._native.ends[-1],), jnp.float32),
        )
        self._numbers = {
            function.__name__: host_call.register(
                owner, function.__name__.encode() + self._native.key, function
            )
            for function in (self._native.begin, self._native.step)
        }

    def displaced(
        self, positions: Float[Array, " nq"], velocities: Float[Array, " nv"]
    ) -> UInt32[Array, " words"]:
        offsets = jnp.concatenate([positions, velocities]).astype(jnp.float32)  # JAX may be in its x64 mode
        words = lax.bitcast_convert_type(offsets, jnp.uint32)
        row = jnp.zeros(2 * self._native.row_size, jnp.uint32)
        return row.at[: len(words)].set(words).at[-1].set(UPPER_HALF_OF_1)

    def begin(self, row: UInt32[Array, " words"]) -> tuple[UInt32[Array, " words"], dict[str, Array]]:
        return self._call("begin", row)[:2]

    def step(self, row: UInt32[Array, " words"], action: Float[Array, " nu"]) -> Stepped:
        return self._call("step", row, action)

    def data(self, row: UInt32[np.ndarray, " words"]) -> MjData:
        return self._native.data(row)

    def _call(self, name: str, *given: Array) -> Stepped:
        ask = jax.custom_jvp(lambda *given: host_call.call(self._numbers[name], self._results, *given))

        @ask.defjvp
        def _(*_: object) -> NoReturn:
            raise TypeError(
                f"{self._name}: MuJoCo's engine has no derivatives (got a gradient through a step); "
                'use jax.lax.stop_gradient on the action, or physics="mjx"'
            )

        row, read = ask(*given)  # type: ignore[misc]
        *fields, moved, failed = jnp.split(read, self._native.ends[:-1])
        shaped = (field.reshape(shape) for field, shape in zip(fields, self.shapes.values(), strict=True))
        return row, dict(zip(self.shapes, shaped, strict=True)), moved, failed[0] > 0


def make_physics(kind: str, task: Task, model: MjModel, threads: int, owner: Hashable) -> Physics:
    """The physics that a task asks for by name."""
    return Mjx(task, model) if kind == "mjx" else OnHost(task, model, threads, owner)
