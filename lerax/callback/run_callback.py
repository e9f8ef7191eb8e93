"""What the callbacks share that log a run: arguments, hooks, and the door to its log on the host."""

from collections.abc import Sequence
from typing import Any, TypeVar, cast

import equinox as eqx
import jax
from jax import numpy as jnp
from jaxtyping import Array, Int, Key

from lerax.backend import AbstractLoggingBackend
from lerax.env import AbstractEnvLike
from lerax.errors import SettingError
from lerax.policy import AbstractPolicy
from lerax.run import NAME, generated_name
from lerax.settings import check_settings
from lerax.tree import is_traced

from . import outbox
from .base_callback import (
    AbstractCallback,
    IterationContext,
    OwnState,
    ResetContext,
    StepContext,
    TrainingContext,
)
from .episode import EpisodeStatistics, alpha_setting, iteration_scalars, training_start
from .run_log import RunLog
from .video import VideoSettings, send_clip

CallbackT = TypeVar("CallbackT", bound="AbstractRunCallback")


class AbstractRunCallback(AbstractCallback):
    """Sends what happens to a `RunLog`, which it knows by a number: so another run is the same program.

    Attributes:
        handle: The number.
        video: When and how videos are recorded; None for never.
        alpha: Weight of the newest episode in the moving averages of each environment.
    """

    handle: Int[Array, ""]
    video: VideoSettings | None = eqx.field(static=True)
    alpha: float = alpha_setting()

    def __init__(
        self,
        backends: Sequence[AbstractLoggingBackend],
        name: str | None,
        env: AbstractEnvLike | None,
        policy: AbstractPolicy | None,
        alpha: float,
        video: VideoSettings,
        *,
        otherwise: Sequence[str] = (),
        **options: Any,
    ):
        """Begins the run, if its name is known by now.

        Args:
            backends: Where it is logged.
            name: Its name.
            env: The environment, for a name.
            policy: The policy, for a name.
            alpha: Weight of the newest episode.
            video: When and how videos are to be recorded.
            otherwise: The parts of its name where neither environment nor policy is given; none to begin it
                with the training.
            options: Those of `RunLog`.
        """
        if is_traced():
            what = type(self).__name__
            raise RuntimeError(f"{what}: built inside a JAX transformation; build it outside")
        if name is not None and not (isinstance(name, str) and NAME.fullmatch(name)):
            allowed = "up to 200 letters, digits and . _ = + -, of which the first is a letter or a digit"
            raise SettingError("name", name, allowed, wrong="not a run's name")
        self.alpha = alpha
        check_settings(self)
        self.video = video.check()
        run = RunLog(backends, self.video, **options)
        parts = [part.name for part in (policy, env) if part is not None] or otherwise
        wanted = name or (generated_name(*parts) if parts else None)
        if wanted is not None:
            run.open(wanted, explicit=name is not None, stacklevel=4)
        self.handle = jnp.array(outbox.register(run), jnp.int32)

    def close(self) -> None:
        """Makes the videos that wait, writes what is left and closes the backends, these within 10 seconds.

        After an exception `with` gives up the videos that wait. More calls do nothing.
        """
        jax.effects_barrier()  # what training traced as a whole has sent is on its way
        self._log.close()

    def sync(self, seconds: float = 10.0) -> bool:
        """Waits until what training has logged so far is written and flushed; on any thread.

        It outlives the process then, even one that is killed.

        Args:
            seconds: How long to wait at most.

        Returns:
            Whether every backend that still works has it; one may hang, or its flush fail.
        """
        return self._log.sync(seconds)

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
        outbox.emit(self.handle, training_start(ctx, alpha=self.alpha))
        return ctx.state

    def on_iteration(self, ctx: IterationContext, *, key: Key[Array, ""]) -> Any:
        outbox.emit(self.handle, iteration_scalars(ctx))
        if self.video is not None and not outbox.collecting():  # else the host drives the loop and records
            send_clip(self.handle, ctx, self.video)
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
