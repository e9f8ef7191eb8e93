"""TensorBoard event files."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from lerax.files import naming

from .base import AbstractLoggingBackend, thinned_pixels


class TensorBoardBackend(AbstractLoggingBackend):
    """Writes `{log_dir}/{run name}/events.out.tfevents.*` through tensorboardX.

    Args:
        log_dir: The folder that holds the runs; give it to `tensorboard --logdir`.
    """

    def __init__(self, log_dir: str | Path = "logs"):
        self.log_dir = Path(log_dir)
        self._writer: Any = None
        self._path = self.log_dir
        self._has_hparams = False

    def open(self, name: str) -> None:
        # The synchronous writer: SummaryWriter's queue thread dies on a full disk and then blocks its caller.
        from tensorboardX.event_file_writer import EventsWriter

        folder = self.log_dir / name
        folder.mkdir(parents=True, exist_ok=True)
        suffix = f".{os.getpid()}.{time.time_ns()}"  # keeps two runs of one second apart
        with naming(folder):
            self._writer = EventsWriter(str(folder / "events"), suffix)
        (self._path,) = folder.glob(f"*{suffix}")
        self.flush()

    def log_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        from tensorboardX.proto.summary_pb2 import Summary  # type: ignore[attr-defined]

        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
        self._write(Summary(value=values), step)

    def log_hparams(self, hparams: Mapping[str, Any]) -> None:
        from tensorboardX.summary import hparams as hparams_summaries
        from tensorboardX.summary import text

        rows = [f"| {name} | {_in_table(value)} |" for name, value in hparams.items()]
        table = "\n".join(["| name | value |", "| --- | --- |", *rows])
        plain = {
            name: value if isinstance(value, bool | int | float | str) else str(value)
            for name, value in hparams.items()
        }
        self._write(text("hparams", table), 0)
        if not self._has_hparams:  # the plugin reads only the first ones of a run
            self._has_hparams = True
            for summary in hparams_summaries(plain, {"episode/return": 0.0, "eval/return": 0.0}):
                self._write(summary, 0)
        self.flush()

    def log_video(
        self, tag: str, frames: UInt8[np.ndarray, "time height width 3"], step: int, fps: float
    ) -> None:
        # A GIF among the images: tensorboardX's add_video needs moviepy, and writes nothing without it.
        from tensorboardX.proto.summary_pb2 import Summary  # type: ignore[attr-defined]

        from lerax.render import encode_gif

        frames = thinned_pixels(frames)
        _, height, width, channels = frames.shape
        image = Summary.Image(
            height=height, width=width, colorspace=channels, encoded_image_string=encode_gif(frames, fps)
        )
        self._write(Summary(value=[Summary.Value(tag=tag, image=image)]), step)
        self.flush()

    def flush(self) -> None:
        with naming(self._path):
            self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            with naming(self._path):
                self._writer.close()

    def _write(self, summary: Any, step: int) -> None:
        from tensorboardX.proto.event_pb2 import Event  # type: ignore[attr-defined]

        with naming(self._path):
            self._writer.write_event(Event(wall_time=time.time(), step=step, summary=summary))


def _in_table(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
