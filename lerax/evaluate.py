"""Compiled evaluation of a policy."""

import equinox as eqx
import jax
from jax import lax
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from lerax import tree
from lerax.env import AbstractEnvLike, advance
from lerax.policy import AbstractPolicy
from lerax.space import Box


class Evaluation(eqx.Module):
    """What `evaluate` measured, one entry per episode.

    Attributes:
        returns: Sums of the rewards.
        lengths: Steps.
        finished: Whether the episode ended before the step limit.
    """

    returns: Float[Array, " episode"]
    lengths: Int[Array, " episode"]
    finished: Bool[Array, " episode"]


@eqx.filter_jit
def evaluate(
    env: AbstractEnvLike,
    policy: AbstractPolicy,
    *,
    key: PRNGKeyArray,
    num_episodes: int = 100,
    deterministic: bool = True,
    max_steps: int = 10_000,
) -> Evaluation:
    """Plays whole episodes side by side, the first of each environment.

    Args:
        env: The environment.
        policy: The policy.
        key: PRNG key: the same key gives the same episodes.
        num_episodes: How many.
        deterministic: Take the most probable action instead of a sample.
        max_steps: Where an episode that does not end is cut.
    """
    reset_key, show_key, policy_key, step_key = jr.split(tree.typed_key(key), 4)
    rows = jnp.arange(num_episodes)

    def step(carry: tuple) -> tuple:
        count, state, observation, memory, returns, lengths, over = carry

        def one(state, observation, memory, row):  # type: ignore[no-untyped-def]
            act_key, env_key, mask_key = jr.split(jr.fold_in(jr.fold_in(step_key, row), count), 3)
            mask = env.action_mask(state, key=mask_key)
            sampled = None if deterministic else act_key
            memory, action = policy(memory, observation, key=sampled, action_mask=mask)
            if isinstance(env.action_space, Box):
                action = env.action_space.clip(action)
            # The episode that would follow is never looked at: any state will do to begin it.
            return memory, advance(env, state, action, key=env_key, fresh=state)

        memory, taken = jax.vmap(one)(state, observation, memory, rows)
        returns = returns + jnp.where(over, 0.0, taken.reward)
        lengths = lengths + ~over
        return count + 1, taken.state, taken.observation, memory, returns, lengths, over | taken.done

    state = jax.vmap(lambda k: env.initial(key=k))(jr.split(reset_key, num_episodes))
    observation = jax.vmap(lambda s, k: env.observation(s, key=k))(state, jr.split(show_key, num_episodes))
    memory = jax.vmap(lambda k: policy.reset(key=k))(jr.split(policy_key, num_episodes))
    zeros = (jnp.zeros(num_episodes), jnp.zeros(num_episodes, jnp.int32), jnp.zeros(num_episodes, bool))
    carry = (jnp.array(0, jnp.int32), state, observation, memory, *zeros)
    carry = lax.while_loop(lambda c: (c[0] < max_steps) & ~jnp.all(c[-1]), step, carry)
    return Evaluation(*carry[-3:])
