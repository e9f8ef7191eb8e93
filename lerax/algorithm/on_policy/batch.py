"""What an update reads, its random orders, and how well its values are known."""

from collections.abc import Callable

import equinox as eqx
import jax
from jax import lax
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Float, Int, Key, PyTree

from lerax import devices, tree
from lerax.collect import Standing, Steps
from lerax.policy import AbstractActorCriticPolicy


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
        begins: Where the memory is the recorded one; None where it is everywhere.
    """

    observation: PyTree
    action: PyTree
    action_mask: PyTree
    policy_state: PyTree
    log_prob: Float[Array, "*batch"]
    value: Float[Array, "*batch"]
    advantage: Float[Array, "*batch"]
    returns: Float[Array, "*batch"]
    begins: PyTree = None


def values_around(
    value: Callable[[PyTree, PyTree, PyTree], Float[Array, ""]], steps: Steps, standing: Standing
) -> tuple[Float[Array, "time env"], Float[Array, "time env"]]:
    """Values of all observations, and of those that followed in the same episode.

    One wide product after the rollout instead of one narrow one in each of its steps; those of truncated
    episodes' last observations only where there is one.

    Args:
        value: From a policy's memory, an observation and the action mask to the value.
        steps: What happened.
        standing: Where the environments stand then.
    """

    def values_of(inputs: PyTree) -> Float[Array, "*batch"]:
        flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), inputs)
        return jax.vmap(value)(*flat).reshape(-1, steps.reward.shape[1])

    append = lambda x, last: jnp.concatenate([x, last[None]])
    last_mask = jax.tree.map(lambda x: x[-1], steps.next_action_mask)
    inputs = (steps.policy_state, steps.observation, steps.action_mask)
    values = values_of(jax.tree.map(append, inputs, (standing.policy_state, standing.observation, last_mask)))
    cut = steps.truncated & ~steps.terminal
    after = (steps.next_policy_state, steps.next_observation, steps.next_action_mask)
    next_values = lax.cond(
        jnp.any(cut), lambda: jnp.where(cut, values_of(after), values[1:]), lambda: values[1:]
    )
    return values[:-1], next_values


def remembered(policy: AbstractActorCriticPolicy, batch: Batch) -> Batch:
    """Sequences `[env, time, ...]` as samples, each with the memory that the policy as it is now has there.

    Gradients go through them, back to where the sequence or its episode begins.
    """

    def step(memory: PyTree, one: Batch) -> tuple[PyTree, PyTree]:
        memory = tree.where(one.begins, one.policy_state, memory)
        after = policy.evaluate_action(memory, one.observation, one.action, action_mask=one.action_mask)[0]
        return after, memory

    first = jax.tree.map(lambda x: x[:, 0], batch.policy_state)
    memory = jax.vmap(lambda first, sequence: tree.scan(step, first, sequence)[1])(first, batch)
    batch = eqx.tree_at(lambda batch: batch.policy_state, batch, memory)
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batch)


def normalized(
    x: Float[Array, "*batch"], weight: Float[Array, "*batch"] | None = None
) -> Float[Array, "*batch"]:
    """The same numbers with mean 0 and deviation 1, each weighted; weights have the mean 1."""
    if weight is None:
        center, variance = devices.moments(x)
        return (x - center) / (jnp.sqrt(variance) + 1e-8)
    average = lambda x: devices.mean(jnp.mean(x))
    x = x - average(weight * x)
    return x / (jnp.sqrt(average(weight * x**2)) + 1e-8)


def explained_variance(values: Float[Array, " n"], returns: Float[Array, " n"]) -> Float[Array, ""]:
    """The part of the returns' variance that the values explain; 0 where there is no variance."""
    total, rest = devices.moments(returns)[1], devices.moments(returns - values)[1]
    return jnp.where(total > 0, 1.0 - rest / jnp.where(total > 0, total, 1.0), 0.0)


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
