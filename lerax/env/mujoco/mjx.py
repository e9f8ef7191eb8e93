"""MJX, MuJoCo's engine written in JAX, as a pure function of a row of numbers: physics for accelerators.

A row is laid out as one of `lerax.env.mujoco.native`, but of float32 and without what no step changes: the
engine's state, what the task compares with the next step, and a mark if it holds, instead, how an episode
that is to begin differs from the model's own beginning.
"""

import contextlib
import io
from importlib import metadata
from typing import Any

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Float

from lerax import tree

from .data import Data
from .model import engine
from .native import AFTER_STEP, Task

NEEDED = "mujoco-mjx>=3.17"  # it imports and agrees with mujoco 4.0.0; no 4.0 of its own exists yet
STATE = ("TIME", "QPOS", "QVEL", "ACT", "WARMSTART", "CTRL")  # what changes, of MuJoCo's mjtState
MOST = 1e10  # a number beyond it is what MuJoCo calls an instability (mjMAXVAL)


class Mjx:
    """Steps one simulation; `jax.vmap` steps many.

    Args:
        task: The environment.
        model: Its `mujoco.MjModel`.

    Attributes:
        seen_size: Numbers in an observation.

    Raises:
        ImportError: mujoco-mjx is missing, or does not fit the mujoco that is installed.
        ValueError: MJX cannot simulate the model, or does not compute what the task reads.
    """

    def __init__(self, task: Task, model: Any):
        self._mujoco, self._task, self._host_model = engine(), task, model
        self._mjx = import_mjx()
        self._kind = sum(getattr(self._mujoco.mjtState, f"mjSTATE_{name}").value for name in STATE)
        self._state_size = self._mujoco.mj_stateSize(model, self._kind)
        self._fields, self._dt = ("qpos", "qvel", "ctrl", *task.fields), model.opt.timestep * task.frame_skip
        with jax.ensure_compile_time_eval():  # the first use of an environment may be in traced code
            self._model, self._start = self._put()
            self._check()
            one = self._read(self._values(self._start))
            self._row_size = self._state_size + task.track(one).shape[-1] + 1
            self.seen_size = task.observe(one).shape[-1]

    def draw(self, positions: Float[Array, " nq"], velocities: Float[Array, " nv"]) -> Float[Array, " row"]:
        """A row that is to begin with these differences from the model's own beginning."""
        offsets = jnp.concatenate([positions, velocities])
        row = jnp.zeros(self._row_size, self._start.qpos.dtype)
        return row.at[: len(offsets)].set(offsets).at[-1].set(1)

    def begin(
        self, row: Float[Array, " row"], seen: Float[Array, " seen"]
    ) -> tuple[Float[Array, " row"], Float[Array, " seen"]]:
        """Begins the episode of a row from `draw`; any other stays."""
        return lax.cond(row[-1] > 0, self._begun, lambda row, seen: (row, seen), row, seen)

    def step(
        self, row: Float[Array, " row"], action: Float[Array, " nu"]
    ) -> tuple[Float[Array, " row"], Float[Array, " seen"]]:
        """One step: the next row, and observation, reward and end."""
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
        data = self._read(tree.where(stable, self._values(new), self._values(old)))
        reward, terminal = self._task.judge(data, action, before)
        seen = self._seen(data, jnp.where(stable, reward, 0), jnp.where(stable, terminal, True))
        return self._pack(jnp.where(stable, stepped, state), data), seen

    def data(self, row: np.ndarray) -> Any:
        """A new `mujoco.MjData` in the state of a row, and brought up to date."""
        data = self._mujoco.MjData(self._host_model)
        state = np.asarray(row)[: self._state_size].astype(np.float64)
        self._mujoco.mj_setState(self._host_model, data, state, self._kind)
        self._mujoco.mj_forward(self._host_model, data)
        return data

    def _begun(self, row: Array, seen: Array) -> tuple[Array, Array]:
        nq, nv = self._host_model.nq, self._host_model.nv
        qpos = self._start.qpos + row[:nq]
        data = self._start.replace(qpos=qpos, qvel=row[nq : nq + nv])
        if self._task.fields:  # what a task reads beside the state has to be computed
            with jax.default_matmul_precision("highest"):
                data = self._mjx.forward(self._model, data)
            data = data.replace(qpos=qpos)  # whose rotations it has normalized
        read, state = self._read(self._values(data)), self._mjx.get_state(self._model, data, self._kind)
        return self._pack(state, read), self._seen(read, 0, False)

    def _pack(self, state: Array, data: Data) -> Array:
        return jnp.concatenate([state, self._task.track(data), jnp.zeros(1, state.dtype)])

    def _seen(self, data: Data, reward: Any, terminal: Any) -> Array:
        end = jnp.stack([jnp.asarray(reward, jnp.float32), jnp.asarray(terminal, jnp.float32)])
        return jnp.concatenate([self._task.observe(data).astype(jnp.float32), end])

    def _read(self, values: dict[str, Any]) -> Data:
        return Data(jnp, self._host_model, self._dt, values)

    def _values(self, data: Any) -> dict[str, Array]:
        return {name: _field(data, name) for name in self._fields}

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
        for name in self._fields:
            found = _field(self._start, name)
            if not isinstance(found, jax.Array) or found.shape != np.shape(getattr(host, name)):
                raise self._refusal(f"does not compute the field {name}")
        for name, kind in mujoco.mjtState.__members__.items():
            part = kind.value & mujoco.mjtState.mjSTATE_FULLPHYSICS.value & ~self._kind
            if kind.value.bit_count() == 1 and mujoco.mj_stateSize(model, part):
                raise self._refusal(f"does not step what the model has of {name}")

    def _refusal(self, what: str) -> ValueError:
        return ValueError(
            f'physics: MJX {what} (got {self._task.name}); use physics="native" or another model'
        )


def import_mjx() -> Any:
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
