"""Pictures that somebody else has drawn, fitted into a size."""

import numpy as np

from .base_renderer import AbstractFrameSource, RenderError, check_frame, check_size, imported


class FrameRenderer(AbstractFrameSource):
    """Shows pictures as they are, or as large as they fit, undistorted, into a size.

    Args:
        width: Width of the pictures that it makes, in pixels; None for that of those that it is shown.
        height: Their height.

    Raises:
        ValueError: The size is not of 1 to 16,384 pixels each way.
    """

    def __init__(self, width: int | None = None, height: int | None = None):
        self._size = None if width is None or height is None else (width, height)
        if self._size is not None:
            check_size(*self._size)
        self._frame: np.ndarray | None = None
        self._open = False

    def is_open(self) -> bool:
        return self._open

    def open(self) -> None:
        self._open = True

    def close(self) -> None:
        self._open, self._frame = False, None

    def show(self, frame: np.ndarray) -> None:
        """Takes a picture: uint8, `[height, width, 3]`.

        Raises:
            SettingError: It is none.
        """
        check_frame(frame)
        self._frame = frame if self._size is None else _fitted(frame, *self._size)

    def as_array(self) -> np.ndarray:
        if self._frame is None:
            raise RenderError("no picture was shown yet")
        return self._frame.copy()


def _fitted(frame: np.ndarray, width: int, height: int) -> np.ndarray:
    if frame.shape[:2] == (height, width):
        return frame
    images = imported("PIL.Image", "pillow")
    factor = min(width / frame.shape[1], height / frame.shape[0])
    size = max(1, round(frame.shape[1] * factor)), max(1, round(frame.shape[0] * factor))
    picture = images.new("RGB", (width, height), "white")
    corner = (width - size[0]) // 2, (height - size[1]) // 2
    picture.paste(images.fromarray(frame).resize(size), corner)
    return np.array(picture)
