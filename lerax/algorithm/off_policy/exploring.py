"""Random actions, before anything is learned."""

from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Key

from lerax.distribution import Categorical
from lerax.space import AbstractSpace, Discrete


def random_noise(space: AbstractSpace, *, key: Key[Array, ""]) -> Array:
    """What `random_action` takes."""
    return jr.gumbel(key, (space.n,), jnp.float32) if isinstance(space, Discrete) else space.sample(key=key)


def random_action(space: AbstractSpace, mask: Bool[Array, "..."] | None, noise: Array) -> Array:
    """Any allowed action alike."""
    if isinstance(space, Discrete):
        return Categorical(jnp.zeros(space.n, jnp.float32), mask).action(noise)
    return noise
