"""The interface that every logging backend has."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import UInt8


class AbstractLoggingBackend(ABC):
    """Takes what training reports. Nothing is opened before `open`.

    A dispatcher calls all methods of a backend from one thread of its own, so a backend may block, and
    needs no locks. The methods that are not abstract do nothing by default.
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
        """Takes a video.

        Args:
            tag: What it is called.
            frames: The pictures, red, green and blue in 0..255.
            step: Environment steps when it was recorded.
            fps: Frames per second.
        """

    def log_phase(self, phase: str) -> None:
        """Told what is being done now: compiling, training, saving, evaluating; last, how the run ended."""

    def flush(self) -> None:
        """Brings what was logged to where it is kept; called after each group of records."""
