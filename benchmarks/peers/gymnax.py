"""gymnax: environments only."""

from collections.abc import Callable

import gymnax
import jax
from jax import lax
from jax import numpy as jnp
from jax import random as jr
from settings import ENV


def step(num_envs: int, num_steps: int) -> Callable[[int], int]:
    """A function that takes random steps from a seed and returns how many."""
    env, params = gymnax.make(ENV)
    reset = jax.vmap(lambda key: env.reset(key, params))
    advance = jax.vmap(lambda state, action, key: env.step(key, state, action, params))

    @jax.jit
    def run(key: jax.Array) -> jax.Array:
        def body(carry, key):
            state, total = carry
            action_key, step_key = jr.split(key)
            action = jr.randint(action_key, (num_envs,), 0, 2)
            observation, state, reward, done, _ = advance(state, action, jr.split(step_key, num_envs))
            # Read all that a step gives, or the compiler leaves out what nobody reads.
            return (state, total + observation.sum() + reward.sum() + done.sum()), None

        _, state = reset(jr.split(key, num_envs))
        return lax.scan(body, (state, jnp.zeros(())), jr.split(key, num_steps))[0][1]

    def run_seed(seed: int) -> int:
        run(jr.key(seed)).block_until_ready()
        return num_envs * num_steps

    return run_seed
