"""One clip on its way to every backend."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8

from .base import thinned_pixels
from .dispatch import Dispatcher


class ClipSink:
    """Takes a clip frame by frame: streams it to backends that take it so, and gives it whole to the others.

    A backend that fails takes no more videos; its dispatcher says why. A context manager: an exception
    abandons the clip, and nothing half-written is left.

    Args:
        dispatchers: Of all backends.
        tag: What the clip is called.
        step: Environment steps when it was due.
        fps: Frames per second.
        num_frames: How many frames will come.
        niceness: How far encoders stand back for other processes: 0 to 19.

    Attributes:
        is_complete: Whether all of it was handed over.
    """

    def __init__(
        self,
        dispatchers: Sequence[Dispatcher],
        tag: str,
        step: int,
        fps: float,
        num_frames: int,
        niceness: int,
    ):
        self._about = tag, step, fps
        self._num_frames = num_frames
        self._takers = [dispatcher for dispatcher in dispatchers if dispatcher.takes_videos]
        self._writers: dict[Dispatcher, Any] = {}
        for dispatcher in self._takers:
            try:
                writer = dispatcher.backend.video_writer(tag, step, fps, niceness=niceness)
            except Exception as error:
                dispatcher.refuse_videos(error)
            else:
                self._writers |= {} if writer is None else {dispatcher: writer}
        self._whole = [dispatcher for dispatcher in self._takers if dispatcher not in self._writers]
        self._frames: Any = None
        self._count = 0
        self.is_complete = self._abandoned = False

    @property
    def is_taken(self) -> bool:
        """Whether every backend that took videos before still does."""
        return all(dispatcher.takes_videos for dispatcher in self._takers)

    @property
    def is_wanted(self) -> bool:
        """Whether there is a backend that takes it."""
        return any(dispatcher.takes_videos for dispatcher in self._takers)

    def add(self, frame: UInt8[np.ndarray, "height width 3"]) -> None:
        """Adds a frame.

        Raises:
            RuntimeError: The clip was abandoned.
        """
        if self._abandoned:
            raise RuntimeError("the clip was abandoned")
        for dispatcher, writer in tuple(self._writers.items()):
            self._stream(dispatcher, writer.add, frame)
        if any(dispatcher.takes_videos for dispatcher in self._whole):
            small = thinned_pixels(frame, self._num_frames)
            if self._frames is None:
                self._frames = np.empty((self._num_frames, *small.shape), np.uint8)
            self._frames[self._count] = small
        self._count += 1

    def close(self) -> None:
        """Completes what was streamed, and gives the others the whole."""
        for dispatcher, writer in tuple(self._writers.items()):
            self._stream(dispatcher, writer.close)
        tag, step, fps = self._about
        if self._frames is not None and not self._abandoned:
            for dispatcher in self._whole:
                dispatcher.log_video(tag, self._frames, step, fps)
        self.is_complete = not self._abandoned

    def abandon(self) -> None:
        """Lets nothing of the clip arrive that has not yet; from any thread."""
        self._abandoned = True
        for writer in tuple(self._writers.values()):
            writer.abandon()

    def __enter__(self) -> "ClipSink":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self.abandon()

    def _stream(self, dispatcher: Dispatcher, method: Any, *arguments: Any) -> None:
        try:
            method(*arguments)
        except Exception as error:
            dispatcher.refuse_videos(error)
            self._writers.pop(dispatcher).abandon()
