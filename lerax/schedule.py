"""How a setting changes over the training."""

from jax import numpy as jnp
from jaxtyping import Array, Float

SCHEDULES = ("constant", "linear", "cosine")


def scheduled(
    schedule: str,
    begin: float | Float[Array, ""],
    progress: Float[Array, ""],
    *,
    end: float | Float[Array, ""] = 0.0,
) -> Float[Array, ""]:
    """A value on its way from `begin` to `end`.

    Args:
        schedule: Constant, linear, or half a cosine (Loshchilov and Hutter, 2017,
            https://arxiv.org/abs/1608.03983).
        begin: The value at first.
        progress: The part of the way that is done, from 0 to 1.
        end: The value at last; a constant never gets there.
    """
    if schedule == "constant":
        return jnp.asarray(begin, jnp.float32)
    done = jnp.clip(progress, 0.0, 1.0)
    left = 1.0 - done if schedule == "linear" else 0.5 * (1.0 + jnp.cos(jnp.pi * done))
    return jnp.asarray(end + (begin - end) * left, jnp.float32)
