"""The interface that every logging backend has."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

if TYPE_CHECKING:
    from lerax.render import VideoWriter

FRAMES_BYTES = 2**30  # that the frames of a video may take which a backend is given whole


class AbstractLoggingBackend(ABC):
    """Takes what training reports. Nothing is opened before `open`.

    A dispatcher calls all methods of a backend but `video_writer` and `abandon` from one thread of its own,
    so a backend may block, and needs no locks. The methods that are not abstract do nothing by default.
    """

    @abstractmethod
    def open(self, name: str) -> None:
        """Begins a run.

        Args:
            name: The run's name.
        """

    @abstractmethod
    def log_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        """Takes the scalars of one iteration, or more of the iteration that came last.

        Args:
            scalars: Values by tag; may hold NaN and infinities.
            step: Environment steps so far.
        """

    @abstractmethod
    def close(self) -> None:
        """Ends the run."""

    def resume(self, step: int) -> None:
        """Takes back what the run has of later steps than that from which it goes on: they come again.

        Called once, after `open` and before anything is logged, where a run goes on.

        Args:
            step: Environment steps that it goes on from; what was logged of them stays.
        """

    def on_training_start(self, total_timesteps: int, total_iterations: int) -> None:
        """Told at the start of training how long it will be.

        Args:
            total_timesteps: Environment steps at its end, those of earlier trainings of the run included.
            total_iterations: Its iterations.
        """

    def log_hparams(self, hparams: Mapping[str, Any]) -> None:
        """Takes the hyperparameters: numbers, booleans and strings by name."""

    def log_video(
        self, tag: str, frames: UInt8[np.ndarray, "time height width 3"], step: int, fps: float
    ) -> None:
        """Takes a video. Where no backend has a method of its own for it, no training's video is drawn.

        Args:
            tag: What it is called.
            frames: The pictures, red, green and blue in 0..255.
            step: Environment steps when it was recorded.
            fps: Frames per second.
        """

    def video_writer(self, tag: str, step: int, fps: float, *, niceness: int) -> "VideoWriter | None":
        """What takes a training's video frame by frame, while it is drawn, on the thread that draws.

        Args:
            tag: What the video is called.
            step: Environment steps when it was recorded.
            fps: Frames per second.
            niceness: How far an encoder is to stand back for other processes: 0 to 19.

        Returns:
            None for a backend that takes it whole, by `log_video`.
        """
        return None

    def log_phase(self, phase: str) -> None:
        """Told what is being done now: compiling, training, saving, evaluating, encoding (with how many of
        how many videos, as in `encoding 3/19`); last, how the run ended."""

    def flush(self) -> None:
        """Brings what was logged to where it is kept; called after each group of records."""

    def abandon(self) -> None:
        """Told, from another thread, that the backend hangs and is left behind: ends what would go on."""


def thinned_pixels(
    frames: UInt8[np.ndarray, "*time height width 3"], count: int = 1
) -> UInt8[np.ndarray, "*time smaller_height smaller_width 3"]:
    """The frames, or `count` times as many, at the size at which they take `FRAMES_BYTES` at most.

    Where that is less than their own, every second pixel of every second row stays, or every third.
    """
    every = math.isqrt(max(frames.nbytes * count - 1, 0) // FRAMES_BYTES) + 1
    return frames[..., ::every, ::every, :]
