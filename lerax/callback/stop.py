"""Callbacks that end training."""

from typing import Any

import equinox as eqx
import jax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Int, Key

from lerax import tree

from .base_callback import AbstractCallback, AbstractCallbackState, IterationContext, ResetContext


class NonFiniteState(AbstractCallbackState):
    """What `StopOnNonFinite` found.

    Attributes:
        policy: The policy of the last iteration in which everything was finite.
        iteration: The first iteration in which something was not; 0 for none.
    """

    policy: Any
    iteration: Int[Array, ""]


class StopOnNonFinite(AbstractCallback):
    """Ends training when a logged scalar or a parameter is not finite, and keeps the last good policy."""

    def reset(self, ctx: ResetContext, *, key: Key[Array, ""]) -> NonFiniteState:
        return NonFiniteState(eqx.filter(ctx.policy, eqx.is_array), jnp.array(0, jnp.int32))

    def on_iteration(self, ctx: IterationContext, *, key: Key[Array, ""]) -> NonFiniteState:
        policy = eqx.filter(ctx.policy, eqx.is_array)
        # A sum is finite only where all of its terms are.
        sums = [jnp.sum(leaf) for leaf in jax.tree.leaves((policy, ctx.training_log))]
        finite = jnp.all(jnp.isfinite(jnp.stack([jnp.asarray(x, jnp.float32) for x in sums])))
        good = finite & (ctx.state.iteration == 0)
        iteration = jnp.where(good, ctx.state.iteration, ctx.iteration_count)
        return NonFiniteState(tree.where(good, policy, ctx.state.policy), iteration)

    def continue_training(self, ctx: IterationContext, *, key: Key[Array, ""]) -> Bool[Array, ""]:
        return ctx.state.iteration == 0
