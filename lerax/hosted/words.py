"""What environments outside of JAX say and are told, as rows of words of 32 bits."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Shaped, UInt32

Form = tuple[str, tuple[int, ...]]
"""Dtype and shape of an array."""

SESSION, SLOT, COUNT, FLAGS, REWARD, HEAD = range(6)
"""Where in a row stands: which environments, the place among them, what has happened there so far, how that
was, what it was worth, and then what is seen."""
TERMINAL, TRUNCATED, FAILED, WAITING, SEEDED = 1, 2, 4, 8, 16
"""Flags: the task is over, the time is up, the environment has failed, an episode is to begin, it has a seed,
in place of the reward."""


class Words:
    """Arrays side by side in a row of words.

    Args:
        forms: The arrays.

    Attributes:
        size: Words in a row.
    """

    def __init__(self, forms: Sequence[Form]):
        self._parts: list[tuple[np.dtype, tuple[int, ...], int, int]] = []
        self.size = 0
        for name, shape in forms:
            dtype = np.dtype(name)
            words = -(-math.prod(shape) * dtype.itemsize // 4)
            self._parts.append((dtype, shape, self.size, self.size + words))
            self.size += words

    def write(self, rows: UInt32[np.ndarray, "lane words"], values: Sequence[Sequence[Any]]) -> None:
        """Writes arrays into rows.

        Args:
            rows: The rows.
            values: For each row its arrays.

        Raises:
            ValueError: One is of another shape, or of a kind that its place does not hold.
        """
        for column, (dtype, shape, start, end) in zip(zip(*values, strict=True), self._parts, strict=True):
            given = np.array(column)
            if given.shape[1:] != shape:
                raise ValueError(f"an observation of shape {given.shape[1:]}; its space has {shape}")
            if not _holds(dtype, given):
                raise ValueError(f"an observation of {given.dtype}; its space has {dtype}")
            flat = given.reshape(len(rows), -1)
            rows[:, start:end].view(dtype)[:, : flat.shape[1]] = flat

    def read(self, rows: UInt32[np.ndarray, "lane words"]) -> list[Shaped[np.ndarray, "lane ..."]]:
        """The arrays in rows, each with a leading axis for these."""
        parts = ((rows[:, start:end].view(dtype), shape) for dtype, shape, start, end in self._parts)
        return [part[:, : math.prod(shape)].reshape(len(rows), *shape) for part, shape in parts]


def _holds(dtype: np.dtype, given: np.ndarray) -> bool:
    if dtype == np.float32:
        return given.dtype.kind in "fiub"
    if dtype == np.uint8 and given.dtype != np.uint8:
        return given.dtype.kind in "iub" and bool(((given >= 0) & (given <= 255)).all())
    return given.dtype.kind in "iub"
