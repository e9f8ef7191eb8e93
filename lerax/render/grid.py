"""Several pictures as one."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

ROW = 3  # pictures that stand side by side before there is a second row


def grid_shape(count: int) -> tuple[int, int]:
    """Columns and rows of so many pictures in one."""
    columns = count if count <= ROW else math.ceil(math.sqrt(count))
    return columns, math.ceil(count / columns)


def side_by_side(streams: Sequence[Iterator[np.ndarray]]) -> Iterator[np.ndarray]:
    """The frames of several streams as one, until all have ended; a stream's last frame stays.

    Args:
        streams: Frames of one size; each stream has at least one.
    """
    if len(streams) == 1:
        yield from streams[0]
        return
    columns, rows = grid_shape(len(streams))
    latest = [next(stream) for stream in streams]
    height, width, _ = latest[0].shape
    while True:
        grid = np.zeros((rows * height, columns * width, 3), np.uint8)
        for i, frame in enumerate(latest):
            top, left = i // columns * height, i % columns * width
            grid[top : top + height, left : left + width] = frame
        yield grid
        following = [next(stream, None) for stream in streams]
        if all(frame is None for frame in following):
            return
        latest = [last if new is None else new for last, new in zip(latest, following, strict=True)]
