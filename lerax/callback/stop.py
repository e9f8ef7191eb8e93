"""Callbacks that end training."""

import jax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from lerax import tree

from .base_callback import AbstractCallback, AbstractCallbackState, IterationContext, ResetContext


class NonFiniteState(AbstractCallbackState):
    """What `StopOnNonFinite` found.

    Attributes:
        parameters: All parameters of the policy after the last iteration in which everything was finite, as
            one vector; `lerax.tree.ravel(policy)[1]` makes a policy of it.
        iteration: The first iteration in which something was not; 0 for none.
    """

    parameters: Float[Array, " parameters"]
    iteration: Int[Array, ""]


class StopOnNonFinite(AbstractCallback):
    """Ends training when a logged scalar or a parameter is not finite, and keeps the last good policy."""

    def reset(self, ctx: ResetContext, *, key: Key[Array, ""]) -> NonFiniteState:
        return NonFiniteState(tree.ravel(ctx.policy)[0], jnp.array(0, jnp.int32))

    def on_iteration(self, ctx: IterationContext, *, key: Key[Array, ""]) -> NonFiniteState:
        parameters = tree.ravel(ctx.policy)[0]
        scalars = [jnp.ravel(jnp.asarray(x, jnp.float32)) for x in jax.tree.leaves(ctx.training_log)]
        finite = jnp.all(jnp.isfinite(jnp.concatenate([parameters, *scalars])))
        good = finite & (ctx.state.iteration == 0)
        iteration = jnp.where(good, ctx.state.iteration, ctx.iteration_count)
        return NonFiniteState(jnp.where(good, parameters, ctx.state.parameters), iteration)

    def continue_training(self, ctx: IterationContext, *, key: Key[Array, ""]) -> Bool[Array, ""]:
        return ctx.state.iteration == 0
