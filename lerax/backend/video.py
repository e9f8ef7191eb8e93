"""Video files."""

import itertools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from lerax.files import remove_abandoned

from .base import AbstractLoggingBackend

if TYPE_CHECKING:
    from lerax.render import VideoWriter

STEP = re.compile(r"step-(\d+)(-\d+)?\.mp4")


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

    def resume(self, step: int) -> None:
        remove_abandoned(self._folder.absolute())
        for path in self._folder.glob("step-*.mp4"):
            if (found := STEP.fullmatch(path.name)) and int(found[1]) > step:
                path.unlink()

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

        ends = itertools.chain([""], map("-{}".format, itertools.count(2)))  # of another clip of this step
        paths = (self._folder / f"step-{step:010d}{end}.mp4" for end in ends)
        path = next(path for path in paths if not path.exists())
        return VideoWriter(path, fps=fps, niceness=niceness)
