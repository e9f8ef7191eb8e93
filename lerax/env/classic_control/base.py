"""What the classic control tasks share: a time limit, and the colours of their drawings."""

import math
from typing import TypeVar

import equinox as eqx
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from lerax.env.base_env import AbstractEnv, AbstractEnvState
from lerax.render import Color

LIGHT, PALE, LINE = Color.from_hex("#eceff1"), Color.from_hex("#cfd8dc"), Color.from_hex("#90a4ae")
SLATE, DARK, INK = Color.from_hex("#546e7a"), Color.from_hex("#37474f"), Color.from_hex("#263238")
WOOD, MARK = Color.from_hex("#d98c4a"), Color.from_hex("#e57373")


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


def wrap(angle: Float[Array, "..."]) -> Float[Array, "..."]:
    """The same angle, in radians, between -pi and pi."""
    return angle - 2 * math.pi * jnp.round(angle / (2 * math.pi))
