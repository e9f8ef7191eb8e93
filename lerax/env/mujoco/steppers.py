"""What steps simulations of MuJoCo's engine, many at once: its own threads, or Python's."""

import contextlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Int

from lerax.render.mujoco_types import MjData, MjModel

from .data import Data
from .model import engine, gave_up

AFTER_STEP = ("cacc", "cfrc_int", "cfrc_ext")  # fields that only mj_rnePostConstraint computes

Copies = list[tuple[np.ndarray, np.ndarray]]
"""Arrays that are filled after a step, each with the one that it is a copy of."""
Worker = tuple[MjData, Copies]


class Batched:
    """Simulations that MuJoCo's own thread pool steps."""

    def __init__(self, model: MjModel, count: int, threads: int, fields: Iterable[str], skip: int, size: int):
        from mujoco import batch  # type: ignore[attr-defined]

        self._batch = batch.Batch(model, count, nthread=threads)
        self._failures = batch.SimulationError
        self.state: np.ndarray = self._batch.state[:, :size]
        self.controls: np.ndarray = self._batch.bind("ctrl")
        self.data = Data(model, skip, {name: self._batch.bind(name) for name in fields})

    def forward(self, which: Int[np.ndarray, " some"]) -> None:
        """Computes the fields of some simulations from their states."""
        self._batch.forward(which)

    def step(self, frame_skip: int) -> Int[np.ndarray, " some"]:
        """Steps all. Returns those in which the engine gave up; they stay as they were."""
        try:
            self._batch.step(nstep=frame_skip)
        except self._failures as error:
            gave_up(self._batch.error(int(error.ids[0])))
            return error.ids
        return np.empty(0, int)


class Threaded:
    """Simulations of which contact forces are wanted, which have to be asked for after each step."""

    def __init__(self, model: MjModel, count: int, threads: int, fields: Iterable[str], skip: int, size: int):
        self._mujoco, self._model = engine(), model
        self._kind = carried(model)
        self.state = np.zeros((count, size))
        self._rows = list(self.state)
        in_state = {name: self._where(name) for name in ("qpos", "qvel", "ctrl")}
        arrays = {name: self.state[:, start : start + size] for name, (start, size) in in_state.items()}
        derived = [name for name in fields if name not in in_state]
        datas = [self._mujoco.MjData(model) for _ in range(threads)]
        # With each data the arrays to copy after a step, and where: asking for one by name makes it anew.
        self._workers: list[Worker] = []
        for name in derived:
            arrays[name] = np.zeros((count, *np.shape(getattr(datas[0], name))))
        for data in datas:
            self._workers.append((data, [(arrays[name], getattr(data, name)) for name in derived]))
        self.controls, self.data = arrays["ctrl"], Data(model, skip, arrays)
        self._pool = ThreadPoolExecutor(max(1, threads - 1))  # whose threads start when they are asked for

    def _where(self, name: str) -> tuple[int, int]:
        """Where in a state a part of it lies, and how long it is."""
        bit = getattr(self._mujoco.mjtState, f"mjSTATE_{name.upper()}").value
        before = self._mujoco.mj_stateSize(self._model, self._kind & (bit - 1))
        return before, self._mujoco.mj_stateSize(self._model, bit)

    def forward(self, which: Int[np.ndarray, " some"]) -> None:
        """Computes the fields of some simulations from their states."""
        mujoco, model, (data, derived) = self._mujoco, self._model, self._workers[0]
        for i in which.tolist():
            mujoco.mj_resetData(model, data)
            mujoco.mj_setState(model, data, self._rows[i], self._kind)
            mujoco.mj_forward(model, data)
            self._take(i, data, derived)

    def step(self, frame_skip: int) -> Int[np.ndarray, " some"]:
        """Steps all. Returns those in which the engine gave up; they stay as they were."""
        waiting = iter(range(len(self._rows)))  # whoever is free takes the next: some take longer than others
        failed: list[int] = []
        own, *others = self._workers
        running = []
        with contextlib.suppress(
            RuntimeError
        ):  # Python is ending and pools start nothing: this thread does all
            for other in others:
                running.append(self._pool.submit(self._steps, other, waiting, frame_skip, failed))
        self._steps(own, waiting, frame_skip, failed)
        for future in running:
            future.result()
        return np.array(failed, int)

    def _steps(self, worker: Worker, waiting: Iterator[int], frame_skip: int, failed: list[int]) -> None:
        mujoco, model, (data, derived) = self._mujoco, self._model, worker
        for i in waiting:
            mujoco.mj_setState(model, data, self._rows[i], self._kind)
            try:
                mujoco.mj_step(model, data, nstep=frame_skip)
                mujoco.mj_rnePostConstraint(model, data)
            except mujoco.FatalError as error:
                gave_up(str(error))
                failed.append(i)
                continue
            self._take(i, data, derived)

    def _take(self, i: int, data: MjData, derived: Copies) -> None:
        self._mujoco.mj_getState(self._model, data, self._rows[i], self._kind)
        for array, field in derived:
            array[i] = field


def carried(model: MjModel) -> int:
    """The parts of an engine's state that a step changes, as bits of `mjtState`.

    For most models these are those up to the controls. Forces applied by hand, constraints switched off and
    the like, more than half of it, stay as the model has them.
    """
    mujoco = engine()
    parts = mujoco.mjtState
    whole = parts.mjSTATE_INTEGRATION.value
    if mujoco.mj_stateSize(model, parts.mjSTATE_PLUGIN.value | parts.mjSTATE_PLASTIC.value):
        return whole
    return whole & (2 * parts.mjSTATE_CTRL.value - 1)
