"""MuJoCo's own engine as a pure function of a row of numbers, on all cores.

A row holds what steps change of an engine's state, what the task compares with the next step, and a mark if
it holds, instead, how an episode that is to begin differs from the model's own beginning. It is float64, and
travels through JAX's float32 programs as uint32 words, bit for bit: rounded to float32 a simulation would
drift within a few hundred steps.
"""

import functools
import math
import threading
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from lerax import cores
from lerax.render.mujoco_types import MjData, MjModel

from .data import Data, Tracked
from .model import engine, model_bytes, tell_warnings
from .steppers import AFTER_STEP, Batched, Threaded, carried

KEPT_SIZES = 8  # numbers of rows for which simulations are kept


@runtime_checkable
class Task(Protocol):
    """What the bridge asks of an environment."""

    @property
    def name(self) -> str: ...

    @property
    def frame_skip(self) -> int: ...

    fields: ClassVar[tuple[str, ...]]

    def track(self, data: Data) -> Tracked: ...


class Native:
    """Steps simulations of one model; holds them as scratch space only.

    Args:
        task: The environment.
        model: Its `mujoco.MjModel`.
        threads: How many to step with; 0 for one per core that a training has.

    Attributes:
        shapes: The fields that are read of a simulation, and their shapes.
        row_size: Numbers in a row.
        ends: Where in what is read the fields end, each in turn, then the change of what the task tracks,
            then the mark that the engine gave up.
        key: What the results depend on.
    """

    def __init__(self, task: Task, model: MjModel, threads: int = 0):
        self._mujoco, self._task, self._model = engine(), task, model
        self._threads = threads
        mujoco = self._mujoco
        self._kind = carried(model)
        data = mujoco.MjData(model)
        self.shapes = {name: np.shape(getattr(data, name)) for name in fields_of(task)}
        # Methods of a Module are bound anew, slowly, each time they are asked for.
        self._track = functools.partial(type(task).track, task)
        self._template = np.empty(mujoco.mj_stateSize(model, self._kind))
        mujoco.mj_getState(model, data, self._template, self._kind)
        one = {name: np.array(getattr(data, name))[None] for name in self.shapes}
        self._tracked = np.asarray(self._track(Data(model, task.frame_skip, one))).shape[-1]
        self.row_size = len(self._template) + self._tracked + 1
        sizes = [*(math.prod(shape) for shape in self.shapes.values()), self._tracked, 1]
        self.ends: list[int] = np.cumsum(sizes).tolist()
        self._others = list(zip(self.shapes, self.ends, strict=False))[2:]  # than positions and velocities
        self._lock = threading.Lock()
        self._free: dict[int, list[Batched | Threaded]] = {}  # simulations that nobody uses, by their number
        self.key = model_bytes(model) + repr((task, self.row_size, mujoco.__version__)).encode()

    def begin(self, inputs: list[np.ndarray], outputs: list[np.ndarray]) -> None:
        """Begins the episodes of those rows that hold only what is random about it; all others stay.

        Args:
            inputs: Rows as words.
            outputs: The rows, and what is read of those that begin: the numbers that `step` fills in.
        """
        rows, begun, read = inputs[0].view(np.float64), outputs[0].view(np.float64), outputs[1]
        begun[:], read[:] = rows, 0
        fresh = np.flatnonzero(rows[:, -1])
        if fresh.size:
            simulations = self._taken(len(rows))
            with np.errstate(all="ignore"):
                simulations.state[fresh] = self._template
                data, nq = simulations.data, self._model.nq
                offsets = rows[fresh].view(np.float32)[:, : nq + self._model.nv]
                data.qpos[fresh], data.qvel[fresh] = self._model.qpos0 + offsets[:, :nq], offsets[:, nq:]
                simulations.forward(fresh)
                all_rows, all_read = np.empty_like(rows), np.zeros_like(read)
                self._fill(simulations, all_rows, all_read)
                begun[fresh], read[fresh] = all_rows[fresh], all_read[fresh]
            self._free.setdefault(len(rows), []).append(simulations)
        tell_warnings(self._task.name)

    def step(self, inputs: list[np.ndarray], outputs: list[np.ndarray]) -> None:
        """One step of each row.

        Args:
            inputs: Rows as words, and actions.
            outputs: The next rows; and the fields in their order, by how much what the task tracks has
                changed, and 1 if the engine gave up.
        """
        rows, stepped, read = inputs[0].view(np.float64), outputs[0].view(np.float64), outputs[1]
        size = len(self._template)
        simulations = self._taken(len(rows))
        with np.errstate(all="ignore"):
            simulations.state[:] = rows[:, :size]
            simulations.controls[:] = inputs[1]
            failed = simulations.step(self._task.frame_skip)
            self._fill(simulations, stepped, read)
            # The difference is what float32 would lose; that of the marks is 0.
            read[:, self.ends[-3] :] = stepped[:, size:] - rows[:, size:]
            if len(failed):
                read[failed, -1] = 1
        self._free.setdefault(len(rows), []).append(simulations)
        tell_warnings(self._task.name)

    def data(self, words: np.ndarray) -> MjData:
        """A new `mujoco.MjData` in the state of a row, given as words, and brought up to date."""
        data = self._mujoco.MjData(self._model)
        row = np.asarray(words).view(np.float64)[: len(self._template)]
        self._mujoco.mj_setState(self._model, data, row, self._kind)
        self._mujoco.mj_forward(self._model, data)
        return data

    def _fill(
        self,
        simulations: Batched | Threaded,
        rows: Float[np.ndarray, "row size"],
        read: Float[np.ndarray, "row numbers"],
    ) -> None:
        """Fills in what rows keep of the simulations, and the fields."""
        size, start = len(self._template), self.ends[1]
        rows[:, :size], rows[:, size:] = simulations.state, 0
        if self._tracked:
            rows[:, size:-1] = self._track(simulations.data)
        read[:, :start] = simulations.state[:, 1 : 1 + start]  # positions and velocities, after the time
        for name, end in self._others:
            field = getattr(simulations.data, name)
            read[:, start:end].reshape(field.shape)[...] = field
            start = end

    def _taken(self, count: int) -> Batched | Threaded:
        """Scratch simulations, as many as there are rows: for each of several trainings its own.

        Whoever takes them gives them back to `_free`, unless it failed: then nobody knows what is in them.
        """
        with self._lock:
            if count not in self._free and len(self._free) == KEPT_SIZES:
                del self._free[next(iter(self._free))]
            if free := self._free.setdefault(count, []):
                return free.pop()
        kind = Threaded if set(AFTER_STEP) & set(self._task.fields) else Batched
        threads, size = min(count, self._threads or cores.share()), len(self._template)
        return kind(self._model, count, threads, self.shapes, self._task.frame_skip, size)


def fields_of(task: Task) -> tuple[str, ...]:
    """The fields of a simulation that are read, in their order."""
    return ("qpos", "qvel", *task.fields)
