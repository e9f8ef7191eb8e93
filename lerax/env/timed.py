"""Environments whose episodes have a time limit of their own."""

from typing import Any, TypeVar

import equinox as eqx
from jax import numpy as jnp
from jaxtyping import Array, Bool, Int

from lerax.settings import setting

from .base_env import AbstractEnv, AbstractEnvState


def time_limit(steps: int | None, *, kw_only: bool = False) -> Any:
    """The setting `max_episode_steps`, by default `steps`."""
    said = "Steps after which an episode is truncated; none for no limit."
    return setting(steps, said, kind="int or none", at_least=1, at_most=2**31 - 1, kw_only=kw_only)


class AbstractTimedState(AbstractEnvState):
    """A state that knows how many steps its episode has had."""

    steps: eqx.AbstractVar[Int[Array, ""]]


TimedStateT = TypeVar("TimedStateT", bound=AbstractTimedState)


class AbstractTimedEnv(AbstractEnv[TimedStateT]):
    """An environment whose episodes are truncated after `max_episode_steps`; None for no limit."""

    max_episode_steps: eqx.AbstractVar[int | None]

    def truncate(self, state: TimedStateT) -> Bool[Array, ""]:
        if self.max_episode_steps is None:
            return jnp.array(False)
        return state.steps >= self.max_episode_steps
