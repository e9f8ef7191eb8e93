"""Gaussian actions that are squashed into a box."""

import math

import equinox as eqx
import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Key

from lerax.errors import SettingError

from .base_distribution import AbstractDistribution
from .normal import Normal, diagonal

LARGEST = float(np.nextafter(np.float32(1), np.float32(0)))


class Squash(eqx.Module):
    """The tanh, onto (-1, 1) or between two bounds.

    Args:
        low: The lower bound.
        high: The upper bound; None for both is -1 and 1.

    Raises:
        SettingError: Only one of them is given.
    """

    low: Float[Array, "..."] | None
    high: Float[Array, "..."] | None

    def __init__(
        self, low: Float[ArrayLike, "..."] | None = None, high: Float[ArrayLike, "..."] | None = None
    ):
        if (low is None) != (high is None):
            raise SettingError("Squash", None, wrong="takes both bounds or none", said="one")
        self.low = None if low is None else jnp.asarray(low)
        self.high = None if high is None else jnp.asarray(high)

    def forward(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """Into the box."""
        inside = jnp.tanh(x)
        if self.low is None or self.high is None:
            return inside
        middle, half = (self.high + self.low) / 2, (self.high - self.low) / 2
        return jnp.clip(middle + half * inside, self.low, self.high)  # rounding may lead past a bound

    def inverse(self, y: Float[Array, "..."]) -> Float[Array, "..."]:
        """Out of it; a bound itself counts as the number next to it."""
        if self.low is not None and self.high is not None:
            y = (y - (self.high + self.low) / 2) / ((self.high - self.low) / 2)
        return jnp.arctanh(jnp.clip(y, -LARGEST, LARGEST))

    def forward_log_det_jacobian(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The logarithm of the slope: of log(1 - tanh(x)^2) without the difference that rounds to 0."""
        slope = 2 * (math.log(2) - x - jax.nn.softplus(-2 * x))
        if self.low is None or self.high is None:
            return slope
        return slope + jnp.log((self.high - self.low) / 2)


class SquashedNormal(AbstractDistribution):
    """The tanh of a Gaussian with independent components; see Haarnoja et al. (2018), appendix C.

    Args:
        loc: Means before the tanh.
        log_scale: Logarithms of the standard deviations before the tanh.
        scale: Standard deviations in place of their logarithms.
        low: The lower bound of the actions, -1 by default.
        high: The upper bound, 1 by default.
        event_ndim: How many of the last axes are one action, the others being a batch; None for all.

    Raises:
        SettingError: Neither log_scale nor scale is given, or both, or one bound without the other.
    """

    normal: Normal
    bijector: Squash

    def __init__(
        self,
        loc: Float[ArrayLike, "..."],
        log_scale: Float[ArrayLike, "..."] | None = None,
        *,
        scale: Float[ArrayLike, "..."] | None = None,
        low: Float[ArrayLike, "..."] | None = None,
        high: Float[ArrayLike, "..."] | None = None,
        event_ndim: int | None = None,
    ):
        self.normal = Normal(loc, log_scale, scale=scale, event_ndim=event_ndim)
        self.bijector = Squash(low, high)

    @property
    def loc(self) -> Float[Array, "..."]:
        """Means before the tanh."""
        return self.normal.loc

    @property
    def scale(self) -> Float[Array, "..."]:
        """Standard deviations before the tanh."""
        return self.normal.scale

    def noise(self, *, key: Key[Array, ""]) -> Float[Array, "..."]:
        return self.normal.noise(key=key)

    def action(self, noise: Float[Array, "..."]) -> Float[Array, "..."]:
        return self.bijector.forward(self.normal.action(noise))

    def action_and_log_prob(
        self, noise: Float[Array, "..."]
    ) -> tuple[Float[Array, "..."], Float[Array, "*batch"]]:
        """The random action that `noise` makes, and its log probability, exact however close to a bound.

        Its gradient is that of a reparameterized sample: the action moves with the parameters.
        """
        before = self.normal.action(noise)
        return self.bijector.forward(before), self.normal.log_prob_of_noise(noise) - self._log_slope(before)

    def mode(self) -> Float[Array, "..."]:
        """The tanh of the Gaussian's mean, its median; a wide Gaussian is densest near the bounds."""
        return self.bijector.forward(self.normal.mode())

    def log_prob(self, value: Float[Array, "..."]) -> Float[Array, "*batch"]:
        """The logarithm of the density; a bound itself counts as the number next to it."""
        before = self.bijector.inverse(value)
        return self.normal.log_prob(before) - self._log_slope(before)

    def entropy(self) -> Float[Array, "*batch"]:
        """It has no closed form.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError("SquashedNormal.entropy has no closed form; average -action_and_log_prob")

    def _log_slope(self, before: Float[Array, "..."]) -> Float[Array, "*batch"]:
        return self.normal.total(self.bijector.forward_log_det_jacobian(before))


class SquashedMultivariateNormalDiag(SquashedNormal):
    """The same whose last axis is one action; axes before it are a batch.

    Args:
        loc: Means before the tanh.
        scale_diag: Standard deviations before the tanh.
        high: The upper bound of the actions, 1 by default.
        low: The lower bound, -1 by default.

    Raises:
        SettingError: The first two have different shapes, or one bound is given without the other.
    """

    def __init__(
        self,
        loc: Float[ArrayLike, "*batch n"],
        scale_diag: Float[ArrayLike, "..."],
        high: Float[ArrayLike, "..."] | None = None,
        low: Float[ArrayLike, "..."] | None = None,
    ):
        loc, scale = diagonal(SquashedMultivariateNormalDiag, loc, scale_diag)
        super().__init__(loc, scale=scale, low=low, high=high, event_ndim=1)

    @property
    def scale_diag(self) -> Float[Array, "*batch n"]:
        """Standard deviations before the tanh."""
        return self.scale
