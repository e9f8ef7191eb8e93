"""Gradient steps over the minibatches of a rollout."""

from collections.abc import Callable
from typing import Any

import jax
import optax
from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from lerax import devices, tree

from ..optimizer import Rate, descend

Scalars = dict[str, Float[Array, ""]]
"""What a minibatch logs, by name."""
Loss = Callable[[Float[Array, " parameters"], PyTree], tuple[Float[Array, ""], Scalars]]
State = tuple[Float[Array, " parameters"], PyTree]
"""The parameters, and what the optimizer holds."""


def descend_minibatches(
    loss: Loss,
    state: State,
    batch: PyTree,
    rows: Int[Array, "update sample"],
    *,
    optimizer: optax.GradientTransformation,
    max_norm: Rate,
    enough: Callable[[Scalars], Bool[Array, ""]] | None = None,
) -> tuple[State, Scalars]:
    """A step of the optimizer for each minibatch, in turn.

    Args:
        loss: The loss of a minibatch and scalars to log, from the parameters.
        state: The parameters and what the optimizer holds.
        batch: All samples, `[sample, ...]`.
        rows: Which of them each minibatch has.
        optimizer: The optimizer.
        max_norm: The largest norm of the gradient.
        enough: Whether what a minibatch logs says that neither its own step nor any later one is to be made.

    Returns:
        The parameters and what the optimizer holds then, and the means of what the steps log; `updates` is
        their number, where it is not sure.
    """
    packing = tree.Packing(batch, batch_axes=1)
    samples = packing.pack(batch)

    def step(state: State, rows: Int[Array, " sample"]) -> tuple[State, Scalars]:
        minibatch = packing.unpack({name: array[rows] for name, array in samples.items()})
        gradient, log = jax.grad(loss, has_aux=True)(state[0], minibatch)
        vector, opt_state, norm = descend(optimizer, state[0], gradient, state[1], max_norm=max_norm)
        return (vector, opt_state), log | {"grad_norm": norm}

    if enough is None:
        state, log = lax.scan(step, state, rows)
        return state, {name: jnp.mean(column) for name, column in log.items()}

    def step_unless(carry: tuple[State, Bool[Array, ""]], rows: Int[Array, " sample"]) -> Any:
        def go(state: State) -> Any:
            after, log = step(state, rows)
            over = enough(devices.mean(log))
            return tree.where(over, state, after), over, log

        def rest(state: State) -> Any:
            blank = lambda x: jnp.zeros(x.shape, x.dtype)
            return state, jnp.array(True), jax.tree.map(blank, jax.eval_shape(step, state, rows)[1])

        state, over, log = lax.cond(carry[1], rest, go, carry[0])
        return (state, over), (log, ~over)

    (state, _), (log, made) = lax.scan(step_unless, (state, jnp.array(False)), rows)
    updates = jnp.sum(made, dtype=jnp.float32)
    mean = lambda column: jnp.sum(column * made) / jnp.maximum(updates, 1.0)
    return state, {name: mean(column) for name, column in log.items()} | {"updates": updates}
