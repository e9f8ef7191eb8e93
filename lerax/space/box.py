"""Continuous boxes."""

import math
from typing import Any

import equinox as eqx
import numpy as np
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Key, Shaped

from lerax.errors import SettingError

from .base_space import AbstractSpace

DTYPES = (np.float32, np.uint8)
LARGE = 64  # numbers of a value from which on equal bounds are kept as one number


class Box(AbstractSpace):
    """A box in R^n, possibly unbounded; see https://gymnasium.farama.org/api/spaces/fundamental/.

    Args:
        low: Lower bounds, a number or an array.
        high: Upper bounds, a number or an array.
        shape: The shape of a value; by default that of the bounds.
        dtype: The type of its numbers: float32, or uint8 for pictures and the like.

    Raises:
        SettingError: A lower bound lies above its upper bound, or the dtype is none of these or does not hold
            the bounds.
    """

    low: tuple = eqx.field(static=True)
    high: tuple = eqx.field(static=True)
    _shape: tuple[int, ...] = eqx.field(static=True)
    dtype: np.dtype = eqx.field(static=True, repr=False)

    def __init__(self, low: Any, high: Any, shape: tuple[int, ...] | None = None, dtype: Any = np.float32):
        if shape is None:
            shape = np.broadcast_shapes(np.shape(low), np.shape(high))
        lows, highs = (np.broadcast_to(np.asarray(bound, np.float32), shape).ravel() for bound in (low, high))
        if not (lows <= highs).all():
            said = f"low={low}, high={high}"
            raise SettingError("Box", (low, high), wrong="low must not exceed high", said=said)
        self.dtype = np.dtype(dtype)
        if self.dtype not in DTYPES:
            raise SettingError("dtype", dtype, "float32, uint8", wrong="not a dtype of boxes")
        bytes_ = [np.array_equal(bound, np.clip(np.rint(bound), 0, 255)) for bound in (lows, highs)]
        if self.dtype == np.uint8 and not all(bytes_):
            said = f"low={low}, high={high}"
            raise SettingError(
                "Box", (low, high), wrong="bounds of bytes are whole numbers from 0 to 255", said=said
            )
        if lows.size > LARGE and (lows == lows[0]).all() and (highs == highs[0]).all():
            lows, highs = lows[:1], highs[:1]  # they are hashed with each call of a compiled program
        # Tuples, not arrays: a bound must never become a trainable leaf.
        self.low, self.high = tuple(lows.tolist()), tuple(highs.tolist())
        self._shape = tuple(shape)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._shape

    @property
    def flat_size(self) -> int:
        return math.prod(self._shape)

    @property
    def bounds(self) -> tuple[Shaped[np.ndarray, "..."], Shaped[np.ndarray, "..."]]:
        """The lower and the upper bound as arrays of a value's shape and type."""
        low, high = (np.asarray(bound, self.dtype) for bound in (self.low, self.high))
        if low.size < self.flat_size:
            return np.full(self._shape, low[0]), np.full(self._shape, high[0])
        return low.reshape(self._shape), high.reshape(self._shape)

    def sample(self, *, key: Key[Array, ""]) -> Shaped[Array, "..."]:
        low, high = self.bounds
        if self.dtype == np.uint8:
            ends = np.int32(high) + 1
            return jr.randint(key, self._shape, np.int32(low), ends, jnp.int32).astype(jnp.uint8)
        below, above = np.isfinite(low), np.isfinite(high)
        normal_key, tail_key, uniform_key = jr.split(key, 3)
        tail = jr.exponential(tail_key, self._shape, jnp.float32)
        finite_low, finite_high = np.where(below, low, 0), np.where(above, high, 0)
        part = jr.uniform(uniform_key, self._shape, jnp.float32)
        uniform = finite_low * (1 - part) + finite_high * part  # their difference may be infinite
        value = jnp.where(below, finite_low + tail, jr.normal(normal_key, self._shape, jnp.float32))
        value = jnp.where(above & ~below, finite_high - tail, value)
        return self.clip(jnp.where(below & above, uniform, value))  # rounding may lead past a bound

    def contains(self, value: Shaped[Array, "..."]) -> Bool[Array, ""]:
        low, high = self.bounds
        if jnp.shape(value) != self._shape or (self.dtype == np.uint8 and value.dtype != self.dtype):
            return jnp.array(False)
        return jnp.all((value >= low) & (value <= high))

    def flatten(self, value: Shaped[Array, "..."]) -> Float[Array, " size"]:
        return jnp.ravel(value).astype(jnp.float32)

    def clip(self, value: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
        """The nearest value inside the box."""
        return jnp.clip(value, *self.bounds)
