"""Video files."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from .base import AbstractLoggingBackend

if TYPE_CHECKING:
    from lerax.render import VideoWriter


class VideoBackend(AbstractLoggingBackend):
    """Writes each video as `{log_dir}/{run name}/videos/step-{step}.mp4`, and no scalars.

    Args:
        log_dir: The folder that holds the runs.
    """

    def __init__(self, log_dir: str | Path = "logs"):
        self.log_dir = Path(log_dir)
        self._folder = self.log_dir

    def open(self, name: str) -> None:
        self._folder = self.log_dir / name / "videos"

    def log_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        pass

    def close(self) -> None:
        pass

    def log_video(
        self, tag: str, frames: UInt8[np.ndarray, "time height width 3"], step: int, fps: float
    ) -> None:
        with self.video_writer(tag, step, fps, niceness=0) as writer:
            for frame in frames:
                writer.add(frame)

    def video_writer(self, tag: str, step: int, fps: float, *, niceness: int) -> "VideoWriter":
        from lerax.render import VideoWriter

        return VideoWriter(self._folder / f"step-{step:010d}.mp4", fps=fps, niceness=niceness)
