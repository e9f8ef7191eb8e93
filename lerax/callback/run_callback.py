"""What the callbacks share that log a run: the hooks, and the door to its log on the host."""

from typing import Any, TypeVar, cast

import equinox as eqx
import jax
from jax import numpy as jnp
from jaxtyping import Array, Int, Key

from . import outbox
from .base_callback import (
    AbstractCallback,
    IterationContext,
    OwnState,
    ResetContext,
    StepContext,
    TrainingContext,
)
from .episode import EpisodeStatistics
from .run_log import RunLog, emit_iteration, emit_start
from .video import VideoSettings

CallbackT = TypeVar("CallbackT", bound="AbstractRunCallback")


class AbstractRunCallback(AbstractCallback):
    """Sends what happens to a `RunLog`, which it knows by a number: so another run is the same program.

    Attributes:
        handle: The number.
        video: When and how videos are recorded; None for never.
        alpha: Weight of the newest episode in the moving averages of each environment.
    """

    handle: eqx.AbstractVar[Int[Array, ""]]
    video: eqx.AbstractVar[VideoSettings | None]
    alpha: eqx.AbstractVar[float]

    def close(self) -> None:
        """Makes the videos that wait, writes what is left and closes the backends, these within 10 seconds.

        After an exception `with` gives up the videos that wait. More calls do nothing.
        """
        jax.effects_barrier()  # what training traced as a whole has sent is on its way
        self._log.close()

    def __enter__(self: CallbackT) -> CallbackT:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self._log.finish_videos(drop=True)
        self.close()

    def step_reset(self, ctx: ResetContext, *, key: Key[Array, ""]) -> EpisodeStatistics:
        return EpisodeStatistics.initial()

    def on_step(self, ctx: StepContext, *, key: Key[Array, ""]) -> EpisodeStatistics:
        return ctx.state.after(ctx, self.alpha)

    def on_training_start(self, ctx: TrainingContext, *, key: Key[Array, ""]) -> Any:
        emit_start(self.handle, ctx, alpha=self.alpha)
        return ctx.state

    def on_iteration(self, ctx: IterationContext, *, key: Key[Array, ""]) -> Any:
        emit_iteration(self.handle, ctx, self.video)
        return ctx.state

    def next_due(self, iteration: int) -> int | None:
        return self._log.next_due(iteration)

    def on_host(self, state: Any, own: OwnState, iteration: int) -> None:
        self._open_log.record_video(state.env, state.policy, iteration)

    def on_phase(self, phase: str) -> None:
        self._open_log.phase(phase)

    @property
    def _log(self) -> RunLog:
        return cast(RunLog, outbox.receiver_of(int(self.handle)))

    @property
    def _open_log(self) -> RunLog:
        if self._log.closed:
            raise RuntimeError(f"{type(self).__name__}: already closed; build a new one")
        return self._log


def watched_by(log: RunLog) -> Int[Array, ""]:
    """The number by which a callback knows a log."""
    return jnp.array(outbox.register(log), jnp.int32)
