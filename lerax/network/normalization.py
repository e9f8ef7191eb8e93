"""Normalisation inside networks."""

import equinox as eqx
from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Float, Int

from lerax import devices, tree


class LayerNorm(eqx.Module):
    """Layer normalisation over the last axis (Ba et al., 2016, https://arxiv.org/abs/1607.06450).

    Args:
        size: Length of the last axis.
    """

    scale: Float[Array, " size"]
    shift: Float[Array, " size"]

    def __init__(self, size: int):
        self.scale, self.shift = jnp.ones(size, jnp.float32), jnp.zeros(size, jnp.float32)

    def __call__(self, x: Float[Array, "*batch size"]) -> Float[Array, "*batch size"]:
        mean = jnp.mean(x, -1, keepdims=True)
        variance = jnp.mean((x - lax.stop_gradient(mean)) ** 2, -1, keepdims=True)  # by the mean it is 0
        return (x - mean) * lax.rsqrt(variance + 1e-5) * self.scale + self.shift


class Moments(tree.Untrained):
    """Moving mean and variance of what a batch normalisation saw, and from how many batches."""

    mean: Float[Array, " size"]
    variance: Float[Array, " size"]
    count: Int[Array, ""]


class BatchRenorm(eqx.Module):
    """Batch renormalisation (Ioffe, 2017, https://arxiv.org/abs/1702.03275).

    A batch in training is normalised by its own mean and deviation, corrected towards the moving ones by
    factors that gradients take for constants; a single vector is normalised by the moving ones. The defaults
    are those of CrossQ (Bhatt et al., 2024, https://arxiv.org/abs/1902.05605).

    Both are a factor and an offset for each number. In training the layer that follows takes them into its
    weights: a pass over these instead of one over the batch, forward and backward.

    Args:
        size: Length of a vector.
        momentum: The part of the moving averages that stays with each batch.
        most_scale: The largest correction of the deviation, r in the paper.
        most_shift: The largest correction of the mean, d in the paper.
        warm_up: Batches at the beginning that are not corrected, until the moving averages can be trusted.
        epsilon: What is added to variances.
    """

    scale: Float[Array, " size"]
    shift: Float[Array, " size"]
    moments: Moments
    momentum: float = eqx.field(static=True)
    most_scale: float = eqx.field(static=True)
    most_shift: float = eqx.field(static=True)
    warm_up: int = eqx.field(static=True)
    epsilon: float = eqx.field(static=True)

    def __init__(
        self,
        size: int,
        *,
        momentum: float = 0.99,
        most_scale: float = 3.0,
        most_shift: float = 5.0,
        warm_up: int = 100_000,
        epsilon: float = 1e-3,
    ):
        self.scale, self.shift = jnp.ones(size, jnp.float32), jnp.zeros(size, jnp.float32)
        zeros, ones = jnp.zeros(size, jnp.float32), jnp.ones(size, jnp.float32)
        self.moments = Moments(zeros, ones, jnp.array(0, jnp.int32))
        self.momentum, self.most_scale, self.most_shift = momentum, most_scale, most_shift
        self.warm_up, self.epsilon = warm_up, epsilon

    def moving(self) -> tuple[Float[Array, " size"], Float[Array, " size"]]:
        """By what a vector is multiplied, and what is added then, to normalise it by the moving averages."""
        mean, variance = lax.stop_gradient((self.moments.mean, self.moments.variance))
        factor = lax.rsqrt(variance + self.epsilon) * self.scale
        return factor, self.shift - mean * factor

    def train(
        self, batch: Float[Array, "batch size"], *, around_zero: bool = False
    ) -> tuple[Float[Array, " size"], Float[Array, " size"], "BatchRenorm"]:
        """The same to normalise a batch by itself, and the layer with the moving averages after it.

        Args:
            batch: The vectors.
            around_zero: See `devices.moments`.
        """
        mean, variance = devices.moments(batch, axis=0, around_zero=around_zero)
        deviation, moments = jnp.sqrt(variance + self.epsilon), self.moments
        moving = jnp.sqrt(moments.variance + self.epsilon)
        r = jnp.clip(deviation / moving, 1 / self.most_scale, self.most_scale)
        d = jnp.clip((mean - moments.mean) / moving, -self.most_shift, self.most_shift)
        warm = moments.count >= self.warm_up
        r, d = lax.stop_gradient((jnp.where(warm, r, 1.0), jnp.where(warm, d, 0.0)))
        factor = r / deviation * self.scale
        average = lambda old, new: lax.stop_gradient(self.momentum * old + (1 - self.momentum) * new)
        after = Moments(average(moments.mean, mean), average(moments.variance, variance), moments.count + 1)
        layer = eqx.tree_at(lambda layer: layer.moments, self, after)
        return factor, d * self.scale + self.shift - mean * factor, layer
