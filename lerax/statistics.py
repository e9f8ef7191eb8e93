"""Running means and variances, as part of what is trained and saved."""

from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Float

from lerax import devices, tree

EPSILON = 1e-8


class RunningStatistics(tree.Untrained):
    """Mean and variance of all that has been seen, after Chan, Golub and LeVeque (1979).

    They are constants to gradients. Before anything is seen the mean is 0 and the variance 1.

    Attributes:
        mean: Means.
        variance: Variances, not below 0.
        count: How much was seen.
    """

    mean: Float[Array, "*shape"]
    variance: Float[Array, "*shape"]
    count: Float[Array, ""]

    @classmethod
    def empty(cls, *shape: int) -> "RunningStatistics":
        """Of nothing yet."""
        return cls(jnp.zeros(shape, jnp.float32), jnp.ones(shape, jnp.float32), jnp.array(0, jnp.float32))

    def updated(self, values: Float[Array, " sample *shape"]) -> "RunningStatistics":
        """Those of everything before, and of what is new."""
        new = jnp.float32(values.shape[0] * devices.count())
        count = self.count + new
        mean, variance = devices.moments(values, axis=0)
        change, part = mean - self.mean, new / count
        spread = self.variance * (1 - part) + variance * part + change**2 * part * (1 - part)
        return type(self)(self.mean + change * part, spread, count)

    def normalize(self, value: Float[Array, "*shape"], most: float) -> Float[Array, "*shape"]:
        """In standard deviations from the mean, at most `most` of them."""
        mean, variance = lax.stop_gradient((self.mean, self.variance))
        return jnp.clip((value - mean) * lax.rsqrt(variance + EPSILON), -most, most)

    def scale(self, value: Float[Array, "*batch"], most: float) -> Float[Array, "*batch"]:
        """In standard deviations, at most `most` of them, wherever the mean is."""
        return jnp.clip(value * lax.rsqrt(lax.stop_gradient(self.variance) + EPSILON), -most, most)
