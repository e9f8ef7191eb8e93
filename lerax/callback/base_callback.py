"""The callback protocol: traced hooks inside the loop, host methods beside it, and their contexts."""

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import equinox as eqx
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from lerax.collect import Steps
from lerax.env import AbstractEnvLike
from lerax.learner import AbstractLearner

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


class CallbackContext(eqx.Module):
    """What a hook is told. What a hook cannot know is None, and its attributes raise.

    Attributes:
        env: The environment.
        learner: What the algorithm keeps; `policy` and `opt_state` are read from it.
        algorithm: The algorithm.
        iteration_count: Iterations done so far, the present one included.
        state: The callback's state; in `on_step` that for the environment; None in the resets.
        step_state: The callback's states for the environments, with a leading environment axis; None in the
            resets and in `on_step`.
        steps: In `on_step` what happened, in one environment: the loop maps the hook over all of them.
        training_log: In `on_iteration` and `continue_training` the algorithm's scalars by name.
        training_log_mask: Which of them are there; those that it does not name always are.
        total_iterations: In `on_training_start` and `on_training_end` the iterations of the whole training,
            of which this `run` may be a part.
    """

    env: AbstractEnvLike
    learner: AbstractLearner
    algorithm: AbstractAlgorithm
    iteration_count: Int[Array, ""]
    state: Any = None
    step_state: Any = None
    steps: Steps | None = None
    training_log: dict[str, Any] | None = None
    training_log_mask: dict[str, Bool[Array, ""]] | None = None
    total_iterations: Int[Array, ""] | None = None

    @property
    def policy(self) -> Any:
        """The policy: in `on_step` the one that acts, after an iteration the one after the update."""
        return self.learner.policy

    @property
    def opt_state(self) -> PyTree:
        """What the optimizers hold."""
        return self.learner.opt_state

    @property
    def done(self) -> Bool[Array, ""]:
        """In `on_step`: whether the episode ended with this step."""
        return self._step("done").done

    @property
    def reward(self) -> Float[Array, ""]:
        """In `on_step`: the environment's own reward, never bootstrapped."""
        return self._step("reward").reward

    @property
    def total_timesteps(self) -> Int[Array, ""]:
        """In `on_training_start` and `on_training_end`: environment steps of the whole training.

        At most 2^31 - 1 (an int32).
        """
        if self.total_iterations is None:
            raise AttributeError("total_timesteps: known in on_training_start and on_training_end only")
        most, steps = jnp.iinfo(jnp.int32).max, self.algorithm.steps_per_iteration
        return jnp.where(self.total_iterations > most // steps, most, self.total_iterations * steps)

    @property
    def locals(self) -> dict[str, Any]:
        """Further values by name.

        In `on_step` `observation`, `action`, `next_observation` (of the finished episode where one ended),
        `terminal` and `truncated`; in `on_training_start` and `on_training_end` `total_iterations`.
        """
        if self.steps is not None:
            names = ("observation", "action", "next_observation", "terminal", "truncated")
            return {name: getattr(self.steps, name) for name in names}
        return {} if self.total_iterations is None else {"total_iterations": self.total_iterations}

    def _step(self, name: str) -> Steps:
        if self.steps is None:
            raise AttributeError(f"{name}: known in on_step only")
        return self.steps


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
            phase: From the loop `compiling` or `training`. Whoever drives it may add others: the command
                `saving`, `evaluating`, `encoding 3/19`, and at the end `finished`, `interrupted`, `diverged`
                or `failed`.
        """

    def stop_requested(self) -> bool:
        """Host method: asked between chunks whether to end training now."""
        return False
