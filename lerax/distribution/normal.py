"""Gaussian actions."""

import math

from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Float, Key

from .base_distribution import AbstractDistribution


class Normal(AbstractDistribution):
    """A Gaussian with independent components; probabilities are of the whole vector.

    Args:
        loc: Means.
        log_scale: Logarithms of the standard deviations.
    """

    loc: Float[Array, "..."]
    log_scale: Float[Array, "..."]

    def noise(self, *, key: Key[Array, ""]) -> Float[Array, "..."]:
        return jr.normal(key, self.loc.shape, self.loc.dtype)

    def action(self, noise: Float[Array, "..."]) -> Float[Array, "..."]:
        return self.loc + jnp.exp(self.log_scale) * noise

    def mode(self) -> Float[Array, "..."]:
        return self.loc

    def log_prob(self, value: Float[Array, "..."]) -> Float[Array, ""]:
        return self.log_prob_of_noise((value - self.loc) * jnp.exp(-self.log_scale))

    def log_prob_of_noise(self, noise: Float[Array, "..."]) -> Float[Array, ""]:
        """The log probability of the action that `noise` makes."""
        return jnp.sum(-0.5 * noise**2 - self.log_scale - 0.5 * math.log(2 * math.pi))

    def entropy(self) -> Float[Array, ""]:
        terms = jnp.broadcast_to(self.log_scale, self.loc.shape)
        return jnp.sum(terms + 0.5 * math.log(2 * math.pi * math.e))
