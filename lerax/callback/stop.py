"""Callbacks that end training."""

import threading

import equinox as eqx
import jax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from lerax import tree

from .base_callback import (
    AbstractCallback,
    AbstractCallbackState,
    IterationContext,
    ResetContext,
    StepContext,
)
from .episode import EpisodeStatistics, checked_alpha


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


class StopOnReturn(AbstractCallback):
    """Ends training when the moving average of the episodes' returns reaches a threshold.

    Every environment must have finished an episode.

    Args:
        threshold: The least mean over the environments that ends training.
        alpha: Weight of the newest episode in the moving average of each environment.

    Raises:
        ValueError: `alpha` is out of range.
    """

    threshold: float = eqx.field(static=True)
    alpha: float = eqx.field(static=True)

    def __init__(self, threshold: float, alpha: float = 0.1):
        self.threshold, self.alpha = float(threshold), checked_alpha(alpha)

    def step_reset(self, ctx: ResetContext, *, key: Key[Array, ""]) -> EpisodeStatistics:
        return EpisodeStatistics.initial()

    def on_step(self, ctx: StepContext, *, key: Key[Array, ""]) -> EpisodeStatistics:
        return ctx.state.after(ctx, self.alpha)

    def continue_training(self, ctx: IterationContext, *, key: Key[Array, ""]) -> Bool[Array, ""]:
        statistics = ctx.step_state
        reached = jnp.mean(statistics.average_return) >= self.threshold
        return ~(jnp.all(statistics.begun) & reached)


class StopOnRequest(AbstractCallback):
    """Ends training soon after `request` was called, from a signal handler, another thread or a notebook.

    The host asks between compiled chunks, so within about a quarter of a second; training that is itself
    inside a `jax.jit` cannot be asked.
    """

    _requested: threading.Event = eqx.field(static=True)

    def __init__(self) -> None:
        self._requested = threading.Event()

    def request(self) -> None:
        """Asks training to end after the current chunk."""
        self._requested.set()

    def stop_requested(self) -> bool:
        return self._requested.is_set()
