"""Choices among finitely many actions."""

import equinox as eqx
import jax
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Int, Key

from .base_distribution import AbstractDistribution


class Categorical(AbstractDistribution):
    """A categorical distribution from unnormalised log probabilities.

    Args:
        logits: Unnormalised log probabilities.
        mask: Which actions are allowed; None allows all.
        start: The first action, which the others follow; see `Discrete`.
    """

    log_probs: Float[Array, " n"]
    start: int = eqx.field(static=True)

    def __init__(self, logits: Float[Array, " n"], mask: Bool[Array, " n"] | None = None, start: int = 0):
        self.start = start
        if mask is not None:
            logits = jnp.where(mask, logits, jnp.finfo(logits.dtype).min)
        self.log_probs = jax.nn.log_softmax(logits)

    def noise(self, *, key: Key[Array, ""]) -> Float[Array, " n"]:
        return jr.gumbel(key, self.log_probs.shape, self.log_probs.dtype)

    def action(self, noise: Float[Array, " n"]) -> Int[Array, ""]:
        # The Gumbel-max trick: the largest of the noisy logits is a sample.
        return self._action(jnp.argmax(self.log_probs + noise))

    def mode(self) -> Int[Array, ""]:
        return self._action(jnp.argmax(self.log_probs))

    def log_prob(self, value: Int[Array, ""]) -> Float[Array, ""]:
        # A sum over a one-hot row: the gradient of indexing is a scatter, which is slow on a CPU.
        chosen = jnp.arange(self.log_probs.shape[-1]) == value - self.start
        return jnp.sum(jnp.where(chosen, self.log_probs, 0.0))

    def entropy(self) -> Float[Array, ""]:
        return -jnp.sum(jnp.exp(self.log_probs) * self.log_probs)

    def _action(self, index: Int[Array, ""]) -> Int[Array, ""]:
        return index.astype(jnp.int32) + self.start
