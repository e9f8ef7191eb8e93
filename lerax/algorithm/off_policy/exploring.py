"""Random actions, before anything is learned."""

from jax import numpy as jnp
from jaxtyping import Array, Bool, Key, PyTree

from lerax.distribution import CHOICES, AbstractDistribution, distribution_over
from lerax.space import AbstractSpace


def random_noise(space: AbstractSpace, *, key: Key[Array, ""]) -> PyTree:
    """What `random_action` takes."""
    return _alike(space).noise(key=key) if isinstance(space, CHOICES) else space.sample(key=key)


def random_action(space: AbstractSpace, mask: Bool[Array, "..."] | None, noise: PyTree) -> PyTree:
    """Any allowed action alike."""
    return _alike(space, mask).action(noise) if isinstance(space, CHOICES) else noise


def _alike(space: AbstractSpace, mask: Bool[Array, "..."] | None = None) -> AbstractDistribution:
    return distribution_over(space, jnp.zeros(space.flat_size, jnp.float32), mask)
