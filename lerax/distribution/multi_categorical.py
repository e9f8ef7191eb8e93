"""Several choices at once."""

import itertools

import equinox as eqx
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Int, Key

from .base_distribution import AbstractDistribution
from .categorical import Categorical


class MultiCategorical(AbstractDistribution):
    """Independent categorical distributions; probabilities are of the whole vector.

    Args:
        logits: Unnormalised log probabilities, those of one choice after those of the other.
        nvec: How many there are of each choice.
        mask: Which actions are allowed, in the same order; None allows all.
    """

    log_probs: Float[Array, " size"]
    nvec: tuple[int, ...] = eqx.field(static=True)

    def __init__(
        self, logits: Float[Array, " size"], nvec: tuple[int, ...], mask: Bool[Array, " size"] | None = None
    ):
        self.nvec = nvec
        masks = [None] * len(nvec) if mask is None else self._split(mask)
        each = [Categorical(*one) for one in zip(self._split(logits), masks, strict=True)]
        self.log_probs = jnp.concatenate([one.log_probs for one in each])

    def noise(self, *, key: Key[Array, ""]) -> Float[Array, " size"]:
        return jr.gumbel(key, self.log_probs.shape, self.log_probs.dtype)

    def action(self, noise: Float[Array, " size"]) -> Int[Array, " choices"]:
        return self._best(self.log_probs + noise)

    def mode(self) -> Int[Array, " choices"]:
        return self._best(self.log_probs)

    def log_prob(self, value: Int[Array, " choices"]) -> Float[Array, ""]:
        # Sums over one-hot rows, see `Categorical.log_prob`.
        chosen = jnp.concatenate([jnp.arange(n) == value[i] for i, n in enumerate(self.nvec)])
        return jnp.sum(jnp.where(chosen, self.log_probs, 0.0))

    def entropy(self) -> Float[Array, ""]:
        return -jnp.sum(jnp.exp(self.log_probs) * self.log_probs)

    def _best(self, scores: Float[Array, " size"]) -> Int[Array, " choices"]:
        best = [jnp.argmax(part, keepdims=True) for part in self._split(scores)]
        return jnp.concatenate(best).astype(jnp.int32)

    def _split(self, row: Array) -> list[Array]:
        ends = itertools.accumulate(self.nvec)
        return [row[end - n : end] for n, end in zip(self.nvec, ends, strict=True)]
