"""The contract of an environment, and the one function that steps and resets it."""

import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Generic, Literal, TypeVar

import equinox as eqx
import jax
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Key, PyTree

from lerax import tree
from lerax.render import AbstractFrameSource, AbstractRenderer, RenderError
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
        render_fps: Frames per second to show it at, one frame a step; Gymnasium's where there is one.
    """

    name: eqx.AbstractVar[str]
    action_space: eqx.AbstractVar[AbstractSpace]
    observation_space: eqx.AbstractVar[AbstractSpace]
    render_fps: ClassVar[float] = 30.0

    @property
    @abstractmethod
    def unwrapped(self) -> "AbstractEnv":
        """The innermost environment."""

    @abstractmethod
    def initial(self, *, key: Key[Array, ""]) -> StateT:
        """A state that an episode begins in."""

    def draw(self, *, key: Key[Array, ""]) -> StateT:
        """What is random about `initial`: a state that is valid once `begin` has completed it.

        Loops draw one for each step, all at once, and use few. An environment whose `initial` is expensive
        puts what is cheap here and the rest into `begin`; by default all is here.
        """
        return self.initial(key=key)

    def begin(self, state: StateT) -> StateT:
        """Completes a state from `draw`; any other stays as it is."""
        return state

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

    def render(self, state: StateT, renderer: Any) -> None:
        """Draws one frame: clears the picture, draws the state, presents it.

        It takes a state of NumPy arrays, and computes nothing with JAX, so that any thread may draw while the
        environment is trained on.

        Raises:
            RenderError: The environment cannot be drawn, as none can by default; or it cannot be here.
        """
        raise RenderError(f"{self.name} cannot be drawn: its class has no `render`")

    def default_renderer(self) -> AbstractRenderer:
        """A renderer, not yet open, that shows the part of the world that matters.

        Raises:
            RenderError: The environment cannot be drawn.
        """
        raise RenderError(f"{self.name} cannot be drawn: its class has no `default_renderer`")

    def render_states(
        self,
        states: Iterable[StateT],
        renderer: AbstractFrameSource | Literal["auto"] = "auto",
        dt: float = 0.0,
    ) -> None:
        """Draws states one after the other, until they or, by a user's hand, the window is at an end.

        Args:
            states: The states.
            renderer: What to draw with, left open; "auto" for the default one, closed afterwards.
            dt: Least time from one frame to the next, in seconds.

        Raises:
            RenderError: The environment cannot be drawn, or not here.
        """
        if isinstance(renderer, str):
            with self.default_renderer() as renderer:
                return self.render_states(states, renderer, dt)
        renderer.open()
        for state in states:
            due = time.monotonic() + dt
            self.render(jax.device_get(state), renderer)
            if not renderer.is_open():
                return
            time.sleep(max(0.0, due - time.monotonic()))

    def render_stacked(
        self,
        states: StateT,
        renderer: AbstractFrameSource | Literal["auto"] = "auto",
        dt: float = 0.0,
    ) -> None:
        """Draws states stacked along a leading time axis, fetched at once; otherwise like `render_states`."""
        self.render_states(unstack(states), renderer, dt)


class AbstractEnv(AbstractEnvLike[StateT]):
    """An environment that wraps no other."""

    @property
    def unwrapped(self) -> "AbstractEnv":
        return self


def unstack(states: StateT) -> Iterator[StateT]:
    """The states, of NumPy arrays, that are stacked along the leading axis of one."""
    leaves, structure = jax.tree.flatten(jax.device_get(states))
    return (jax.tree.unflatten(structure, parts) for parts in zip(*leaves, strict=True))


class Transition(eqx.Module):
    """What one step gave; under `jax.vmap` with leading environment axes.

    Attributes:
        state: The state to go on from: that of a new episode where the old one ended.
        observation: The observation of `state`.
        next_state: The state after the action, of the finished episode where one ended.
        next_observation: The observation after the action, of the finished episode where one ended.
        reward: The environment's own reward.
        terminal: The task ended.
        truncated: The time was up.
    """

    state: AbstractEnvLikeState
    observation: PyTree
    next_state: AbstractEnvLikeState
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
        fresh: The state that a new episode would begin in, from `env.draw`. Loops draw those of many steps at
            once, which is several times cheaper than one by one; None draws it here.
    """
    # Folding in a number, instead of splitting, costs nothing for the keys that nobody reads.
    keys = [jr.fold_in(key, i) for i in range(6)]
    stepped = env.transition(state, action, key=keys[0])
    reward = env.reward(state, action, stepped, key=keys[1])
    terminal = env.terminal(stepped, key=keys[2])
    truncated = env.truncate(stepped)
    next_observation = env.observation(stepped, key=keys[3])
    done = terminal | truncated
    fresh = env.draw(key=keys[4]) if fresh is None else fresh
    following = env.begin(tree.where(done, fresh, stepped))
    return Transition(
        state=following,
        observation=tree.where(done, env.observation(following, key=keys[5]), next_observation),
        next_state=stepped,
        next_observation=next_observation,
        reward=jnp.asarray(reward, jnp.float32),
        terminal=terminal,
        truncated=truncated,
    )
