"""Several choices at once."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float, Int

from lerax.errors import SettingError, SettingTypeError

from .discrete import whole
from .integers import AbstractIntegers


class MultiDiscrete(AbstractIntegers):
    """Vectors of choices: the number at place i is one from 0 to nvec[i] - 1.

    Flattened, and in masks of actions, they stand one after the other, nvec[i] entries for each.

    Args:
        nvec: How many there are at each place, a row of integers.

    Raises:
        SettingError: There is no place, or there are less than 1 at one.
        SettingTypeError: They are no row of integers.
    """

    nvec: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, nvec: Any):
        if np.ndim(nvec) != 1:
            raise SettingTypeError("MultiDiscrete", nvec, wrong="needs one row of counts")
        self.nvec = tuple(whole("MultiDiscrete", n) for n in nvec)
        if not self.nvec or min(self.nvec) < 1:
            raise SettingError("MultiDiscrete", self.nvec, wrong="needs counts of at least 1")

    def __repr__(self) -> str:
        return f"MultiDiscrete({self.nvec})"

    @property
    def bounds(self) -> tuple[Int[np.ndarray, " places"], Int[np.ndarray, " places"]]:
        high = np.array(self.nvec, np.int32) - 1
        return np.zeros_like(high), high

    @property
    def flat_size(self) -> int:
        return sum(self.nvec)

    @property
    def parts(self) -> tuple[slice, ...]:
        """Where in what is flattened each choice is."""
        ends = tuple(itertools.accumulate(self.nvec))
        return tuple(slice(end - n, end) for n, end in zip(self.nvec, ends, strict=True))

    def encoded(self, value: Int[Array, " places"]) -> Float[Array, " size"]:
        rows = [jax.nn.one_hot(value[i], n, dtype=jnp.float32) for i, n in enumerate(self.nvec)]
        return jnp.concatenate(rows)


class MultiBinary(AbstractIntegers):
    """Arrays of zeros and ones: int32, as all choices are.

    Args:
        shape: The shape of a value, or the length of a row.

    Raises:
        SettingError: A length is below 1.
        SettingTypeError: One is no integer.
    """

    _shape: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, shape: int | Sequence[int]):
        lengths: Any = shape if np.ndim(shape) else (shape,)
        self._shape = tuple(whole("MultiBinary", n) for n in lengths)
        if not self._shape or min(self._shape) < 1:
            raise SettingError("MultiBinary", shape, wrong="needs lengths of at least 1")

    def __repr__(self) -> str:
        return f"MultiBinary({self._shape[0] if len(self._shape) == 1 else self._shape})"

    @property
    def bounds(self) -> tuple[Int[np.ndarray, "..."], Int[np.ndarray, "..."]]:
        return np.zeros(self._shape, np.int32), np.ones(self._shape, np.int32)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._shape

    @property
    def flat_size(self) -> int:
        return math.prod(self._shape)

    def encoded(self, value: Int[Array, "..."]) -> Float[Array, " size"]:
        return jnp.ravel(value).astype(jnp.float32)
