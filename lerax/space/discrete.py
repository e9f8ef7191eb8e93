"""Finite sets of choices."""

import equinox as eqx
import jax
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Int, Key

from lerax.errors import SettingError

from .base_space import AbstractSpace


class Discrete(AbstractSpace):
    """The integers 0 to n - 1.

    Args:
        n: How many there are.

    Raises:
        ValueError: n is below 1.
    """

    n: int = eqx.field(static=True)

    def __check_init__(self):
        if self.n < 1:
            raise SettingError("Discrete", self.n, wrong="n must be at least 1")

    @property
    def shape(self) -> tuple[int, ...]:
        return ()

    @property
    def flat_size(self) -> int:
        return self.n

    def sample(self, *, key: Key[Array, ""]) -> Int[Array, ""]:
        return jr.randint(key, (), 0, self.n, jnp.int32)

    def contains(self, value: Int[Array, ""]) -> Bool[Array, ""]:
        return jnp.logical_and(value >= 0, value < self.n)

    def flatten(self, value: Int[Array, ""]) -> Float[Array, " n"]:
        # What is not in the space is NaN, which is noticed, instead of zeros, which are not.
        one_hot = jax.nn.one_hot(value, self.n, dtype=jnp.float32)
        return jnp.where(self.contains(value), one_hot, jnp.nan)
