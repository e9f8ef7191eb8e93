"""MountainCarContinuous, equal to
https://gymnasium.farama.org/environments/classic_control/mountain_car_continuous/."""

from typing import ClassVar

from jax import numpy as jnp
from jaxtyping import Array, Float, Key

from lerax.env.timed import time_limit
from lerax.settings import setting
from lerax.space import Box

from .mountain_car import AbstractMountainCar, MountainCarState


class ContinuousMountainCar(AbstractMountainCar):
    """The mountain car whose motor pushes as hard as one likes, to the left (-1) up to the right (1).

    The reward is 100 at the flag, and -0.1 times the action's square in every step. An action outside the
    range pushes as hard as its nearest bound, and costs what it is.
    """

    goal_velocity: float = setting(0.0, "Least velocity at the flag that ends the episode.")
    max_episode_steps: int | None = time_limit(999)

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
