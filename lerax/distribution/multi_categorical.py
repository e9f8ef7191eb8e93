"""Several choices at once."""

import itertools
from collections.abc import Sequence
from typing import Any

import equinox as eqx
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, ArrayLike, Bool, Float, Int, Key

from lerax.errors import SettingError
from lerax.tree import floats

from .base_distribution import AbstractDistribution, one_of
from .categorical import Categorical, log_of, shown

Row = ArrayLike | Sequence[Array]


class MultiCategorical(AbstractDistribution):
    """Independent categorical distributions; probabilities are of the whole vector.

    Args:
        logits: Unnormalised log probabilities, those of one choice after those of the other, or a sequence
            with an array for each choice.
        nvec: How many there are of each choice; a sequence of arrays says so by itself.
        mask: Which actions are allowed, in the same order; None allows all.
        probs: Probabilities in place of logits, in either form.
        action_dims: Another name of `nvec`.

    Raises:
        SettingError: Neither logits nor probs are given, or both, or they are of other sizes than `nvec`.
    """

    log_probs: Float[Array, "*batch size"]
    nvec: tuple[int, ...] = eqx.field(static=True)

    def __init__(
        self,
        logits: Row | None = None,
        nvec: Sequence[int] | None = None,
        mask: Bool[Array, "*batch size"] | None = None,
        *,
        probs: Row | None = None,
        action_dims: Sequence[int] | None = None,
    ):
        one_of(MultiCategorical, "logits", logits, "probs", probs)
        given = probs if logits is None else logits
        sizes = action_dims if nvec is None else nvec
        if sizes is None and isinstance(given, list | tuple):
            sizes = [jnp.shape(part)[-1] for part in given]
        self.nvec = tuple(map(int, sizes or ()))
        if min(self.nvec, default=0) < 1:
            hint = "give how many there are of each choice, such as (2, 3)"
            raise SettingError("MultiCategorical", sizes, wrong="nvec needs sizes of at least 1", hint=hint)
        row = floats(self._joined(given))
        row = log_of(row) if logits is None else row
        masks = [None] * len(self.nvec) if mask is None else self._split(mask)
        each = [Categorical(*one) for one in zip(self._split(row), masks, strict=True)]
        self.log_probs = jnp.concatenate([one.log_probs for one in each], axis=-1)

    @property
    def action_dims(self) -> tuple[int, ...]:
        """How many there are of each choice: another name of `nvec`."""
        return self.nvec

    @property
    def distribution(self) -> tuple[Categorical, ...]:
        """The distribution of each choice."""
        return tuple(map(Categorical, self._split(self.log_probs)))

    @property
    def logits(self) -> Float[Array, "*batch size"]:
        """Log probabilities, one choice after the other; -inf where an action is not allowed."""
        return shown(self.log_probs)

    @property
    def probs(self) -> Float[Array, "*batch size"]:
        """Probabilities, one choice after the other."""
        return jnp.exp(self.log_probs)

    def mask(self, mask: Bool[Array, "*batch size"] | Sequence[Array]) -> "MultiCategorical":
        """The same where only some actions are allowed: a row, or an array for each choice."""
        return MultiCategorical(self.log_probs, self.nvec, self._joined(mask))

    def noise(self, *, key: Key[Array, ""]) -> Float[Array, "*batch size"]:
        return jr.gumbel(key, self.log_probs.shape, self.log_probs.dtype)

    def action(self, noise: Float[Array, "*batch size"]) -> Int[Array, "*batch choices"]:
        return self._best(self.log_probs + noise)

    def mode(self) -> Int[Array, "*batch choices"]:
        return self._best(self.log_probs)

    def log_prob(self, value: Int[Array, "... choices"]) -> Float[Array, "..."]:
        if jnp.shape(value)[-1:] != (len(self.nvec),):
            said = f"shape {list(jnp.shape(value))}"
            raise SettingError("value", value, wrong=f"needs {len(self.nvec)} choices", said=said)
        # Sums over one-hot rows, see `Categorical.log_prob`.
        parts = [jnp.arange(n) == value[..., i : i + 1] for i, n in enumerate(self.nvec)]
        chosen = jnp.concatenate(parts, axis=-1)
        found = jnp.sum(jnp.where(chosen, self.log_probs, 0.0), axis=-1)
        inside = jnp.sum(chosen, axis=-1, dtype=jnp.int32) == len(self.nvec)  # each is one of its choices
        return jnp.where(inside, found, -jnp.inf)

    def entropy(self) -> Float[Array, "*batch"]:
        return -jnp.sum(jnp.exp(self.log_probs) * self.log_probs, axis=-1)

    def _best(self, scores: Float[Array, "*batch size"]) -> Int[Array, "*batch choices"]:
        best = [jnp.argmax(part, axis=-1, keepdims=True) for part in self._split(scores)]
        return jnp.concatenate(best, axis=-1).astype(jnp.int32)

    def _joined(self, given: Any) -> Array:
        """A row of what is given in either form."""
        several = isinstance(given, list | tuple)
        parts = [jnp.asarray(part) for part in (given if several else [given])]
        sizes = self.nvec if several else (sum(self.nvec),)
        if tuple(part.shape[-1] for part in parts) != sizes or len({part.shape[:-1] for part in parts}) > 1:
            wrong = f"last axes need the sizes {', '.join(map(str, sizes))}"
            said, hint = (
                " and ".join(str(list(part.shape)) for part in parts),
                "and the same axes before them",
            )
            raise SettingError("MultiCategorical", given, wrong=wrong, hint=hint, said=said)
        return jnp.concatenate(parts, axis=-1)

    def _split(self, row: Array) -> list[Array]:
        ends = itertools.accumulate(self.nvec)
        return [row[..., end - n : end] for n, end in zip(self.nvec, ends, strict=True)]
