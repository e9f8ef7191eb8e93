"""TensorBoard event files."""

import os
import re
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from lerax.files import naming

from .base import AbstractLoggingBackend, thinned_pixels

TIME = re.compile(r"events\.out\.tfevents\.(\d+)")  # in the name of a file: when it was begun, in seconds
HPARAMS = b"_hparams_/session_start_info"
HPARAMS_WITHIN = 2**20  # bytes


class TensorBoardBackend(AbstractLoggingBackend):
    """Writes `{log_dir}/{run name}/events.out.tfevents.*` through tensorboardX.

    Args:
        log_dir: The folder that holds the runs; give it to `tensorboard --logdir`.
    """

    def __init__(self, log_dir: str | Path = "logs"):
        self.log_dir = Path(log_dir)
        self._writer: Any = None
        self._path = self.log_dir
        self._has_hparams = self._goes_on = False

    def open(self, name: str) -> None:
        # The synchronous writer: SummaryWriter's queue thread dies on a full disk and then blocks its caller.
        from tensorboardX.record_writer import RecordWriter

        folder = self.log_dir / name
        folder.mkdir(parents=True, exist_ok=True)
        earlier = [int(TIME.findall(path.name)[0]) for path in event_files(folder)]
        # TensorBoard reads a run's files in the order of their names: the clock may have been set back.
        seconds = max([int(time.time()), *(number + 1 for number in earlier)])
        suffix = f"{os.getpid()}.{time.time_ns()}"  # keeps two runs of one second apart
        self._path = folder / f"events.out.tfevents.{seconds:010}.{socket.gethostname()}.{suffix}"
        with naming(folder):
            self._writer = RecordWriter(str(self._path))
        self._write(file_version="brain.Event:2")
        self.flush()

    def resume(self, step: int) -> None:
        from tensorboardX.proto.event_pb2 import SessionLog  # type: ignore[attr-defined]

        # What stands in earlier files from this step on is not shown.
        self._write(step=step + 1, session_log=SessionLog(status=SessionLog.START))
        self.flush()
        self._goes_on = any(map(_has_hparams, event_files(self._path.parent)))

    def log_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        from tensorboardX.proto.summary_pb2 import Summary  # type: ignore[attr-defined]

        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
        self._write(summary=Summary(value=values), step=step)

    def log_hparams(self, hparams: Mapping[str, Any]) -> None:
        from tensorboardX.summary import hparams as hparams_summaries
        from tensorboardX.summary import text

        if self._goes_on:
            return  # they stand in an earlier file
        rows = [f"| {name} | {_in_table(value)} |" for name, value in hparams.items()]
        table = "\n".join(["| name | value |", "| --- | --- |", *rows])
        plain = {
            name: value if isinstance(value, bool | int | float | str) else str(value)
            for name, value in hparams.items()
        }
        self._write(summary=text("hparams", table))
        if not self._has_hparams:  # the plugin reads only the first ones of a run
            self._has_hparams = True
            for summary in hparams_summaries(plain, {"episode/return": 0.0, "eval/return": 0.0}):
                self._write(summary=summary)
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
        self._write(summary=Summary(value=[Summary.Value(tag=tag, image=image)]), step=step)
        self.flush()

    def flush(self) -> None:
        with naming(self._path):
            self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            with naming(self._path):
                self._writer.close()

    def _write(self, **fields: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event  # type: ignore[attr-defined]

        with naming(self._path):
            self._writer.write(Event(wall_time=time.time(), **fields).SerializeToString())


def event_files(folder: Path) -> list[Path]:
    """The event files of a run's directory."""
    return [path for path in folder.iterdir() if TIME.match(path.name)]


def _has_hparams(path: Path) -> bool:
    """Whether a file has the hyperparameters, which come at its beginning."""
    with open(path, "rb") as file:
        return HPARAMS in file.read(HPARAMS_WITHIN)


def _in_table(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
