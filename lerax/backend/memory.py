"""Keeps everything in lists: for the library, tests and notebooks. The command has no use for it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .base import AbstractLoggingBackend


class MemoryBackend(AbstractLoggingBackend):
    """Remembers what was logged.

    Attributes:
        name: The run's name, None before it is opened.
        records: `(step, scalars)` of every iteration.
        hparams: The hyperparameters.
        phases: The phases in order.
        videos: `(tag, frames, step, fps)` of every video.
        total_timesteps: Environment steps at the end of training, 0 before it begins.
        closed: Whether the run has ended.
    """

    def __init__(self) -> None:
        self.name: str | None = None
        self.records: list[tuple[int, dict[str, float]]] = []
        self.hparams: dict[str, Any] = {}
        self.phases: list[str] = []
        self.videos: list[tuple[str, np.ndarray, int, float]] = []
        self.total_timesteps = 0
        self.closed = False

    def open(self, name: str) -> None:
        self.name = name

    def log_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        self.records.append((step, dict(scalars)))

    def close(self) -> None:
        self.closed = True

    def resume(self, step: int) -> None:
        self.records[:] = [record for record in self.records if record[0] <= step]
        self.videos[:] = [video for video in self.videos if video[2] <= step]

    def on_training_start(self, total_timesteps: int, total_iterations: int) -> None:
        self.total_timesteps = total_timesteps

    def log_hparams(self, hparams: Mapping[str, Any]) -> None:
        self.hparams.update(hparams)

    def log_video(self, tag: str, frames: np.ndarray, step: int, fps: float) -> None:
        self.videos.append((tag, frames, step, fps))

    def log_phase(self, phase: str) -> None:
        self.phases.append(phase)
