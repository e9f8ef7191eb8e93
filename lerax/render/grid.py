"""Several pictures as one."""

import math
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

import numpy as np

ROW = 3  # pictures that stand side by side before there is a second row
KEPT = 4096  # items to choose pictures from
ItemT = TypeVar("ItemT")


def grid_shape(count: int) -> tuple[int, int]:
    """Columns and rows of so many pictures in one."""
    columns = count if count <= ROW else math.ceil(math.sqrt(count))
    return columns, math.ceil(count / columns)


def tiled(pictures: Sequence[np.ndarray], columns: int | None = None) -> np.ndarray:
    """Pictures beside and below each other as one; places that are left are black.

    Args:
        pictures: At least one, uint8, `[height, width, 3]` each, all of one size.
        columns: How many stand side by side; by default as `grid_shape` says.
    """
    if columns is None:
        columns, _ = grid_shape(len(pictures))
    height, width, _ = pictures[0].shape
    grid = np.zeros((math.ceil(len(pictures) / columns) * height, columns * width, 3), np.uint8)
    for i, picture in enumerate(pictures):
        top, left = i // columns * height, i % columns * width
        grid[top : top + height, left : left + width] = picture
    return grid


def together(streams: Sequence[Iterator[ItemT]]) -> Iterator[list[ItemT]]:
    """What several streams give at the same time, until all have ended; a stream's last item stays.

    Args:
        streams: Each has at least one item.
    """
    latest = [next(stream) for stream in streams]
    while True:
        yield latest
        following = [next(stream, None) for stream in streams]
        if all(item is None for item in following):
            return
        latest = [last if new is None else new for last, new in zip(latest, following, strict=True)]


def side_by_side(streams: Sequence[Iterator[np.ndarray]]) -> Iterator[np.ndarray]:
    """The frames of several streams as one, until all have ended; a stream's last frame stays.

    Args:
        streams: Frames of one size; each stream has at least one.
    """
    if len(streams) == 1:
        return streams[0]
    return map(tiled, together(streams))


class Spread(Generic[ItemT]):
    """Items of a stream by their numbers: all of a short one, of a long one some that are evenly spread."""

    def __init__(self) -> None:
        self.count = 0
        self._stride = 1
        self._items: list[ItemT] = []

    def add(self, item: ItemT) -> None:
        self._last = item
        if self.count % self._stride == 0:
            if len(self._items) == KEPT:
                self._items, self._stride = self._items[::2], 2 * self._stride
            self._items.append(item)
        self.count += 1

    def __getitem__(self, number: int) -> ItemT:
        """The item of that number, or one not far before it; the first and the last are always there."""
        return self._last if number == self.count - 1 else self._items[number // self._stride]
