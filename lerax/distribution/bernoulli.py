"""Actions of zeros and ones."""

import jax
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, ArrayLike, Bool, Float, Int, Key, Real

from lerax.tree import floats

from .base_distribution import AbstractDistribution, one_of


class Bernoulli(AbstractDistribution):
    """Independent numbers that are one or zero; probabilities are of the whole array.

    Args:
        logits: Logarithms of the odds of a one.
        mask: Which numbers may be one, the others are zero; None allows all.
        probs: Probabilities of a one, in place of logits.

    Raises:
        SettingError: Neither logits nor probs are given, or both.
    """

    logits: Float[Array, "..."]

    def __init__(
        self,
        logits: Real[ArrayLike, "..."] | None = None,
        mask: Bool[Array, "..."] | None = None,
        *,
        probs: Real[ArrayLike, "..."] | None = None,
    ):
        one_of(Bernoulli, "logits", logits, "probs", probs)
        given = jnp.asarray(0.0) if logits is None else floats(logits)
        if probs is not None:
            given = jnp.log(floats(probs)) - jnp.log1p(-floats(probs))
        self.logits = given if mask is None else jnp.where(mask, given, -jnp.inf)

    @property
    def probs(self) -> Float[Array, "..."]:
        """Probabilities of a one."""
        return jax.nn.sigmoid(self.logits)

    def mask(self, mask: Bool[Array, "..."]) -> "Bernoulli":
        """The same where only some numbers may be one."""
        return Bernoulli(self.logits, mask)

    def noise(self, *, key: Key[Array, ""]) -> Float[Array, "..."]:
        return jr.logistic(key, self.logits.shape, self.logits.dtype)

    def action(self, noise: Float[Array, "..."]) -> Int[Array, "..."]:
        # The Gumbel-max trick for two: the difference of two Gumbel variables is logistic.
        return (self.logits + noise > 0).astype(jnp.int32)

    def mode(self) -> Int[Array, "..."]:
        return (self.logits > 0).astype(jnp.int32)

    def mean(self) -> Float[Array, "..."]:
        return self.probs

    def log_prob(self, value: Int[Array, "..."] | Bool[Array, "..."]) -> Float[Array, ""]:
        logits = self._finite()
        found = jax.nn.log_sigmoid(jnp.where(value == 1, logits, -logits))
        return jnp.sum(jnp.where((value == 0) | (value == 1), found, -jnp.inf))

    def entropy(self) -> Float[Array, ""]:
        logits = self._finite()
        one, zero = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
        return -jnp.sum(jnp.exp(one) * one + jnp.exp(zero) * zero)

    def _finite(self) -> Float[Array, "..."]:
        """Logits without infinities, of which products with 0 would be no numbers."""
        most = jnp.finfo(self.logits.dtype).max
        return jnp.clip(self.logits, -most, most)
