"""The limit: nothing but the matrix products of an algorithm's updates, in one scan of one program.

Neither activations, biases, losses, optimizers nor replay: none that makes the same products with
the same library can be faster.
"""

from collections.abc import Callable

import jax
from jax import lax
from jax import numpy as jnp
from jax import random as jr
from settings import HALF_CHEETAH, OffPolicySettings

Weights = list[jax.Array]
OBSERVATION, ACTION = HALF_CHEETAH


def train(settings: OffPolicySettings, buffer_size: int) -> Callable[[int], int]:
    """A function that makes the products of as many updates and returns how many these are."""
    del buffer_size
    batch, (first, second) = settings.batch_size, settings.hidden
    action = {"TD3": ACTION}.get(settings.algorithm, 2 * ACTION)
    actor_sizes = (OBSERVATION, first, second, action)
    critic_sizes = (OBSERVATION + ACTION, first, second, 1)
    draw = lambda key, sizes: [
        jr.normal(key, pair) / pair[0] ** 0.5 for pair in zip(sizes[:-1], sizes[1:], strict=True)
    ]
    keys = jr.split(jr.key(0), 4)
    actor, critics = draw(keys[0], actor_sizes), [draw(key, critic_sizes) for key in keys[1:3]]
    once = {"SAC": _sac, "TD3": _td3, "CrossQ": _crossq}[settings.algorithm]
    delay = {"SAC": 1, "TD3": 2, "CrossQ": 3}[settings.algorithm]  # updates for each of the policy
    seen = jr.normal(keys[3], (64, 2, batch, OBSERVATION + ACTION))  # what follows beside what is

    @jax.jit
    def run(actor: Weights, critics: list[Weights], number: jax.Array) -> jax.Array:
        def some(made: jax.Array, number: jax.Array) -> tuple:
            now, after = seen[number % len(seen)]
            return once(actor, critics, now, after, delay), None

        blank = jax.eval_shape(lambda number: some(None, number)[0], number[0])
        # Each round's products take the last one's place in the carry: none can be left out.
        return lax.scan(some, jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), blank), number)[0]

    def run_seed(seed: int) -> int:
        rounds = settings.timesteps // delay
        jax.block_until_ready(run(actor, critics, seed + jnp.arange(rounds)))
        return rounds * delay

    return run_seed


def _sac(actor: Weights, critics: list[Weights], now: jax.Array, after: jax.Array, delay: int) -> tuple:
    targets = [_values(critic, _acted(actor, after)) for critic in critics]
    return targets, [_learned(critic, now) for critic in critics], _improved(actor, critics, now)


def _td3(actor: Weights, critics: list[Weights], now: jax.Array, after: jax.Array, delay: int) -> tuple:
    made = []
    for number in range(delay):
        batch = jnp.roll(now, number, axis=0), jnp.roll(after, number, axis=0)
        targets = [_values(critic, _acted(actor, batch[1])) for critic in critics]
        made.append((targets, [_learned(critic, batch[0]) for critic in critics]))
    return made, _improved(actor, critics[:1], now)


def _crossq(actor: Weights, critics: list[Weights], now: jax.Array, after: jax.Array, delay: int) -> tuple:
    made = []
    for number in range(delay):
        batch = jnp.roll(now, number, axis=0), jnp.roll(after, number, axis=0)
        both = jnp.concatenate([batch[0], _acted(actor, batch[1])])
        made.append([_learned(critic, both) for critic in critics])
    return made, _improved(actor, critics, now)


def _values(weights: Weights, x: jax.Array) -> jax.Array:
    for weight in weights:
        x = x @ weight
    return x


def _acted(actor: Weights, x: jax.Array) -> jax.Array:
    """What critics take, with the actor's actions."""
    action = _values(actor, x[:, :OBSERVATION])[:, :ACTION]
    return jnp.concatenate([x[:, :OBSERVATION], action], axis=1)


def _learned(weights: Weights, x: jax.Array) -> Weights:
    """The products of a step of gradient descent, forward and backward."""
    return jax.grad(lambda weights: 0.5 * jnp.sum(_values(weights, x) ** 2))(weights)


def _improved(actor: Weights, critics: list[Weights], x: jax.Array) -> Weights:
    """The products of a policy's gradient through the critics."""
    loss = lambda actor: sum(0.5 * jnp.sum(_values(critic, _acted(actor, x)) ** 2) for critic in critics)
    return jax.grad(loss)(actor)
