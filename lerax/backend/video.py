"""Video files."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from .base import AbstractLoggingBackend

NICENESS = 19  # of the encoder: training comes first


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
        from lerax.render import write_video

        self._folder.mkdir(parents=True, exist_ok=True)
        write_video(self._folder / f"step-{step:010d}.mp4", frames, fps, niceness=NICENESS)
