"""The callback protocol: traced hooks inside the loop, host methods beside it, and their contexts."""

from typing import TYPE_CHECKING, Any

import equinox as eqx
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from lerax.env import AbstractEnvLike
from lerax.policy import AbstractPolicy

if TYPE_CHECKING:
    from lerax.algorithm import AbstractAlgorithm
else:
    AbstractAlgorithm = Any  # algorithms stand above callbacks; here the name is an annotation only


class AbstractCallbackState(eqx.Module):
    """What a callback remembers of the whole training."""


class AbstractCallbackStepState(eqx.Module):
    """What a callback remembers of one environment."""


class EmptyCallbackState(AbstractCallbackState):
    """Nothing to remember."""


class EmptyCallbackStepState(AbstractCallbackStepState):
    """Nothing to remember."""


class ResetContext(eqx.Module):
    """Given to `reset` and `step_reset`.

    Attributes:
        env: The environment.
        policy: The policy that training begins with.
        algorithm: The algorithm about to train.
        locals: Further values by name; empty.
    """

    env: AbstractEnvLike
    policy: AbstractPolicy
    algorithm: AbstractAlgorithm
    locals: dict[str, Any]


class StepContext(eqx.Module):
    """Given to `on_step`, for one environment (the loop maps the hook over all of them).

    Attributes:
        state: The callback's state for this environment.
        env: The environment.
        policy: The policy that acts.
        done: Whether the episode ended with this step.
        reward: The environment's own reward, never bootstrapped.
        locals: `observation`, `action`, `next_observation` (of the finished episode where one ended),
            `terminal`, `truncated`.
    """

    state: Any
    env: AbstractEnvLike
    policy: AbstractPolicy
    done: Bool[Array, ""]
    reward: Float[Array, ""]
    locals: dict[str, Any]


class IterationContext(eqx.Module):
    """Given to `on_iteration` and `continue_training` after each iteration.

    Attributes:
        state: The callback's state.
        step_state: The callback's states for the environments, with a leading environment axis.
        env: The environment.
        policy: The policy after the update.
        iteration_count: Iterations done so far, this one included.
        opt_state: The optimizer's state.
        training_log: The algorithm's scalars by name.
        algorithm: The algorithm.
        locals: Further values by name; empty.
    """

    state: Any
    step_state: Any
    env: AbstractEnvLike
    policy: AbstractPolicy
    iteration_count: Int[Array, ""]
    opt_state: PyTree
    training_log: dict[str, Any]
    algorithm: AbstractAlgorithm
    locals: dict[str, Any]


class TrainingContext(eqx.Module):
    """Given to `on_training_start` and `on_training_end`.

    Attributes:
        state: The callback's state.
        step_state: The callback's states for the environments, with a leading environment axis.
        env: The environment.
        policy: The policy.
        total_timesteps: Environment steps of the whole training, of which this `run` may be a part; at most
            2^31 - 1 (an int32).
        iteration_count: Iterations done so far.
        opt_state: The optimizer's state.
        algorithm: The algorithm.
        locals: `total_iterations`.
    """

    state: Any
    step_state: Any
    env: AbstractEnvLike
    policy: AbstractPolicy
    total_timesteps: Int[Array, ""]
    iteration_count: Int[Array, ""]
    opt_state: PyTree
    algorithm: AbstractAlgorithm
    locals: dict[str, Any]


def next_multiple(iteration: int, interval: int) -> int:
    """The schedule of what happens every `interval` iterations: the next of them after `iteration`."""
    return (iteration // interval + 1) * interval


class AbstractCallback(eqx.Module):
    """Watches and steers training.

    Every hook and host method has a default that does nothing: override what you need. Hooks are traced
    with the loop and must be pure; what is to leave them goes through `lerax.callback.emit`. Host methods
    are ordinary Python, called between the loop's compiled chunks, and not at all when training is itself
    traced.
    """

    def reset(self, ctx: ResetContext, *, key: Key[Array, ""]) -> Any:
        """The state at the start of training: any tree of arrays; what is no array in it never changes."""
        return EmptyCallbackState()

    def step_reset(self, ctx: ResetContext, *, key: Key[Array, ""]) -> Any:
        """The state of one environment at the start of training."""
        return EmptyCallbackStepState()

    def on_step(self, ctx: StepContext, *, key: Key[Array, ""]) -> Any:
        """Called after each environment step; returns the new step state."""
        return ctx.state

    def on_iteration(self, ctx: IterationContext, *, key: Key[Array, ""]) -> Any:
        """Called after each iteration; returns the new state."""
        return ctx.state

    def on_training_start(self, ctx: TrainingContext, *, key: Key[Array, ""]) -> Any:
        """Called before the first iteration; returns the new state."""
        return ctx.state

    def on_training_end(self, ctx: TrainingContext, *, key: Key[Array, ""]) -> Any:
        """Called after the last iteration; returns the new state."""
        return ctx.state

    def continue_training(self, ctx: IterationContext, *, key: Key[Array, ""]) -> Bool[Array, ""]:
        """Whether to go on after this iteration: one boolean for all environments."""
        return jnp.array(True)

    def next_due(self, iteration: int) -> int | None:
        """Host method: the smallest iteration greater than this one at which `on_host` is due, or None.

        It is asked again and again, and must be an absolute schedule: every tenth iteration is
        `iteration // 10 * 10 + 10`, not `iteration + 10`.
        """
        return None

    def on_host(self, state: Any, iteration: int) -> None:
        """Host method: called with the algorithm's state at every iteration that was due.

        Args:
            state: Its arrays are only valid during the call: copy what you keep.
            iteration: Iterations done so far.
        """

    def on_phase(self, phase: str) -> None:
        """Host method: told what is being done now.

        Args:
            phase: From the loop `compiling` or `training`. Whoever drives it may add others: the command
                `saving`, `evaluating`, `encoding 3/19`, and at the end `finished`, `interrupted`, `diverged`
                or `failed`.
        """

    def stop_requested(self) -> bool:
        """Host method: asked between chunks whether to end training now."""
        return False
