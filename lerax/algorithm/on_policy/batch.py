"""What an update reads, its random orders, and how well its values are known."""

import equinox as eqx
import jax
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Float, Int, Key, PyTree


class Batch(eqx.Module):
    """What the update reads; arrays are `[time, env, ...]`, flattened to `[sample, ...]`.

    Attributes:
        observation: What the policy saw.
        action: What it did, before any clipping to the action space.
        action_mask: Which actions it could choose from, None for all.
        policy_state: The policy's memory before it; None where it has none.
        log_prob: Log probability of the action when it was chosen.
        value: Value of the observation before the update.
        advantage: Estimated advantage of the action.
        returns: What the value should have been.
    """

    observation: PyTree
    action: PyTree
    action_mask: PyTree
    policy_state: PyTree
    log_prob: Float[Array, "*batch"]
    value: Float[Array, "*batch"]
    advantage: Float[Array, "*batch"]
    returns: Float[Array, "*batch"]


def explained_variance(values: Float[Array, " n"], returns: Float[Array, " n"]) -> Float[Array, ""]:
    """The part of the returns' variance that the values explain; 0 where there is no variance."""
    total = jnp.var(returns)
    return jnp.where(total > 0, 1.0 - jnp.var(returns - values) / jnp.where(total > 0, total, 1.0), 0.0)


def shuffles(key: Key[Array, ""], count: int, size: int) -> Int[Array, "{count} {size}"]:
    """Random orders of `size` rows.

    A random word with the row's number in its low bits is sorted as one number: 4 to 10 times faster on a
    CPU than `jax.random.permutation`, which sorts pairs. Of the words at least 16 bits are random; the few
    that agree in all of them stay in order.
    """
    low = max(size - 1, 1).bit_length()
    if low > 16:
        return jax.vmap(lambda k: jr.permutation(k, jnp.arange(size, dtype=jnp.int32)))(jr.split(key, count))
    words = jr.bits(key, (count, size), jnp.uint32) >> low << low
    rows = jnp.sort(words | jnp.arange(size, dtype=jnp.uint32), axis=1)
    return (rows & ((1 << low) - 1)).astype(jnp.int32)
