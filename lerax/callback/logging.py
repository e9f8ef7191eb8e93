"""LoggingCallback: training statistics to any number of backends."""

import atexit
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import equinox as eqx
import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Int, Key

from lerax.backend import AbstractLoggingBackend, BackendError, Dispatcher
from lerax.backend.dispatch import CLOSE_SECONDS
from lerax.env import AbstractEnvLike
from lerax.policy import AbstractPolicy
from lerax.run import NAME, claim, generated_name
from lerax.settings import setting_values
from lerax.tree import is_traced

from . import outbox
from .base_callback import (
    AbstractCallback,
    AbstractCallbackState,
    EmptyCallbackState,
    IterationContext,
    ResetContext,
    StepContext,
    TrainingContext,
)
from .episode import EpisodeStatistics, learning_rate


class LoggingCallback(AbstractCallback):
    """Logs `episode/return`, `episode/length`, `train/*` and `time/*` after each iteration.

    The x axis is environment steps. Each backend is served by a thread of its own: training neither waits
    for one nor stops when one fails. Build it outside of any `jax.jit`; training may be inside.

    Args:
        backend: One backend or several.
        name: Name of the run. By default `{policy}_{env}_{time}`, from what is given of the next two, and
            the run begins now; with neither of them `{algorithm}_{policy}_{env}_{time}`, and the run begins
            with the training.
        env: The environment, for the name.
        policy: The policy, for the name.
        alpha: Weight of the newest episode in the moving averages of each environment.
        hparams: Hyperparameters to log beside the algorithm's own.
        resume: Go on with the run of this name. Without it a name that is taken gets `-1`, `-2` and so on.
        strict: Raise where a backend cannot be opened, instead of warning and going on without it.

    Raises:
        ValueError: `alpha` is out of range, the name could leave its folder, or there is no backend.
        RuntimeError: It is built inside a JAX transformation.
        lerax.backend.BackendError: With `strict`, a backend cannot be opened.
    """

    handle: Int[Array, ""]
    alpha: float = eqx.field(static=True)

    def __init__(
        self,
        backend: AbstractLoggingBackend | Sequence[AbstractLoggingBackend],
        *,
        name: str | None = None,
        env: AbstractEnvLike | None = None,
        policy: AbstractPolicy | None = None,
        alpha: float = 0.9,
        hparams: Mapping[str, Any] | None = None,
        resume: bool = False,
        strict: bool = False,
    ):
        if is_traced():
            raise RuntimeError("LoggingCallback: built inside a JAX transformation; build it outside")
        if not 0 < alpha <= 1:
            raise ValueError(f"alpha: out of range (got {alpha}); allowed: above 0 and at most 1")
        if name is not None and not NAME.fullmatch(name):
            raise ValueError(
                f"name: not a run's name (got {name[:60]!r}); allowed: letters, digits, . _ = + -"
            )
        backends = [backend] if isinstance(backend, AbstractLoggingBackend) else list(backend)
        run = _Run(backends, dict(hparams or {}), resume, strict)
        if name is not None:
            run.open(name, explicit=True)
        elif env is not None or policy is not None:
            run.open(generated_name(*[part.name for part in (policy, env) if part is not None]))
        self.handle = jnp.array(outbox.register(run), jnp.int32)
        self.alpha = float(alpha)

    @property
    def name(self) -> str | None:
        """The run's name, None while it has not begun."""
        return self._half.name

    def close(self) -> None:
        """Writes what is left and closes the backends, within 10 seconds. More calls do nothing."""
        jax.effects_barrier()  # what training traced as a whole has sent is on its way
        self._half.close()

    def log(self, scalars: Mapping[str, float], step: int) -> None:
        """Logs scalars of your own, from ordinary Python.

        Raises:
            RuntimeError: The run has not begun, or is closed.
        """
        if self.name is None:
            raise RuntimeError("LoggingCallback: the run has not begun; give it a name, env or policy")
        self._run.log([(step, dict(scalars))])

    def __enter__(self) -> "LoggingCallback":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def step_reset(self, ctx: ResetContext, *, key: Key[Array, ""]) -> EpisodeStatistics:
        return EpisodeStatistics.initial()

    def on_step(self, ctx: StepContext, *, key: Key[Array, ""]) -> EpisodeStatistics:
        return ctx.state.after(ctx, self.alpha)

    def on_training_start(self, ctx: TrainingContext, *, key: Key[Array, ""]) -> AbstractCallbackState:
        settings = setting_values(ctx.algorithm) | {"alpha": self.alpha}
        names = (ctx.algorithm.name, ctx.policy.name, ctx.env.name)
        about = (names, ctx.algorithm.steps_per_iteration, tuple(settings.items()))
        values = {"done": ctx.iteration_count, "total": ctx.locals["total_iterations"]}
        outbox.emit(self.handle, values, kind="start", about=about)
        return EmptyCallbackState()

    def on_iteration(self, ctx: IterationContext, *, key: Key[Array, ""]) -> AbstractCallbackState:
        values = ctx.step_state.over_environments() | {"iteration": ctx.iteration_count}
        values |= {f"train/{tag}": value for tag, value in ctx.training_log.items() if jnp.ndim(value) == 0}
        values["train/learning_rate"] = learning_rate(ctx.opt_state)
        outbox.emit(self.handle, values, kind="iteration")
        return ctx.state

    def on_phase(self, phase: str) -> None:
        self._run.phase(phase)

    @property
    def _half(self) -> "_Run":
        return cast(_Run, outbox.receiver_of(int(self.handle)))

    @property
    def _run(self) -> "_Run":
        if self._half.closed:
            raise RuntimeError("LoggingCallback: already closed; build a new one")
        return self._half


class _Run:
    """The host's half of a LoggingCallback."""

    def __init__(
        self,
        backends: list[AbstractLoggingBackend],
        hparams: dict[str, Any],
        resume: bool,
        strict: bool,
    ):
        if not backends:
            raise ValueError("LoggingCallback: no backend (got an empty sequence)")
        self.name: str | None = None
        self.closed = False
        self._dispatchers = [Dispatcher(backend) for backend in backends]
        self._hparams, self._resume, self._strict = hparams, resume, strict
        self._steps_per_iteration = 1
        self._base = self._last_step = 0  # environment steps of earlier trainings, and by now
        self._began = self._last_time = time.monotonic()
        self._warned = False
        self._phase: str | None = None
        atexit.register(self.close)

    def open(self, name: str, *, explicit: bool = False) -> None:
        """Begins the run in every backend."""
        self.name = name if self._resume else self._claim(name)
        if explicit and self.name != name:
            warnings.warn(f"run {name} exists; this one is {self.name}", RuntimeWarning, stacklevel=4)
        for dispatcher in self._dispatchers:
            try:
                dispatcher.open(self.name)
            except BackendError as error:
                if self._strict:
                    self.close()
                    raise
                warnings.warn(f"{error}; training goes on without it", RuntimeWarning, stacklevel=4)
        if self._phase is not None:
            self.call("log_phase", self._phase)

    def _claim(self, name: str) -> str:
        given = [getattr(dispatcher.backend, "log_dir", None) for dispatcher in self._dispatchers]
        try:
            return claim(name, {Path(folder).resolve() for folder in given if folder is not None})
        except OSError:
            return name  # opening the backend says what is wrong with its folder

    def call(self, method: str, *arguments: Any) -> None:
        """Queues a call for every backend."""
        for dispatcher in self._dispatchers:
            dispatcher.call(method, *arguments)

    def phase(self, phase: str) -> None:
        """Tells every backend what is being done now."""
        self._phase = phase
        if phase == "training":
            self._last_time = time.monotonic()  # what came before does not count as training
        if self.name is not None:
            self.call("log_phase", phase)

    def log(self, records: list[tuple[int, dict[str, float]]]) -> None:
        """Queues records for every backend."""
        for dispatcher in self._dispatchers:
            dispatcher.log_records(records)

    def receive(self, kind: str, about: tuple, values: dict[str, np.ndarray], times: np.ndarray) -> None:
        """Takes what the traced half emits."""
        if kind == "start":
            self._start(*about, done=int(values["done"][0]), total=int(values["total"][0]))
        else:
            self._iterations(values, times)

    def close(self) -> None:
        """Ends the run in every backend; one that hangs is left behind."""
        if self.closed:
            return
        self.closed = True
        atexit.unregister(self.close)
        deadline = time.monotonic() + CLOSE_SECONDS
        for dispatcher in self._dispatchers:
            dispatcher.finish()
        while self._dispatchers:
            self._dispatchers.pop(0).join(deadline)

    def _start(
        self, names: tuple, steps_per_iteration: int, settings: tuple, *, done: int, total: int
    ) -> None:
        if self.name is None:
            self.open(generated_name(*names))
        self._steps_per_iteration = steps_per_iteration
        self._base = max(0, self._last_step - done * steps_per_iteration)
        self._began = self._last_time = time.monotonic()
        ends = self._base + total * steps_per_iteration
        self.call("on_training_start", ends, total)
        self.call("log_hparams", self._hparams | {"algorithm": names[0], **dict(settings)})

    def _iterations(self, values: dict[str, np.ndarray], times: np.ndarray) -> None:
        if self._phase is None:  # nobody tells where training is traced as a whole
            self.phase("training")
        numbers = values["iteration"].tolist()
        episodes = values["episode/count"].tolist()
        rate = self._rate(len(numbers), float(times[-1]))
        columns = {
            tag: array.tolist() for tag, array in values.items() if tag not in ("iteration", "episode/count")
        }
        self._warn_of_non_finite(values)
        records = []
        for i, number in enumerate(numbers):
            scalars = {tag: column[i] for tag, column in columns.items()}
            if not episodes[i]:
                del scalars["episode/return"], scalars["episode/length"]
            scalars["time/steps_per_second"] = rate
            scalars["time/elapsed"] = float(times[i]) - self._began
            self._last_step = self._base + number * self._steps_per_iteration
            records.append((self._last_step, scalars))
        self.log(records)

    def _rate(self, iterations: int, now: float) -> float:
        seconds, self._last_time = now - self._last_time, now
        return iterations * self._steps_per_iteration / max(seconds, 1e-9)

    def _warn_of_non_finite(self, values: dict[str, np.ndarray]) -> None:
        if self._warned:
            return
        # The learning rate is NaN where the optimizer holds none.
        tags = [tag for tag, array in values.items() if not np.isfinite(array).all()]
        tags = [tag for tag in tags if tag != "train/learning_rate"]
        if tags:
            self._warned = True
            text = f"not finite from about step {self._last_step} on: {', '.join(tags)}"
            warnings.warn(text, RuntimeWarning, stacklevel=2)
