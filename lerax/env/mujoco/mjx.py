"""MJX, MuJoCo's engine written in JAX, as a pure function of a row of numbers: physics for accelerators.

A row is laid out as one of `lerax.env.mujoco.native`, but of float32 and without what no step changes: the
engine's state, what the task compares with the next step, and a mark if it holds, instead, how an episode
that is to begin differs from the model's own beginning.
"""

import contextlib
import io
from importlib import metadata
from types import ModuleType
from typing import Any

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float

from lerax import tree
from lerax.errors import SettingError
from lerax.render.mujoco_types import MjData, MjModel

from .data import Data
from .model import engine
from .native import AFTER_STEP, Task, fields_of

NEEDED = "mujoco-mjx>=3.17"  # it imports and agrees with mujoco 4.0.0; no 4.0 of its own exists yet
STATE = ("TIME", "QPOS", "QVEL", "ACT", "WARMSTART", "CTRL")  # what changes, of MuJoCo's mjtState
MOST = 1e10  # a number beyond it is what MuJoCo calls an instability (mjMAXVAL)


class Mjx:
    """Steps one simulation; `jax.vmap` steps many.

    Args:
        task: The environment.
        model: Its `mujoco.MjModel`.

    Attributes:
        shapes: The fields that are read of a simulation, and their shapes.

    Raises:
        ImportError: mujoco-mjx is missing, or does not fit the mujoco that is installed.
        ValueError: MJX cannot simulate the model, or does not compute what the task reads.
    """

    def __init__(self, task: Task, model: MjModel):
        self._mujoco, self._task, self._host_model = engine(), task, model
        self._mjx = import_mjx()
        self._kind = sum(getattr(self._mujoco.mjtState, f"mjSTATE_{name}").value for name in STATE)
        self._state_size = self._mujoco.mj_stateSize(model, self._kind)
        with jax.ensure_compile_time_eval():  # the first use of an environment may be in traced code
            self._model, self._start = self._put()
            self._check()
            fields = self._read(self._start)
            self.shapes = {name: field.shape for name, field in fields.items()}
            self._row_size = self._state_size + self._track(fields).shape[-1] + 1

    def displaced(
        self, positions: Float[Array, " nq"], velocities: Float[Array, " nv"]
    ) -> Float[Array, " row"]:
        """A row that is to begin with these differences from the model's own beginning."""
        offsets = jnp.concatenate([positions, velocities])
        row = jnp.zeros(self._row_size, self._start.qpos.dtype)
        return row.at[: len(offsets)].set(offsets).at[-1].set(1)

    def begin(self, row: Float[Array, " row"]) -> tuple[Float[Array, " row"], dict[str, Array]]:
        """Begins the episode of a row from `displaced`: the row, and the fields."""
        nq, nv = self._host_model.nq, self._host_model.nv
        qpos = self._start.qpos + row[:nq]
        data = self._start.replace(qpos=qpos, qvel=row[nq : nq + nv])
        if self._task.fields:  # what a task reads beside the state has to be computed
            with jax.default_matmul_precision("highest"):
                data = self._mjx.forward(self._model, data)
            data = data.replace(qpos=qpos)  # whose rotations it has normalized
        fields = self._read(data)
        return self._pack(self._mjx.get_state(self._model, data, self._kind), self._track(fields)), fields

    def step(
        self, row: Float[Array, " row"], action: Float[Array, " nu"]
    ) -> tuple[Float[Array, " row"], dict[str, Array], Float[Array, " tracked"], Bool[Array, ""]]:
        """The next row, the fields, by how much what the task tracks has changed, and if it is unstable."""
        state, before = row[: self._state_size], row[self._state_size : -1]
        old = self._mjx.set_state(self._model, self._start, state, self._kind)
        old = old.replace(ctrl=action.astype(old.ctrl.dtype))
        with jax.default_matmul_precision("highest"):  # a GPU would round factors to 10 bits
            one = lambda _, data: self._mjx.step(self._model, data)
            new = lax.fori_loop(0, self._task.frame_skip, one, old)
            if set(AFTER_STEP) & set(self._task.fields):
                new = self._mjx.rne_postconstraint(self._model, new)
        stepped = self._mjx.get_state(self._model, new, self._kind)
        stable = (jnp.abs(stepped) < MOST).all()  # false of NaN, too
        fields = tree.where(stable, self._read(new), self._read(old))
        now = self._track(fields)
        return self._pack(jnp.where(stable, stepped, state), now), fields, now - before, ~stable

    def data(self, row: np.ndarray) -> MjData:
        """A new `mujoco.MjData` in the state of a row, and brought up to date."""
        data = self._mujoco.MjData(self._host_model)
        state = np.asarray(row)[: self._state_size].astype(np.float64)
        self._mujoco.mj_setState(self._host_model, data, state, self._kind)
        self._mujoco.mj_forward(self._host_model, data)
        return data

    def _pack(self, state: Array, tracked: Array) -> Array:
        return jnp.concatenate([state, tracked, jnp.zeros(1, state.dtype)])

    def _track(self, fields: dict[str, Array]) -> Array:
        return jnp.asarray(self._task.track(Data(self._host_model, self._task.frame_skip, fields)))

    def _read(self, data: Any) -> dict[str, Array]:
        return {name: _field(data, name) for name in fields_of(self._task)}

    def _put(self) -> tuple[Any, Any]:
        """MJX's own model, and its simulation at the model's beginning."""
        try:
            device = jnp.zeros(()).device  # JAX's default; MJX's is the first of all
            model = self._mjx.put_model(self._host_model, device, impl="jax")
            return model, self._mjx.make_data(model, device, impl="jax")
        except NotImplementedError as error:
            raise self._refusal(f"cannot simulate the model: it lacks {error}") from None
        except Exception as error:
            raise ImportError(_misfit(error)) from error

    def _check(self) -> None:
        """What MJX would pass over in silence: state that it never steps, and fields that it lacks."""
        mujoco, model, host = self._mujoco, self._host_model, self._mujoco.MjData(self._host_model)
        for name in fields_of(self._task):
            found = _field(self._start, name)
            if not isinstance(found, jax.Array) or found.shape != np.shape(getattr(host, name)):
                raise self._refusal(f"does not compute the field {name}")
        for name, kind in mujoco.mjtState.__members__.items():
            part = kind.value & mujoco.mjtState.mjSTATE_FULLPHYSICS.value & ~self._kind
            if kind.value.bit_count() == 1 and mujoco.mj_stateSize(model, part):
                raise self._refusal(f"does not step what the model has of {name}")

    def _refusal(self, what: str) -> SettingError:
        hint = 'use physics="native" or another model'
        return SettingError("physics", "mjx", wrong=f"MJX {what}", hint=hint, said=self._task.name)


def import_mjx() -> ModuleType:
    """MJX.

    Raises:
        ImportError: It is missing, or does not fit the mujoco that is installed.
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints that Warp, which is optional, is missing
            from mujoco import mjx  # type: ignore[attr-defined]
    except Exception as error:
        raise ImportError(_misfit(error)) from None
    return mjx


def _field(data: Any, name: str) -> Any:
    """A field of MJX's data, which keeps some of them apart; None if it has no such field."""
    return getattr(data if name in type(data).__dataclass_fields__ else data._impl, name, None)


def _misfit(error: Exception) -> str:
    """One line that says what is there and what to install."""
    got = f"mujoco {engine().__version__}"
    try:
        got += f" and mujoco-mjx {metadata.version('mujoco-mjx')}: {' '.join(str(error).split())[:200]}"
    except metadata.PackageNotFoundError:
        got += " without it"
    return f'physics: "mjx" needs {NEEDED} (got {got}); pip install \'lerax[mjx]\', or use physics="native"'
