"""The callback protocol: traced hooks inside the loop, host methods beside it, and their contexts."""

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias, TypeVar

import equinox as eqx
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from lerax.env import AbstractEnvLike
from lerax.learner import AbstractLearner
from lerax.policy import AbstractPolicy

T = TypeVar("T")
if TYPE_CHECKING:
    from lerax.algorithm import AbstractAlgorithm

    Part = Annotated[T, "told to some hooks only"]  # and each knows what it is told
else:
    AbstractAlgorithm = Any  # algorithms stand above callbacks; here the name is an annotation only
    Part = T | None


class AbstractCallbackState(eqx.Module):
    """What a callback remembers of the whole training."""


class AbstractCallbackStepState(eqx.Module):
    """What a callback remembers of one environment."""


class EmptyCallbackState(AbstractCallbackState):
    """Nothing to remember."""


class EmptyCallbackStepState(AbstractCallbackStepState):
    """Nothing to remember."""


class CallbackContext(eqx.Module):
    """What a hook is told; what it is not told is None.

    Attributes:
        env: The environment.
        policy: The policy: in `on_step` the one that acts, after an iteration the one after the update.
        algorithm: The algorithm.
        locals: In `on_step` `observation`, `action`, `next_observation` (of the finished episode where one
            ended), `terminal` and `truncated`; in `on_training_start` and `on_training_end`
            `total_iterations`; else empty.
        learner: All that the algorithm keeps, the policy among it.
        opt_state: What its optimizers hold.
        iteration_count: Iterations done so far, the present one included.
        state: The callback's state; in `on_step` that for the environment; not in the resets.
        step_state: The callback's states for the environments, with a leading environment axis; neither in
            the resets nor in `on_step`.
        done: In `on_step`, which the loop maps over the environments: whether the episode ended.
        reward: In `on_step`: the environment's own reward, never bootstrapped.
        training_log: In `on_iteration` and `continue_training`: the algorithm's scalars by name.
        training_log_mask: Which of them are there; those that it does not name always are.
        total_timesteps: In `on_training_start` and `on_training_end`: environment steps of the whole
            training, of which this `run` may be a part; at most 2^31 - 1 (an int32).
    """

    env: Part[AbstractEnvLike] = eqx.field(default=None)
    policy: Part[AbstractPolicy] = eqx.field(default=None)
    algorithm: Part[AbstractAlgorithm] = eqx.field(default=None)
    locals: dict[str, Any] = eqx.field(default_factory=dict)
    learner: Part[AbstractLearner] = eqx.field(default=None)
    opt_state: PyTree = None
    iteration_count: Part[Int[Array, ""]] = eqx.field(default=None)
    state: Any = None
    step_state: Any = None
    done: Part[Bool[Array, ""]] = eqx.field(default=None)
    reward: Part[Float[Array, ""]] = eqx.field(default=None)
    training_log: dict[str, Any] = eqx.field(default_factory=dict)
    training_log_mask: dict[str, Bool[Array, ""]] = eqx.field(default_factory=dict)
    total_timesteps: Part[Int[Array, ""]] = eqx.field(default=None)


# What the context is called in annotations: each name says which hook it is given to.
ResetContext: TypeAlias = CallbackContext
StepContext: TypeAlias = CallbackContext
IterationContext: TypeAlias = CallbackContext
TrainingContext: TypeAlias = CallbackContext


class OwnState(NamedTuple):
    """A callback's part of the algorithm's state.

    Attributes:
        state: Its state.
        step_state: Its states for the environments, with a leading environment axis.
    """

    state: Any
    step_state: Any


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

    def due_now(self) -> bool:
        """Host method: asked between chunks whether `on_host` is due at once, whatever `next_due` says.

        After some time for instance, or at a signal. It is asked before the first iteration, too, and once
        more in the phase `ending`, and must stay true until `on_host` was called.
        """
        return False

    def on_host(self, state: Any, own: "OwnState", iteration: int) -> None:
        """Host method: called at every iteration that was due.

        Args:
            state: The algorithm's state, the states of all callbacks in it. Its arrays are only valid during
                the call: copy what you keep.
            own: The callback's part of it.
            iteration: Iterations done so far.
        """

    def on_phase(self, phase: str) -> None:
        """Host method: told what is being done now.

        Args:
            phase: From the loop `compiling`, `training`, and `ending` after the last iteration. Whoever
                drives it may add others: the command `saving`, `evaluating`, `encoding 3/19`, and at the end
                `finished`, `interrupted`, `paused`, `diverged` or `failed`.
        """

    def stop_requested(self) -> bool:
        """Host method: asked between chunks whether to end training now."""
        return False
