"""lerax's off-policy algorithms, and their replay buffer alone."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import equinox as eqx
import jax
from jax import lax
from jax import numpy as jnp
from jax import random as jr
from settings import OffPolicySettings

from lerax import registry
from lerax.algorithm.off_policy import ReplayBuffer
from lerax.collect import Steps

DRAWS = 200  # a timing covers as many


def train(settings: OffPolicySettings, buffer_size: int) -> Callable[[int], int]:
    """A function that trains on and returns the environment steps it took."""
    env = registry.ENV.find(settings.env).load()()
    entry = registry.ALGORITHM.find(settings.algorithm)
    # sbx's DQN looks up the target's own best action, and copies it as often.
    changes: dict[str, Any] = {"double": False, "target_interval": 250} if settings.algorithm == "DQN" else {}
    algorithm = entry.load()(
        train_frequency=settings.train_frequency,
        batch_size=settings.batch_size,
        buffer_size=buffer_size,
        learning_starts=settings.learning_starts,
        learning_rate=settings.learning_rate,
        **changes,
    )
    policy_class = registry.POLICY.find(algorithm.default_policy).load()
    policy = policy_class(env, hidden_sizes=settings.hidden, key=jr.key(0))
    state, steps = algorithm.init(env, policy, key=jr.key(1)), 0

    def run(seed: int) -> int:
        nonlocal state, steps
        steps += settings.timesteps
        state = algorithm.run(state, steps)
        jax.block_until_ready(eqx.filter(state.learner, eqx.is_array))
        return settings.timesteps

    return run


def ring(settings: OffPolicySettings, buffer_size: int, calls: int) -> dict[str, float]:
    """Milliseconds of one draw of a batch and of storing one step, in a full ring of HalfCheetah's rows."""
    env = registry.ENV.find(settings.env).load()()
    policy = registry.POLICY.find("MLPDeterministicPolicy").load()(env, key=jr.key(0))
    algorithm = registry.ALGORITHM.find("TD3").load()(buffer_size=buffer_size)
    buffer = algorithm.init_learner(env, policy, key=jr.key(1)).buffer
    buffer = eqx.tree_at(lambda buffer: buffer.size, buffer, jnp.array(buffer_size, jnp.int32))
    arrays, static = eqx.partition(buffer, eqx.is_array)

    @jax.jit
    def drawn(arrays: Any, key: jax.Array) -> jax.Array:
        def draw(total: jax.Array, key: jax.Array) -> tuple:
            buffer: ReplayBuffer = eqx.combine(arrays, static)
            batch = buffer.sample(settings.batch_size, n_step=1, gamma=0.99, key=key)
            return total + sum(jnp.sum(x) for x in jax.tree.leaves(batch)), None  # all of it is read

        return lax.scan(draw, jnp.zeros(()), jr.split(key, DRAWS))[0]

    def stored(arrays: Any, key: jax.Array) -> Any:
        def store(arrays: Any, number: jax.Array) -> tuple:
            row = buffer.packing.unpack({name: rows[number] for name, rows in arrays.rows.items()})
            steps = Steps(**vars(row), policy_state=None, next_policy_state=None, extra=None)
            steps = jax.tree.map(lambda x: x[None, None], steps)
            return eqx.filter(eqx.combine(arrays, static).added(steps), eqx.is_array), None

        return lax.scan(store, arrays, jr.randint(key, (DRAWS,), 0, buffer_size))[0]

    storing = jax.jit(stored, donate_argnums=0)
    found: dict[str, list[float]] = {"sample": [], "add": []}
    for call in range(1 + calls):
        began = time.perf_counter()
        jax.block_until_ready(drawn(arrays, jr.key(call)))
        between = time.perf_counter()
        arrays = jax.block_until_ready(storing(arrays, jr.key(call)))
        found["sample"].append(between - began)
        found["add"].append(time.perf_counter() - between)
    size = sum(rows.size * rows.dtype.itemsize for rows in buffer.rows.values())
    of_one = {name: 1e3 * median(seconds[1:]) / DRAWS for name, seconds in found.items()}
    return of_one | {"ring_megabytes": size / 2**20}
