"""The contract of an environment, and the one function that steps and resets it."""

from abc import abstractmethod
from typing import Generic, TypeVar

import equinox as eqx
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Key, PyTree

from lerax import tree
from lerax.space import AbstractSpace


class AbstractEnvLikeState(eqx.Module):
    """The state of an environment or of a wrapped one."""

    @property
    @abstractmethod
    def unwrapped(self) -> "AbstractEnvState":
        """The state of the innermost environment."""


class AbstractEnvState(AbstractEnvLikeState):
    """The state of an environment."""

    @property
    def unwrapped(self) -> "AbstractEnvState":
        return self


StateT = TypeVar("StateT", bound=AbstractEnvLikeState)


class AbstractEnvLike(eqx.Module, Generic[StateT]):
    """An environment, wrapped or not, written as pure functions of its state.

    All methods are for one environment; loops add the environment axis with `jax.vmap`. Termination (the
    task is over) and truncation (the time is up) stay apart, after
    https://gymnasium.farama.org/tutorials/gymnasium_basics/handling_time_limits/.

    Attributes:
        name: Name of the environment, Gymnasium's id where there is one.
        action_space: Space of the actions.
        observation_space: Space of the observations.
    """

    name: eqx.AbstractVar[str]
    action_space: eqx.AbstractVar[AbstractSpace]
    observation_space: eqx.AbstractVar[AbstractSpace]

    @property
    @abstractmethod
    def unwrapped(self) -> "AbstractEnv":
        """The innermost environment."""

    @abstractmethod
    def initial(self, *, key: Key[Array, ""]) -> StateT:
        """A state that an episode begins in."""

    @abstractmethod
    def transition(self, state: StateT, action: PyTree, *, key: Key[Array, ""]) -> StateT:
        """The state after an action."""

    @abstractmethod
    def observation(self, state: StateT, *, key: Key[Array, ""]) -> PyTree:
        """What the policy sees of a state."""

    @abstractmethod
    def reward(
        self,
        state: StateT,
        action: PyTree,
        next_state: StateT,
        *,
        key: Key[Array, ""],
    ) -> Float[Array, ""]:
        """The reward of a transition."""

    @abstractmethod
    def terminal(self, state: StateT, *, key: Key[Array, ""]) -> Bool[Array, ""]:
        """Whether the task is over in this state."""

    def truncate(self, state: StateT) -> Bool[Array, ""]:
        """Whether the episode's time is up in this state; by default it never is."""
        return jnp.array(False)

    def action_mask(self, state: StateT, *, key: Key[Array, ""]) -> Bool[Array, "..."] | None:
        """Which actions are allowed in this state; None, the default, allows all."""
        return None


class AbstractEnv(AbstractEnvLike[StateT]):
    """An environment that wraps no other."""

    @property
    def unwrapped(self) -> "AbstractEnv":
        return self


class Transition(eqx.Module):
    """What one step gave; under `jax.vmap` with leading environment axes.

    Attributes:
        state: The state to go on from: that of a new episode where the old one ended.
        observation: The observation of `state`.
        next_observation: The observation after the action, of the finished episode where one ended.
        reward: The environment's own reward.
        terminal: The task ended.
        truncated: The time was up.
    """

    state: AbstractEnvLikeState
    observation: PyTree
    next_observation: PyTree
    reward: Float[Array, "*env"]
    terminal: Bool[Array, "*env"]
    truncated: Bool[Array, "*env"]

    @property
    def done(self) -> Bool[Array, "*env"]:
        """Whether the episode ended in either way."""
        return self.terminal | self.truncated


def advance(
    env: AbstractEnvLike,
    state: AbstractEnvLikeState,
    action: PyTree,
    *,
    key: Key[Array, ""],
    fresh: AbstractEnvLikeState | None = None,
) -> Transition:
    """Steps an environment and begins a new episode where the old one ended.

    Args:
        env: The environment.
        state: The state to act in.
        action: The action.
        key: PRNG key.
        fresh: The state that a new episode would begin in. Loops draw those of many steps at once, which
            is several times cheaper than one by one; None draws it here.
    """
    # Folding in a number, instead of splitting, costs nothing for the keys that nobody reads.
    keys = [jr.fold_in(key, i) for i in range(6)]
    stepped = env.transition(state, action, key=keys[0])
    reward = env.reward(state, action, stepped, key=keys[1])
    terminal = env.terminal(stepped, key=keys[2])
    truncated = env.truncate(stepped)
    next_observation = env.observation(stepped, key=keys[3])
    done = terminal | truncated
    fresh = env.initial(key=keys[4]) if fresh is None else fresh
    return Transition(
        state=tree.where(done, fresh, stepped),
        observation=tree.where(done, env.observation(fresh, key=keys[5]), next_observation),
        next_observation=next_observation,
        reward=jnp.asarray(reward, jnp.float32),
        terminal=terminal,
        truncated=truncated,
    )
