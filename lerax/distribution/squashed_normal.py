"""Gaussian actions that are squashed into a box."""

import math

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float, Key

from .base_distribution import AbstractDistribution
from .normal import Normal

LARGEST = float(np.nextafter(np.float32(1), np.float32(0)))


class SquashedNormal(AbstractDistribution):
    """The tanh of a Gaussian with independent components, on (-1, 1); see Haarnoja et al. (2018), appendix C.

    Args:
        loc: Means before the tanh.
        log_scale: Logarithms of the standard deviations before the tanh.
    """

    normal: Normal

    def __init__(self, loc: Float[Array, "..."], log_scale: Float[Array, "..."]):
        self.normal = Normal(loc, log_scale)

    def noise(self, *, key: Key[Array, ""]) -> Float[Array, "..."]:
        return self.normal.noise(key=key)

    def action(self, noise: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.tanh(self.normal.action(noise))

    def action_and_log_prob(self, noise: Float[Array, "..."]) -> tuple[Float[Array, "..."], Float[Array, ""]]:
        """The random action that `noise` makes, and its log probability, exact however close to a bound.

        Its gradient is that of a reparameterized sample: the action moves with the parameters.
        """
        before = self.normal.action(noise)
        return jnp.tanh(before), self.normal.log_prob_of_noise(noise) - _log_slope(before)

    def mode(self) -> Float[Array, "..."]:
        """The tanh of the Gaussian's mean, its median; a wide Gaussian is densest near the bounds."""
        return jnp.tanh(self.normal.mode())

    def log_prob(self, value: Float[Array, "..."]) -> Float[Array, ""]:
        """The logarithm of the density; a bound itself counts as the number next to it."""
        before = jnp.arctanh(jnp.clip(value, -LARGEST, LARGEST))
        return self.normal.log_prob(before) - _log_slope(before)

    def entropy(self) -> Float[Array, ""]:
        """It has no closed form.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError("SquashedNormal.entropy has no closed form; average -action_and_log_prob")


def _log_slope(before: Float[Array, "..."]) -> Float[Array, ""]:
    """log(1 - tanh(before)^2), summed, without the difference that rounds to 0."""
    return jnp.sum(2 * (math.log(2) - before - jax.nn.softplus(-2 * before)))
