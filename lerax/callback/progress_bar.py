"""ProgressBarCallback: how far training is, in the terminal or a notebook."""

import atexit
import sys
import time
from typing import Any, cast

import equinox as eqx
import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Int, Key

from lerax.backend import notebook
from lerax.backend.dashboard import Shown
from lerax.env import AbstractEnvLike
from lerax.files import is_terminal
from lerax.policy import AbstractPolicy

from . import outbox
from .base_callback import AbstractCallback, IterationContext, TrainingContext
from .episode import training_start
from .records import TrainingStart


class ProgressBarCallback(AbstractCallback):
    """Shows a Rich progress bar on standard error, in environment steps; without a terminal, nothing.

    In a notebook the cell shows it, as HTML.

    A `ConsoleBackend` in a `LoggingCallback` shows more. Build it outside of any `jax.jit`; training may be
    inside.

    Args:
        total_timesteps: Environment steps at the end of the bar; by default what training is asked for.
        name: Title; by default `Training {policy} on {env}` of what is given of the next two.
        env: The environment, for the title.
        policy: The policy, for the title.
    """

    handle: Int[Array, ""]

    def __init__(
        self,
        total_timesteps: int | None = None,
        name: str | None = None,
        env: AbstractEnvLike | None = None,
        policy: AbstractPolicy | None = None,
    ):
        whom = f" {policy.name}" if policy is not None else ""
        where = f" on {env.name}" if env is not None else ""
        title = f"Training{whom}{where}" if name is None else name
        self.handle = jnp.array(outbox.register(_Bar(title, total_timesteps)), jnp.int32)

    def close(self) -> None:
        """Stops the bar, as the end of training does."""
        jax.effects_barrier()
        self._bar.stop()

    def on_training_start(self, ctx: TrainingContext, *, key: Key[Array, ""]) -> Any:
        outbox.emit(self.handle, training_start(ctx))
        return ctx.state

    def on_iteration(self, ctx: IterationContext, *, key: Key[Array, ""]) -> Any:
        outbox.emit(self.handle, _Done(ctx.iteration_count, is_last=False))
        return ctx.state

    def on_training_end(self, ctx: TrainingContext, *, key: Key[Array, ""]) -> Any:
        outbox.emit(self.handle, _Done(ctx.iteration_count, is_last=True))
        return ctx.state

    @property
    def _bar(self) -> "_Bar":
        return cast(_Bar, outbox.receiver_of(int(self.handle)))


class _Done(eqx.Module):
    """Iterations done so far, and whether these are all."""

    done: Int[Array, "*lane"]
    is_last: bool = eqx.field(static=True)


class _Bar:
    """The host's half of a ProgressBarCallback."""

    def __init__(self, title: str, total: int | None):
        self._title, self._total = title, total
        self._per_iteration = 1
        self._progress: Any = None
        self._task: Any = None
        self._shown = Shown(name=title, phase="training")  # in a notebook
        self._display: notebook.Display | None = None

    def receive(
        self, message: "TrainingStart | _Done", times: np.ndarray, running: np.ndarray | None
    ) -> None:
        """Takes what the traced half emits; several mapped trainings are as far as the one ahead."""
        done = int(np.max(message.done))
        if isinstance(message, TrainingStart):
            self._per_iteration = message.steps_per_iteration
            total = self._total or int(np.max(message.total)) * self._per_iteration
            self._start(total, done * self._per_iteration)
        elif self._display is not None:
            self._shown.step = done * self._per_iteration
            self._display.update()
        elif self._progress is not None:
            self._progress.update(self._task, completed=done * self._per_iteration)
        if isinstance(message, _Done) and message.is_last:
            self.stop()

    def stop(self) -> None:
        """Draws the bar for the last time and gives the cursor back."""
        if self._display is not None:
            self._display.finish()
            self._display = None
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
            atexit.unregister(self.stop)

    def _start(self, total: int, done: int) -> None:
        self.stop()
        if notebook.shell() is not None:
            self._shown.total, self._shown.step, self._shown.began = total, done, time.monotonic()
            self._display = notebook.Display(self._bundle)
            self._display.update()
        elif is_terminal(sys.stderr):
            self._start_in_terminal(total, done)

    def _bundle(self) -> notebook.Bundle:
        html = notebook.titled(self._shown.name, notebook.bar(self._shown, time.monotonic()))
        return {"text/html": html, "text/plain": f"{self._shown.step} of {self._shown.total} steps"}

    def _start_in_terminal(self, total: int, done: int) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            redirect_stdout=False,
        )
        self._task = self._progress.add_task(self._title, total=total, completed=done)
        self._progress.start()
        atexit.register(self.stop)
