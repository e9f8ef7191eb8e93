"""What training changes: the loop's own things, and the learner that the algorithm keeps."""

import dataclasses
from typing import Any, Generic, NamedTuple, TypeVar

import equinox as eqx
from jaxtyping import Array, Int, Key, PyTree

from lerax.collect import Standing
from lerax.env import AbstractEnvLike
from lerax.learner import AbstractLearner

LearnerT = TypeVar("LearnerT", bound=AbstractLearner)


class StepState(NamedTuple):
    """What there is of each environment; every array has a leading environment axis.

    Attributes:
        env_state: States of the environments.
        observation: What the policy sees next.
        policy_state: Memories of the policy.
        callback_state: The callbacks' states for the environments; None before training starts.
    """

    env_state: Any
    observation: PyTree
    policy_state: PyTree
    callback_state: PyTree


class AlgorithmState(eqx.Module, Generic[LearnerT]):
    """Everything that training changes, and all that it needs to go on.

    Attributes:
        iteration_count: Iterations done.
        total_iterations: Iterations of the whole training, at the end of which falling schedules reach 0;
            0 as long as nobody has said how many.
        key: PRNG key that each iteration derives its own from, by its number.
        env: The environment.
        standing: Where the environments stand; every array has a leading environment axis.
        learner: What the algorithm keeps.
        callback_state: The callbacks' states, one entry for each; None before training starts.
        callback_step_state: Their states for the environments, with a leading environment axis, likewise.
        callback_names: What the callbacks are, by which their states are found again.
    """

    iteration_count: Int[Array, ""]
    total_iterations: Int[Array, ""]
    key: Key[Array, ""]
    env: AbstractEnvLike
    standing: Standing
    learner: LearnerT
    callback_state: PyTree = None
    callback_step_state: PyTree = None
    callback_names: tuple[str, ...] = eqx.field(default=(), static=True)

    @property
    def policy(self) -> Any:
        """What acts."""
        return self.learner.policy

    @property
    def opt_state(self) -> PyTree:
        """What the optimizers hold."""
        return self.learner.opt_state

    @property
    def step_state(self) -> StepState:
        """What there is of each environment."""
        standing = self.standing
        return StepState(
            standing.env_state, standing.observation, standing.policy_state, self.callback_step_state
        )

    def after(self, standing: Standing, learner: LearnerT) -> "AlgorithmState[LearnerT]":
        """The state after an iteration, whose number and callbacks are the loop's to change."""
        return dataclasses.replace(self, standing=standing, learner=learner)
