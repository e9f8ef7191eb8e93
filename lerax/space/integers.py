"""What spaces of whole numbers share."""

from abc import abstractmethod

import numpy as np
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Int, Key

from .base_space import AbstractSpace


class AbstractIntegers(AbstractSpace):
    """Whole numbers, each between two bounds; values are int32."""

    @property
    @abstractmethod
    def bounds(self) -> tuple[Int[np.ndarray, "..."], Int[np.ndarray, "..."]]:
        """The least and the greatest of each number, as int32 arrays of a value's shape."""

    @abstractmethod
    def encoded(self, value: Int[Array, "..."]) -> Float[Array, " size"]:
        """What `flatten` gives of a value that is in the space."""

    @property
    def shape(self) -> tuple[int, ...]:
        return self.bounds[0].shape

    def sample(self, *, key: Key[Array, ""]) -> Int[Array, "..."]:
        low, high = self.bounds
        return jr.randint(key, self.shape, low, high + 1, jnp.int32)

    def contains(self, value: Int[Array, "..."]) -> Bool[Array, ""]:
        if jnp.shape(value) != self.shape:
            return jnp.array(False)
        low, high = self.bounds
        return jnp.all((value >= low) & (value <= high))

    def flatten(self, value: Int[Array, "..."]) -> Float[Array, " size"]:
        # What is not in the space is NaN, which is noticed, instead of zeros, which are not.
        return jnp.where(self.contains(value), self.encoded(value), jnp.nan)
