"""Advantages and returns: pure functions on `[time, env]` arrays."""

from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float


def gae(
    rewards: Float[Array, "time env"],
    values: Float[Array, "time env"],
    next_values: Float[Array, "time env"],
    terminals: Bool[Array, "time env"],
    dones: Bool[Array, "time env"],
    *,
    gamma: float | Float[Array, ""],
    gae_lambda: float | Float[Array, ""],
) -> Float[Array, "time env"]:
    """Generalized advantage estimation (Schulman et al., 2016, https://arxiv.org/abs/1506.02438).

    Args:
        rewards: The environment's rewards.
        values: Value of the observation that each action was taken in.
        next_values: Value of the observation that followed, of the same episode: at a truncation that of
            the last observation of the finished episode.
        terminals: Where the task ended: nothing follows.
        dones: Where an episode ended in either way: the sum over later steps is cut.
        gamma: Discount factor.
        gae_lambda: Weight of later steps; 0 is one-step, 1 is Monte Carlo.

    Returns:
        The advantage of each action.
    """
    errors = rewards + gamma * next_values * (1.0 - terminals.astype(rewards.dtype)) - values
    decay = gamma * gae_lambda * (1.0 - dones.astype(rewards.dtype))

    def backwards(
        later: Float[Array, " env"], step: tuple[Float[Array, " env"], Float[Array, " env"]]
    ) -> tuple[Float[Array, " env"], Float[Array, " env"]]:
        error, factor = step
        advantage = error + factor * later
        return advantage, advantage

    unroll = min(8, rewards.shape[0])
    start = jnp.zeros_like(rewards[0])
    return lax.scan(backwards, start, (errors, decay), reverse=True, unroll=unroll)[1]
