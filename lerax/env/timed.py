"""Environments whose episodes have a time limit of their own."""

from typing import TypeVar

import equinox as eqx
from jax import numpy as jnp
from jaxtyping import Array, Bool, Int

from .base_env import AbstractEnv, AbstractEnvState


class AbstractTimedState(AbstractEnvState):
    """A state that knows how many steps its episode has had."""

    steps: eqx.AbstractVar[Int[Array, ""]]


TimedStateT = TypeVar("TimedStateT", bound=AbstractTimedState)


class AbstractTimedEnv(AbstractEnv[TimedStateT]):
    """An environment whose episodes are truncated after `max_episode_steps`; None for no limit.

    Raises:
        ValueError: The limit is below 1.
    """

    max_episode_steps: eqx.AbstractVar[int | None]

    def __check_init__(self):
        if self.max_episode_steps is not None and self.max_episode_steps < 1:
            raise ValueError(f"max_episode_steps: must be at least 1 or None (got {self.max_episode_steps})")

    def truncate(self, state: TimedStateT) -> Bool[Array, ""]:
        if self.max_episode_steps is None:
            return jnp.array(False)
        return state.steps >= self.max_episode_steps
