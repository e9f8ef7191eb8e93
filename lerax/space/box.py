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


class Box(AbstractSpace):
    """A box in R^n, possibly unbounded; see https://gymnasium.farama.org/api/spaces/fundamental/.

    Args:
        low: Lower bounds, a number or an array.
        high: Upper bounds, a number or an array.
        shape: The shape of a value; by default that of the bounds.

    Raises:
        ValueError: A lower bound lies above its upper bound.
    """

    low: tuple = eqx.field(static=True)
    high: tuple = eqx.field(static=True)
    _shape: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, low: Any, high: Any, shape: tuple[int, ...] | None = None):
        if shape is None:
            shape = np.broadcast_shapes(np.shape(low), np.shape(high))
        lows, highs = (np.broadcast_to(np.asarray(bound, np.float32), shape).ravel() for bound in (low, high))
        if not (lows <= highs).all():
            said = f"low={low}, high={high}"
            raise SettingError("Box", (low, high), wrong="low must not exceed high", said=said)
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
    def bounds(self) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
        """The lower and the upper bound as float32 arrays."""
        low, high = (np.asarray(b, np.float32).reshape(self._shape) for b in (self.low, self.high))
        return low, high

    def sample(self, *, key: Key[Array, ""]) -> Float[Array, "..."]:
        low, high = self.bounds
        below, above = np.isfinite(low), np.isfinite(high)
        normal_key, tail_key, uniform_key = jr.split(key, 3)
        tail = jr.exponential(tail_key, self._shape, jnp.float32)
        finite_low, finite_high = np.where(below, low, 0), np.where(above, high, 0)
        part = jr.uniform(uniform_key, self._shape, jnp.float32)
        uniform = finite_low * (1 - part) + finite_high * part  # their difference may be infinite
        value = jnp.where(below, finite_low + tail, jr.normal(normal_key, self._shape, jnp.float32))
        value = jnp.where(above & ~below, finite_high - tail, value)
        return self.clip(jnp.where(below & above, uniform, value))  # rounding may lead past a bound

    def contains(self, value: Float[Array, "..."]) -> Bool[Array, ""]:
        low, high = self.bounds
        if jnp.shape(value) != self._shape:
            return jnp.array(False)
        return jnp.all((value >= low) & (value <= high))

    def flatten(self, value: Shaped[Array, "..."]) -> Float[Array, " size"]:
        return jnp.ravel(value).astype(jnp.float32)

    def clip(self, value: Float[Array, "..."]) -> Float[Array, "..."]:
        """The nearest value inside the box."""
        return jnp.clip(value, *self.bounds)
