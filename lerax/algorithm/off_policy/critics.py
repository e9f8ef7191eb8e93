"""Several critics side by side, of which the least is believed (Fujimoto et al., 2018)."""

from typing import Any

import jax
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Float, Key, PyTree


def make_critics(policy: Any, count: int, *, key: Key[Array, ""]) -> tuple[Any, ...]:
    """Critics of the policy's make."""
    return tuple(policy.critic(key=key) for key in jr.split(key, count))


def values(critics: tuple[Any, ...], *inputs: PyTree) -> Float[Array, "critic sample outputs"]:
    """What each critic says of each sample.

    They are written out: each product is one of plain matrices, forward and backward.
    """
    return jnp.stack([jax.vmap(critic)(*inputs) for critic in critics])


def q_values(
    critics: tuple[Any, ...], policy: Any, observation: PyTree, action: Float[Array, "sample size"]
) -> Float[Array, "critic sample"]:
    """What each critic says of actions, in units of their box."""
    return values(critics, jax.vmap(policy.normalized)(observation), action)[..., 0]


def squared_error(found: Float[Array, "critic sample"], wanted: Float[Array, " sample"]) -> Float[Array, ""]:
    """Mean over the samples, summed over the critics."""
    return jnp.sum(jnp.mean((found - wanted) ** 2, axis=1))
