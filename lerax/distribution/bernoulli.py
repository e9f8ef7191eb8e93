"""Actions of zeros and ones."""

import jax
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Int, Key

from .base_distribution import AbstractDistribution


class Bernoulli(AbstractDistribution):
    """Independent numbers that are one or zero; probabilities are of the whole array.

    Args:
        logits: Logarithms of the odds of a one.
        mask: Which numbers may be one, the others are zero; None allows all.
    """

    logits: Float[Array, "..."]

    def __init__(self, logits: Float[Array, "..."], mask: Bool[Array, "..."] | None = None):
        self.logits = logits if mask is None else jnp.where(mask, logits, jnp.finfo(logits.dtype).min)

    def noise(self, *, key: Key[Array, ""]) -> Float[Array, "..."]:
        return jr.logistic(key, self.logits.shape, self.logits.dtype)

    def action(self, noise: Float[Array, "..."]) -> Int[Array, "..."]:
        # The Gumbel-max trick for two: the difference of two Gumbel variables is logistic.
        return (self.logits + noise > 0).astype(jnp.int32)

    def mode(self) -> Int[Array, "..."]:
        return (self.logits > 0).astype(jnp.int32)

    def log_prob(self, value: Int[Array, "..."]) -> Float[Array, ""]:
        return jnp.sum(jax.nn.log_sigmoid(jnp.where(value == 1, self.logits, -self.logits)))

    def entropy(self) -> Float[Array, ""]:
        one, zero = jax.nn.log_sigmoid(self.logits), jax.nn.log_sigmoid(-self.logits)
        return -jnp.sum(jnp.exp(one) * one + jnp.exp(zero) * zero)
