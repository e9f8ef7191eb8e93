"""MountainCarContinuous, equal to
https://gymnasium.farama.org/environments/classic_control/mountain_car_continuous/."""

from typing import ClassVar

import equinox as eqx
from jax import numpy as jnp
from jaxtyping import Array, Float, Key

from lerax.space import Box

from .mountain_car import AbstractMountainCar, MountainCarState


class ContinuousMountainCar(AbstractMountainCar):
    """The mountain car whose motor pushes as hard as one likes, to the left (-1) up to the right (1).

    The reward is 100 at the flag, and -0.1 times the action's square in every step. An action outside the
    range pushes as hard as its nearest bound, and costs what it is.

    Args:
        goal_velocity: Least velocity at the flag that ends the episode.
        max_episode_steps: Steps after which an episode is truncated; None for no limit.

    Raises:
        ValueError: The limit is below 1.
    """

    goal_velocity: float = eqx.field(default=0.0, static=True)
    max_episode_steps: int | None = eqx.field(default=999, static=True)

    name: ClassVar[str] = "MountainCarContinuous-v0"
    goal_position: ClassVar[float] = 0.45
    action_space: ClassVar[Box] = Box(-1.0, 1.0, shape=(1,))

    def push(self, action: Float[Array, "1"]) -> Float[Array, ""]:
        return 0.0015 * jnp.clip(jnp.asarray(action[0], jnp.float32), -1.0, 1.0)

    def reward(
        self,
        state: MountainCarState,
        action: Float[Array, "1"],
        next_state: MountainCarState,
        *,
        key: Key[Array, ""] | None = None,
    ) -> Float[Array, ""]:
        return jnp.where(self.terminal(next_state), 100.0, 0.0) - 0.1 * action[0] ** 2
