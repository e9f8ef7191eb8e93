"""Finite sets of choices."""

from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float, Int

from lerax.errors import SettingError, SettingTypeError
from lerax.fingerprint import LATER

from .integers import AbstractIntegers

MOST = 2**31 - 1  # of an int32


class Discrete(AbstractIntegers):
    """The integers start to start + n - 1.

    Networks and masks count them from 0: that is what `index` and `value` are for.

    Args:
        n: How many there are.
        start: The first of them.

    Raises:
        SettingError: n is below 1, or an int32 does not hold them all.
        SettingTypeError: One is no integer.
    """

    n: int = eqx.field(static=True)
    start: int = eqx.field(static=True, default=0, metadata={LATER: True})

    def __init__(self, n: int, start: int = 0):
        self.n, self.start = whole("Discrete", n), whole("Discrete", start)
        if self.n < 1:
            raise SettingError("Discrete", self.n, wrong="n must be at least 1")
        if not -MOST - 1 <= self.start <= MOST + 1 - self.n:
            said = f"n={self.n}, start={self.start}"
            raise SettingError("Discrete", self.n, wrong="an int32 does not hold its values", said=said)

    def __repr__(self) -> str:
        return f"Discrete({self.n}{f', start={self.start}' if self.start else ''})"

    @property
    def bounds(self) -> tuple[Int[np.ndarray, ""], Int[np.ndarray, ""]]:
        return np.array(self.start, np.int32), np.array(self.start + self.n - 1, np.int32)

    @property
    def flat_size(self) -> int:
        return self.n

    def index(self, value: Int[Array, "..."]) -> Int[Array, "..."]:
        """The place of a value among all, counted from 0."""
        return value - self.start if self.start else value

    def value(self, index: Int[Array, "..."]) -> Int[Array, "..."]:
        """The value at a place, counted from 0."""
        return index + self.start if self.start else index

    def encoded(self, value: Int[Array, ""]) -> Float[Array, " n"]:
        return jax.nn.one_hot(self.index(value), self.n, dtype=jnp.float32)


def whole(name: str, number: Any) -> int:
    """An integer as Python's own.

    Raises:
        SettingTypeError: It is none.
    """
    if isinstance(number, bool) or not isinstance(number, int | np.integer):
        raise SettingTypeError(name, number, wrong="needs integers")
    return int(number)
