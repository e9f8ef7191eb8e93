"""LoggingCallback: training statistics to any number of backends."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
from jax import core

from lerax.backend import AbstractLoggingBackend
from lerax.env import AbstractEnvLike
from lerax.errors import SettingError
from lerax.policy import AbstractPolicy
from lerax.settings import Limits, Setting, check_instance
from lerax.tree import text

from .run_callback import AbstractRunCallback
from .video import VideoSettings
from .video_recorder import VideoCounts


class LoggingCallback(AbstractRunCallback):
    """Logs `episode/return`, `episode/length`, `train/*` and `time/*` after each iteration.

    The x axis is environment steps. Each backend is served by a thread of its own: training neither waits
    for one nor stops when one fails. Build it outside of any `jax.jit`; training may be inside. Where a
    `jax.vmap` of yours trains several seeds, each is logged as `seed_0/...`, `seed_1/...`, and their mean
    and standard deviation as `...` and `..._std`.

    Args:
        backend: One backend or several.
        name: Name of the run. By default `{policy}_{env}_{time}`, from what is given of the next two, and
            the run begins now; with neither of them `{algorithm}_{policy}_{env}_{time}`, and the run begins
            with the training.
        env: The environment, for the name.
        policy: The policy, for the name.
        alpha: Weight of the newest episode in the moving averages of each environment.
        hparams: Hyperparameters to log beside the algorithm's own.
        video_interval: Record a video of the policy every so many iterations, as `eval/video`; 0 for never.
        video_num_steps: Environment steps in a video.
        video_width: Width of a video in pixels.
        video_height: Height of a video in pixels.
        video_fps: Frames per second of a video; by default the environment's own, `env.render_fps`.
        video_deterministic: Show the most probable actions instead of samples.
        resume: Go on with the run of this name: what it has of later steps than those of the state that is
            trained is taken back, unless that has no iterations behind it. Without `resume` a name that is
            taken gets `-1`, `-2` and so on.
        elapsed: With `resume`, the seconds that the run has trained so far, for `time/elapsed`. Where it is
            given, a state without iterations goes on with the run, too: all that it has logged is taken back.
        strict: Raise where a backend cannot be opened, instead of warning and going on without it.

    Raises:
        ValueError: `alpha`, `elapsed` or a setting of the videos is out of range, the name could leave its
            folder, there is no backend, or one is in use by another callback.
        RuntimeError: It is built inside a JAX transformation.
        TypeError: A backend is none.
        lerax.backend.BackendError: With `strict`, a backend cannot be opened.
    """

    def __init__(
        self,
        backend: AbstractLoggingBackend | Sequence[AbstractLoggingBackend],
        *,
        name: str | None = None,
        env: AbstractEnvLike | None = None,
        policy: AbstractPolicy | None = None,
        alpha: float = 0.9,
        hparams: Mapping[str, Any] | None = None,
        video_interval: int = 0,
        video_num_steps: int = 256,
        video_width: int = 640,
        video_height: int = 480,
        video_fps: float | None = None,
        video_deterministic: bool = True,
        resume: bool = False,
        elapsed: float | None = None,
        strict: bool = False,
    ):
        several = isinstance(backend, Iterable) and not isinstance(backend, str | type)
        backends: list[Any] = list(backend) if several else [backend]  # pyright: ignore[reportArgumentType]
        for one in backends:
            check_instance("backend", one, AbstractLoggingBackend, 'TensorBoardBackend("logs")')
        if elapsed is not None:
            if not resume:
                raise SettingError("elapsed", elapsed, wrong="given without resume", hint="add resume=True")
            elapsed = Setting("elapsed", 0.0, "", Limits(at_least=0)).convert(elapsed)
        video = VideoSettings(
            video_interval, video_num_steps, video_width, video_height, video_fps, video_deterministic
        )
        options = {"hparams": hparams, "claimed": resume, "strict": strict, "elapsed": elapsed}
        super().__init__(backends, name, env, policy, alpha, video, **options)

    @property
    def name(self) -> str | None:
        """The run's name, None while it has not begun."""
        return self._log.name

    @property
    def elapsed(self) -> float:
        """Seconds of training so far, as `time/elapsed` counts them."""
        return self._log.elapsed

    def count_from(self, began: float) -> None:
        """Counts `time/elapsed` of the next training from then on: what was compiled before it counts, too.

        Args:
            began: When it began, of `time.monotonic`.
        """
        self._log.count_from(began)

    def finish_videos(self, *, drop: bool = False, seconds: float | None = None) -> VideoCounts:
        """Makes the videos that wait, at full speed: while training goes on they take little of its time.

        `close` does it, too. Ctrl-C ends it at once, and keeps the videos that are complete; with `drop` it
        says afterwards how many these are.

        Args:
            drop: Give up those that wait instead.
            seconds: Make the first and the newest only, within this time.

        Returns:
            How many videos were due, and what became of them.
        """
        jax.effects_barrier()
        return self._log.finish_videos(drop=drop, seconds=seconds)

    def log(self, scalars: Mapping[str, Any], step: Any) -> None:
        """Logs scalars of your own, from ordinary Python.

        What is no number is left out, with a warning: a backend would fail at it, and be switched off.

        Args:
            scalars: Numbers by tag.
            step: Environment steps so far, a whole number; `step_at` gives those after an iteration.

        Raises:
            RuntimeError: The run has not begun, or is closed.
            TypeError: It is called from traced code, where there are no numbers yet.
        """
        if any(isinstance(one, core.Tracer) for one in (self.handle, step, *scalars.values())):
            hint = "send it by `emit`, or log it in `on_host`"
            raise TypeError(f"LoggingCallback.log: called from traced code (got {text(scalars)}); {hint}")
        if self.name is None:
            raise RuntimeError("LoggingCallback: the run has not begun; give it a name, env or policy")
        self._open_log.log_own(scalars, step)

    def step_at(self, iteration: int) -> int:
        """Environment steps after an iteration of the current training, those of earlier ones included.

        Raises:
            RuntimeError: The run is closed.
        """
        return self._open_log.step_at(iteration)
