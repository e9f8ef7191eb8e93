"""Choices among finitely many actions."""

import equinox as eqx
import jax
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, ArrayLike, Bool, Float, Int, Key, Real

from lerax.tree import floats

from .base_distribution import AbstractDistribution, one_of


class Categorical(AbstractDistribution):
    """A categorical distribution from unnormalised log probabilities.

    Args:
        logits: Unnormalised log probabilities.
        mask: Which actions are allowed; None allows all.
        start: The first action, which the others follow; see `Discrete`.
        probs: Probabilities in place of logits, normalised or not.

    Raises:
        SettingError: Neither logits nor probs are given, or both.
    """

    log_probs: Float[Array, "*batch n"]
    start: int = eqx.field(static=True)

    def __init__(
        self,
        logits: Real[ArrayLike, "*batch n"] | None = None,
        mask: Bool[Array, "*batch n"] | None = None,
        start: int = 0,
        *,
        probs: Real[ArrayLike, "*batch n"] | None = None,
    ):
        one_of(Categorical, "logits", logits, "probs", probs)
        self.start = start
        given = jnp.asarray(0.0) if logits is None else floats(logits)
        if probs is not None:
            given = log_of(floats(probs))
        if mask is not None:
            given = jnp.where(mask, given, jnp.finfo(given.dtype).min)
        self.log_probs = jax.nn.log_softmax(given)

    @property
    def logits(self) -> Float[Array, "*batch n"]:
        """Log probabilities; -inf where an action is not allowed."""
        return shown(self.log_probs)

    @property
    def probs(self) -> Float[Array, "*batch n"]:
        """Probabilities."""
        return jnp.exp(self.log_probs)

    def mask(self, mask: Bool[Array, "*batch n"]) -> "Categorical":
        """The same where only some actions are allowed."""
        return Categorical(self.log_probs, mask, self.start)

    def noise(self, *, key: Key[Array, ""]) -> Float[Array, "*batch n"]:
        return jr.gumbel(key, self.log_probs.shape, self.log_probs.dtype)

    def action(self, noise: Float[Array, "*batch n"]) -> Int[Array, "*batch"]:
        # The Gumbel-max trick: the largest of the noisy logits is a sample.
        return self._action(jnp.argmax(self.log_probs + noise, axis=-1))

    def mode(self) -> Int[Array, "*batch"]:
        return self._action(jnp.argmax(self.log_probs, axis=-1))

    def log_prob(self, value: Int[Array, "..."]) -> Float[Array, "..."]:
        # A sum over a one-hot row: the gradient of indexing is a scatter, which is slow on a CPU.
        chosen = jnp.arange(self.log_probs.shape[-1]) == jnp.expand_dims(value, -1) - self.start
        found = jnp.sum(jnp.where(chosen, self.log_probs, 0.0), axis=-1)
        return jnp.where(jnp.any(chosen, axis=-1), found, -jnp.inf)  # which is none of the choices

    def entropy(self) -> Float[Array, "*batch"]:
        return -jnp.sum(jnp.exp(self.log_probs) * self.log_probs, axis=-1)

    def _action(self, index: Int[Array, "*batch"]) -> Int[Array, "*batch"]:
        return index.astype(jnp.int32) + self.start


def log_of(probs: Float[Array, "..."]) -> Float[Array, "..."]:
    """Logarithms, of 0 the least number: the product of 0 with an infinity would be none."""
    possible = probs > 0
    return jnp.where(possible, jnp.log(jnp.where(possible, probs, 1)), jnp.finfo(probs.dtype).min)


def shown(log_probs: Float[Array, "..."]) -> Float[Array, "..."]:
    """Log probabilities with -inf in place of the least numbers."""
    return jnp.where(log_probs > jnp.finfo(log_probs.dtype).min / 2, log_probs, -jnp.inf)
