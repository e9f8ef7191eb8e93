"""The contract of an environment."""

import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

import equinox as eqx
import jax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from lerax.render import AbstractFrameSource, RenderError
from lerax.settings import check_settings
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

    Raises:
        ValueError: A field that `lerax.settings.setting` declares has the wrong type or is out of range.
    """

    if TYPE_CHECKING:  # checkers of types would have them be arguments of every class
        name: str = field(init=False)
        action_space: AbstractSpace = field(init=False)
        observation_space: AbstractSpace = field(init=False)
    else:
        name: eqx.AbstractVar[str]
        action_space: eqx.AbstractVar[AbstractSpace]
        observation_space: eqx.AbstractVar[AbstractSpace]
    render_fps: ClassVar[float] = 30.0

    def __check_init__(self):
        check_settings(self)

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

    def following(self, ended: StateT, fresh: StateT) -> StateT:
        """The state that follows where an episode has ended: by default the fresh one, from `draw`.

        An environment whose states name a place outside of JAX stays in the place of the ended one.
        """
        return fresh

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

    def has_failed(self, state: StateT) -> Bool[Array, ""]:
        """Whether the environment goes no further, so that training is to end; by default it never does."""
        return jnp.array(False)

    def fault(self, state: StateT) -> Exception | None:
        """Host method: why one of these states cannot be stepped on here; None, the default, where all can.

        Args:
            state: One or, with leading axes, many, fetched or not.
        """
        return None

    def to_be_drawn(self) -> "AbstractEnvLike":
        """The environment to play in where its states are drawn: by default itself.

        One outside of JAX draws while it is stepped.
        """
        return self

    def render(self, state: StateT, renderer: Any) -> None:
        """Draws one frame: clears the picture, draws the state, presents it.

        It takes a state of NumPy arrays, and computes nothing with JAX, so that any thread may draw while the
        environment is trained on.

        Raises:
            RenderError: The environment cannot be drawn, as none can by default; or it cannot be here.
        """
        raise RenderError(f"{self.name} cannot be drawn: its class has no `render`")

    def default_renderer(self) -> AbstractFrameSource:
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
