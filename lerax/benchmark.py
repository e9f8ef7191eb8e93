"""The score of a policy as one number."""

from jax import numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from lerax.env import AbstractEnvLike
from lerax.evaluate import evaluate
from lerax.policy import AbstractPolicy

MOST = 2**31 - 1  # steps that an int32 counts


def average_reward(
    env: AbstractEnvLike,
    policy: AbstractPolicy,
    num_episodes: int = 4,
    max_steps: int | None = 1024,
    deterministic: bool = False,
    *,
    key: PRNGKeyArray,
) -> Float[Array, ""]:
    """The mean return of a few episodes, from `lerax.evaluate.evaluate`, which says more of them.

    Args:
        env: The environment.
        policy: The policy.
        num_episodes: How many.
        max_steps: Where an episode that does not end is cut; None for nowhere.
        deterministic: Take the most probable action instead of a sample.
        key: PRNG key: the same key gives the same episodes.
    """
    most = MOST if max_steps is None else max_steps
    options = {"num_episodes": num_episodes, "max_steps": most, "deterministic": deterministic}
    return jnp.mean(evaluate(env, policy, key=key, **options).returns)
