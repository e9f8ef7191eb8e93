"""Gaussian actions."""

import math

import equinox as eqx
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, ArrayLike, Float, Key

from .base_distribution import AbstractDistribution, one_of, same_shape


class Normal(AbstractDistribution):
    """A Gaussian with independent components; by default probabilities are of the whole array.

    Args:
        loc: Means.
        log_scale: Logarithms of the standard deviations.
        scale: Standard deviations in place of their logarithms, of the shape of `loc`.
        event_ndim: How many of the last axes are one action, the others being a batch; None for all.

    Raises:
        SettingError: Neither log_scale nor scale is given, or both, or the scale has another shape.
    """

    loc: Float[Array, "..."]
    log_scale: Float[Array, "..."]
    event_ndim: int | None = eqx.field(static=True)

    def __init__(
        self,
        loc: Float[ArrayLike, "..."],
        log_scale: Float[ArrayLike, "..."] | None = None,
        *,
        scale: Float[ArrayLike, "..."] | None = None,
        event_ndim: int | None = None,
    ):
        one_of(Normal, "log_scale", log_scale, "scale", scale)
        if scale is not None:
            same_shape(Normal, "loc", loc, "scale", scale)
        self.loc = jnp.asarray(loc)
        self.log_scale = jnp.asarray(log_scale) if scale is None else jnp.log(jnp.asarray(scale))
        self.event_ndim = event_ndim

    @property
    def scale(self) -> Float[Array, "..."]:
        """Standard deviations."""
        return jnp.exp(self.log_scale)

    def noise(self, *, key: Key[Array, ""]) -> Float[Array, "..."]:
        return jr.normal(key, self.loc.shape, self.loc.dtype)

    def action(self, noise: Float[Array, "..."]) -> Float[Array, "..."]:
        return self.loc + jnp.exp(self.log_scale) * noise

    def mode(self) -> Float[Array, "..."]:
        return self.loc

    def mean(self) -> Float[Array, "..."]:
        return self.loc

    def log_prob(self, value: Float[Array, "..."]) -> Float[Array, "*batch"]:
        return self.log_prob_of_noise((value - self.loc) * jnp.exp(-self.log_scale))

    def log_prob_of_noise(self, noise: Float[Array, "..."]) -> Float[Array, "*batch"]:
        """The log probability of the action that `noise` makes."""
        return self.total(-0.5 * noise**2 - self.log_scale - 0.5 * math.log(2 * math.pi))

    def entropy(self) -> Float[Array, "*batch"]:
        terms = jnp.broadcast_to(self.log_scale, self.loc.shape)
        return self.total(terms + 0.5 * math.log(2 * math.pi * math.e))

    def total(self, terms: Float[Array, "..."]) -> Float[Array, "*batch"]:
        """The sum over the components of one action."""
        return jnp.sum(terms, None if self.event_ndim is None else tuple(range(-self.event_ndim, 0)))


class MultivariateNormalDiag(Normal):
    """A Gaussian whose last axis is one action; axes before it are a batch.

    Args:
        loc: Means; None for zeros.
        scale_diag: Standard deviations; None for ones.

    Raises:
        SettingError: Neither is given, or they have different shapes.
    """

    def __init__(
        self,
        loc: Float[ArrayLike, "*batch n"] | None = None,
        scale_diag: Float[ArrayLike, "..."] | None = None,
    ):
        loc, scale = diagonal(MultivariateNormalDiag, loc, scale_diag)
        super().__init__(loc, scale=scale, event_ndim=1)

    @property
    def scale_diag(self) -> Float[Array, "*batch n"]:
        """Standard deviations."""
        return self.scale


def diagonal(
    cls: type, loc: Float[ArrayLike, "*batch n"] | None, scale_diag: Float[ArrayLike, "..."] | None
) -> tuple[Float[Array, "*batch n"], Float[Array, "*batch n"]]:
    """Means and deviations, of which one may be left out.

    Raises:
        SettingError: Both are, or they have different shapes.
    """
    if loc is None and scale_diag is None:
        one_of(cls, "loc", None, "scale_diag", None)
    given = scale_diag if loc is None else loc
    mean = jnp.zeros_like(jnp.asarray(given)) if loc is None else jnp.asarray(loc)
    scale = jnp.ones_like(jnp.asarray(given)) if scale_diag is None else jnp.asarray(scale_diag)
    same_shape(cls, "loc", mean, "scale_diag", scale)
    return mean, scale
