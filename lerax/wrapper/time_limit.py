"""A time limit for environments that have none."""

from jax import numpy as jnp
from jaxtyping import Array, Bool, Int

from lerax.env import AbstractEnvLike, AbstractEnvLikeState
from lerax.settings import REQUIRED, setting

from .base_wrapper import AbstractWrapper, AbstractWrapperState


class TimeLimitState(AbstractWrapperState):
    """The state of the environment within, and the steps of its episode."""

    inner: AbstractEnvLikeState
    steps: Int[Array, ""]


class TimeLimit(AbstractWrapper[TimeLimitState]):
    """Truncates episodes after a number of steps, if the environment has not done so before."""

    env: AbstractEnvLike
    max_episode_steps: int = setting(
        REQUIRED, "Steps after which an episode is truncated.", kind="int", at_least=1, at_most=2**31 - 1
    )

    def inner_state(self, state: TimeLimitState) -> AbstractEnvLikeState:
        return state.inner

    def outer_state(self, inner: AbstractEnvLikeState, before: TimeLimitState | None) -> TimeLimitState:
        return TimeLimitState(inner, jnp.array(0, jnp.int32) if before is None else before.steps + 1)

    def outer_truncate(self, state: TimeLimitState, truncated: Bool[Array, ""]) -> Bool[Array, ""]:
        return truncated | (state.steps >= self.max_episode_steps)
