"""What wrappers share: they change one thing of an environment and pass on all others."""

from typing import TYPE_CHECKING, ClassVar

import equinox as eqx
from jaxtyping import Array, Bool, Float, Key, PyTree

from lerax.env import AbstractEnv, AbstractEnvLike, AbstractEnvLikeState, AbstractEnvState
from lerax.env.base_env import StateT
from lerax.render import AbstractFrameSource
from lerax.settings import check_instance
from lerax.space import AbstractSpace


class AbstractWrapperState(AbstractEnvLikeState):
    """The state of a wrapper that keeps something of its own beside that of the environment in it.

    Attributes:
        inner: The state of the environment in it.
    """

    inner: eqx.AbstractVar[AbstractEnvLikeState]

    @property
    def unwrapped(self) -> AbstractEnvState:
        return self.inner.unwrapped


class AbstractWrapper(AbstractEnvLike[StateT]):
    """An environment around another one.

    A wrapper says how its actions, states and rewards become those of the environment in it, and back; by
    default all are the same.

    Attributes:
        env: The environment in it, wrapped or not.

    Raises:
        SettingTypeError: `env` is no environment.
        SettingError: A setting is out of range.
    """

    env: eqx.AbstractVar[AbstractEnvLike]

    def __check_init__(self):
        check_instance("env", self.env, AbstractEnvLike, "CartPole()")
        super().__check_init__()

    def inner_action(self, action: PyTree) -> PyTree:
        """The action that the environment in it gets."""
        return action

    def inner_state(self, state: StateT) -> AbstractEnvLikeState:
        """The state of the environment in it."""
        return state

    def outer_state(self, inner: AbstractEnvLikeState, before: StateT | None) -> StateT:
        """The wrapper's own state; `before` is that before the step, None where an episode begins."""
        return inner  # pyright: ignore[reportReturnType]  # by default it is the same

    def outer_observation(self, observation: PyTree) -> PyTree:
        """The observation that the wrapper gives."""
        return observation

    def outer_reward(self, reward: Float[Array, ""]) -> Float[Array, ""]:
        """The reward that the wrapper gives."""
        return reward

    def outer_truncate(self, state: StateT, truncated: Bool[Array, ""]) -> Bool[Array, ""]:
        """Whether time is up, given whether it is in the environment in it."""
        return truncated

    if TYPE_CHECKING:  # type checkers would take these properties for arguments
        name: ClassVar[str]
        action_space: ClassVar[AbstractSpace]
        observation_space: ClassVar[AbstractSpace]
    else:

        @property
        def name(self) -> str:
            return self.env.name

        @property
        def action_space(self) -> AbstractSpace:
            return self.outer_action_space(self.env.action_space)

        @property
        def observation_space(self) -> AbstractSpace:
            return self.outer_observation_space(self.env.observation_space)

    @property
    def render_fps(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.env.render_fps

    @property
    def unwrapped(self) -> AbstractEnv:
        return self.env.unwrapped

    def outer_action_space(self, space: AbstractSpace) -> AbstractSpace:
        """The space of the wrapper's actions."""
        return space

    def outer_observation_space(self, space: AbstractSpace) -> AbstractSpace:
        """The space of the wrapper's observations."""
        return space

    def draw(self, *, key: Key[Array, ""]) -> StateT:
        return self.outer_state(self.env.draw(key=key), None)

    def begin(self, state: StateT) -> StateT:
        return eqx.tree_at(self.inner_state, state, self.env.begin(self.inner_state(state)))

    def following(self, ended: StateT, fresh: StateT) -> StateT:
        inner = self.env.following(self.inner_state(ended), self.inner_state(fresh))
        return eqx.tree_at(self.inner_state, fresh, inner)

    def initial(self, *, key: Key[Array, ""]) -> StateT:
        return self.outer_state(self.env.initial(key=key), None)

    def transition(self, state: StateT, action: PyTree, *, key: Key[Array, ""]) -> StateT:
        inner = self.env.transition(self.inner_state(state), self.inner_action(action), key=key)
        return self.outer_state(inner, state)

    def observation(self, state: StateT, *, key: Key[Array, ""]) -> PyTree:
        return self.outer_observation(self.env.observation(self.inner_state(state), key=key))

    def reward(
        self, state: StateT, action: PyTree, next_state: StateT, *, key: Key[Array, ""]
    ) -> Float[Array, ""]:
        states = self.inner_state(state), self.inner_state(next_state)
        return self.outer_reward(self.env.reward(states[0], self.inner_action(action), states[1], key=key))

    def terminal(self, state: StateT, *, key: Key[Array, ""]) -> Bool[Array, ""]:
        return self.env.terminal(self.inner_state(state), key=key)

    def truncate(self, state: StateT) -> Bool[Array, ""]:
        return self.outer_truncate(state, self.env.truncate(self.inner_state(state)))

    def action_mask(self, state: StateT, *, key: Key[Array, ""]) -> Bool[Array, "..."] | None:
        return self.env.action_mask(self.inner_state(state), key=key)

    def has_failed(self, state: StateT) -> Bool[Array, ""]:
        return self.env.has_failed(self.inner_state(state))

    def fault(self, state: StateT) -> Exception | None:
        return self.env.fault(self.inner_state(state))

    def to_be_drawn(self) -> AbstractEnvLike:
        return eqx.tree_at(lambda wrapper: wrapper.env, self, self.env.to_be_drawn())

    def render(self, state: StateT, renderer: AbstractFrameSource) -> None:
        self.env.render(self.inner_state(state), renderer)

    def default_renderer(self) -> AbstractFrameSource:
        return self.env.default_renderer()
