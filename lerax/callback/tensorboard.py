"""TensorBoardCallback: training statistics to TensorBoard, and the writer that it uses."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, UInt8

from lerax.backend import TensorBoardBackend
from lerax.env import AbstractEnvLike
from lerax.policy import AbstractPolicy
from lerax.run import generated_name
from lerax.tree import is_traced

from .episode import EpisodeStatistics
from .run_callback import AbstractRunCallback
from .run_log import RunLog
from .video import VideoSettings

TensorBoardCallbackStepState = EpisodeStatistics
"""The step state of `TensorBoardCallback`: cumulative and average returns and lengths."""


def callback_with_numpy_wrapper(
    func: Callable[..., Any], ordered: bool = False, partitioned: bool = False
) -> Callable[..., None]:
    """A function that may be called from traced code, and calls `func` on the host with NumPy arrays.

    Outside of a JAX transformation `func` is called at once, and what it raises is raised.

    Args:
        func: Ordinary Python; what it returns is dropped.
        ordered: Keep the order of the calls.
        partitioned: Call it once per shard, with the shard's own part of the arrays.
    """

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        if is_traced(args, kwargs):
            jax.debug.callback(called, *args, ordered=ordered, partitioned=partitioned, **kwargs)
        else:
            called(*args, **kwargs)

    def called(*args: Any, **kwargs: Any) -> None:
        to_numpy = lambda leaf: np.asarray(leaf) if isinstance(leaf, jax.Array) else leaf
        args, kwargs = jax.tree.map(to_numpy, (args, kwargs))
        func(*args, **kwargs)

    return wrapped


class JITSummaryWriter:
    """Writes TensorBoard event files, from traced code and from ordinary Python alike.

    Files are written by a thread of their own; one that fails is a warning, and nothing waits for it.

    Args:
        log_dir: The folder of this run; by default a new one below `logs`.
        run_log: What writes there already; by default it begins now.

    Attributes:
        log_dir: The folder of this run.
    """

    def __init__(self, log_dir: str | Path | None = None, *, run_log: RunLog | None = None):
        if run_log is None:
            folder = Path("logs", generated_name("training")) if log_dir is None else Path(log_dir)
            backend = TensorBoardBackend(folder.absolute().parent)
            run_log = RunLog([backend], claimed=log_dir is not None, plain=True)
            run_log.open(folder.name, stacklevel=3)
        self.run_log = run_log
        self.log_dir = run_log.folders[0] / str(run_log.name)

    def add_scalar(
        self,
        tag: str,
        scalar_value: Float[ArrayLike, ""] | Int[ArrayLike, ""],
        global_step: Int[ArrayLike, ""] | None = None,
    ) -> None:
        """Writes a scalar.

        Args:
            tag: What it is called.
            scalar_value: The value.
            global_step: Where it stands on the x axis; 0 by default.

        Raises:
            ValueError: It is not finite (under `jax.jit` JAX reports the error).
        """
        self.add_dict("", {tag: scalar_value}, global_step=global_step)

    def add_dict(
        self, prefix: str, scalars: Mapping[str, Any], *, global_step: Int[ArrayLike, ""] | None = None
    ) -> None:
        """Writes scalars, their tags behind `prefix/`.

        Args:
            prefix: What stands before each tag; nothing if it is empty.
            scalars: Values by tag.
            global_step: Where they stand on the x axis; 0 by default.

        Raises:
            ValueError: One is not finite (under `jax.jit` JAX reports the error).
        """
        tags = {f"{prefix}/{tag}" if prefix else tag: value for tag, value in scalars.items()}
        callback_with_numpy_wrapper(self._write, ordered=True)(tags, global_step)

    def add_video(
        self,
        tag: str,
        frames: UInt8[Array | np.ndarray, "time height width 3"],
        global_step: Int[ArrayLike, ""] | None = None,
        fps: float = 50.0,
    ) -> None:
        """Writes a video, as a GIF.

        Args:
            tag: What it is called.
            frames: The pictures, red, green and blue in 0..255.
            global_step: Where it stands on the x axis; 0 by default.
            fps: Frames per second.
        """
        callback_with_numpy_wrapper(self._write_video, ordered=True)(tag, frames, global_step, fps)

    def close(self) -> None:
        """Writes what is left and closes the files. More calls do nothing."""
        jax.effects_barrier()
        self.run_log.close()

    def _write(self, scalars: dict[str, Any], step: Any) -> None:
        self._check_open()
        self.run_log.log_finite([(int(step or 0), {tag: float(value) for tag, value in scalars.items()})])

    def _write_video(self, tag: str, frames: np.ndarray, step: Any, fps: Any) -> None:
        self._check_open()
        self.run_log.log_video(tag, frames, int(step or 0), float(fps))

    def _check_open(self) -> None:
        if self.run_log.closed:
            raise RuntimeError("JITSummaryWriter: already closed; make a new one")


class TensorBoardCallback(AbstractRunCallback):
    """Logs `episode/return`, `episode/length` and `train/*` to TensorBoard after each iteration.

    The x axis is environment steps. Build it outside of any `jax.jit`; training may be inside. A value that
    is NaN or infinite ends training with a ValueError, except a learning rate that the optimizer does not
    hold. `LoggingCallback` with a `TensorBoardBackend` logs more, and never ends training.

    Args:
        name: Name of the folder in `log_dir`. By default `{policy}_{env}_{time}` of what is given of the
            next two, else `training_{time}`. A name that is taken gets `-1`, `-2` and so on.
        env: The environment, for the name.
        policy: The policy, for the name.
        alpha: Weight of the newest episode in the moving averages of each environment.
        log_dir: The folder that holds the runs.
        video_interval: Record a video of the policy every so many iterations, as `eval/video`; 0 for never.
        video_num_steps: Environment steps in a video.
        video_width: Width of a video in pixels.
        video_height: Height of a video in pixels.
        video_fps: Frames per second of a video; by default the environment's own, `env.render_fps`.
        video_deterministic: Show the most probable actions instead of samples.

    Raises:
        ValueError: A value is out of range, or the name could leave its folder.
        RuntimeError: It is built inside a JAX transformation.
    """

    def __init__(
        self,
        name: str | None = None,
        env: AbstractEnvLike | None = None,
        policy: AbstractPolicy | None = None,
        alpha: float = 0.9,
        log_dir: str | Path = "logs",
        video_interval: int = 0,
        video_num_steps: int = 256,
        video_width: int = 640,
        video_height: int = 480,
        video_fps: float | None = None,
        video_deterministic: bool = True,
    ):
        backends = [TensorBoardBackend(log_dir)]
        video = VideoSettings(
            video_interval, video_num_steps, video_width, video_height, video_fps, video_deterministic
        )
        super().__init__(backends, name, env, policy, alpha, video, otherwise=["training"], plain=True)

    @property
    def tb_writer(self) -> JITSummaryWriter:
        """Writes to the same event files."""
        return JITSummaryWriter(run_log=self._log)
