"""CheckpointCallback: the whole state on disk, every so often and at the end."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Int, Key

from lerax.checkpoints import Checkpoints
from lerax.interval import Interval, read_interval
from lerax.settings import check_count, check_instance

from . import outbox
from .base_callback import AbstractCallback, OwnState, TrainingContext, next_multiple
from .episode import EpisodeStatistics
from .logging import LoggingCallback
from .stop import NonFiniteState

# That backends get to write down what is logged up to a checkpoint, and after one that was late. With the
# time that they get to close it is within the ten seconds in which a process has to end.
FLUSH_SECONDS, LATE_SECONDS = 1.5, 0.1


class CheckpointCallback(AbstractCallback):
    """Saves the whole state: at the start, every so often, and at the end of a `run`.

    Put it behind the other callbacks, so that what they do in the same iteration comes before. Training pays
    for a copy of the state; a thread of its own writes it. A state in which `StopOnNonFinite` has found
    something is not saved. A training goes on from the newest checkpoint with

        algorithm.run(checkpoint.load(path, algorithm.template(env, policy, callback=callbacks)), steps)

    Works where the host drives training; inside a `jax.jit` of yours it does nothing and warns.

    Args:
        folder: The folder for the checkpoints of this training.
        every: Environment steps (`50_000`), a part of the training (`"5%"`) or a time (`"10m"`).
        keep: How many of the newest are kept; the one with the best score is kept beside them.
        logger: Its records up to a checkpoint are written before that can be seen, and its moving average of
            the episodes' returns is the checkpoint's score.
        metadata: What else the checkpoints are to say.
        seconds: Seconds of training before this `run`, where it goes on with another process's.

    Raises:
        ValueError: `every` is no interval, or `keep` below 1.
        TypeError: `logger` is no LoggingCallback.
    """

    logger: LoggingCallback | None
    _handle: Int[Array, ""]

    def __init__(
        self,
        folder: str | Path,
        *,
        every: int | str | Interval = "10m",
        keep: int = 2,
        logger: LoggingCallback | None = None,
        metadata: Mapping[str, Any] | None = None,
        seconds: float = 0.0,
    ):
        if logger is not None:
            check_instance("logger", logger, LoggingCallback, "LoggingCallback(ConsoleBackend())")
        self.logger = logger
        store = Checkpoints(Path(folder), keep=check_count("keep", keep, 2))
        saver = _Saver(store, read_interval("every", every), dict(metadata or {}), seconds)
        self._handle = jnp.array(outbox.register(saver), jnp.int32)

    @property
    def checkpoints(self) -> Checkpoints:
        """Those that there are."""
        return self._saver.store

    @property
    def saved(self) -> dict[str, Any] | None:
        """The metadata of what was saved last; None for nothing yet."""
        return self._saver.last

    def request(self) -> None:
        """Asks for a checkpoint after the current chunk, from a signal handler or another thread."""
        self._saver.requested = True

    def on_training_start(self, ctx: TrainingContext, *, key: Key[Array, ""]) -> Any:
        outbox.warn_inside_jit("CheckpointCallback")
        told = _Training(
            ctx.iteration_count, ctx.locals["total_iterations"], ctx.algorithm.steps_per_iteration
        )
        outbox.emit(self._handle, told)
        return ctx.state

    def on_phase(self, phase: str) -> None:
        self._saver.phase(phase)

    def next_due(self, iteration: int) -> int | None:
        every = self._saver.iterations
        return None if every is None else next_multiple(iteration, every)

    def due_now(self) -> bool:
        return self._saver.due()

    def on_host(self, state: Any, own: OwnState, iteration: int) -> None:
        saver, logger = self._saver, self.logger
        found = [one for one in state.callback_state if isinstance(one, NonFiniteState)]
        if any(int(one.iteration) for one in found):
            return saver.done(iteration)
        seconds = 0.0 if logger is None else logger.elapsed
        flush = lambda: logger is None or saver.flush(logger)
        saver.save(state, iteration, _score(state), flush, seconds)

    @property
    def _saver(self) -> "_Saver":
        found = outbox.receiver_of(int(self._handle))
        assert isinstance(found, _Saver)
        return found


class _Training(eqx.Module):
    """What is known when training begins."""

    done: Int[Array, ""]
    total: Int[Array, ""]
    steps_per_iteration: int = eqx.field(static=True)


class _Saver:
    """The host's half of a CheckpointCallback.

    Attributes:
        store: The checkpoints.
        steps_per_iteration: Environment steps of an iteration.
        iterations: Iterations between two saves; None where time counts.
        requested: Whether somebody has asked for a save.
        last: The metadata of what was saved last.
    """

    def __init__(self, store: Checkpoints, every: Interval, metadata: dict[str, Any], seconds: float):
        self.store = store
        self.steps_per_iteration = 1
        self.iterations: int | None = None
        self.requested = False
        self.last: dict[str, Any] | None = None
        self._every, self._metadata, self._seconds = every, metadata, seconds
        self._handled: int | None = None  # the iteration that was saved last, or was not to be
        self._ending = self._late = False
        self._began = self._saved = time.monotonic()

    def receive(self, message: _Training, times: np.ndarray, running: np.ndarray | None) -> None:
        """Takes what is known when training begins."""
        self.steps_per_iteration = message.steps_per_iteration
        self.iterations = self._every.iterations(self.steps_per_iteration, int(np.max(message.total)))
        self._handled = None

    def phase(self, phase: str) -> None:
        """Notes when training, and when its end begins."""
        if phase == "training" and self._handled is None:
            self._began = self._saved = time.monotonic()
        self._ending = phase == "ending"

    def due(self) -> bool:
        """Whether it is time for a save, and says which ones have failed."""
        self.store.say(all=False)
        late = self._every.seconds is not None and time.monotonic() - self._saved >= self._every.seconds
        return self._handled is None or self.requested or late or self._ending

    def flush(self, logger: LoggingCallback) -> None:
        """Lets the backends write down what is logged; one that hangs is waited for once."""
        self._late = not logger.sync(LATE_SECONDS if self._late else FLUSH_SECONDS)

    def save(
        self, state: Any, iteration: int, score: float | None, flush: Callable[[], object], logged: float
    ) -> None:
        """Hands a state to the store, unless it has it.

        Whoever goes on with it is told of at least as many seconds of training as are `logged`, so that none
        of its records is older than one before.
        """
        steps = iteration * self.steps_per_iteration
        if iteration != self._handled and (self._handled is not None or self.store.at(steps) is None):
            seconds = round(max(self._seconds + time.monotonic() - self._began, logged), 3)
            self.last = {"steps": steps, "iteration": iteration, "score": score, "seconds": seconds}
            self.store.save(state, self._metadata | self.last, flush)
        self.done(iteration)

    def done(self, iteration: int) -> None:
        """Nothing more is to be saved of an iteration; at the end of training waits until all is written."""
        self._handled, self.requested, self._saved = iteration, False, time.monotonic()
        if self._ending:
            self._ending = False
            self._seconds += time.monotonic() - self._began
            self.store.wait()
            self.store.release()


def _score(state: Any) -> float | None:
    """The moving average of the episodes' returns, where a callback keeps one and an episode has ended."""
    for own in state.callback_step_state or ():
        if isinstance(own, EpisodeStatistics):
            means, begun = jax.device_get(own.over_environments())
            return float(means["episode/return"]) if begun else None
    return None
