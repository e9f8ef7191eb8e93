"""Wrappers that change rewards."""

import math

import equinox as eqx
from jaxtyping import Array, Float

from lerax.env import AbstractEnvLike

from .base_wrapper import AbstractWrapper


class ScaleReward(AbstractWrapper):
    """Multiplies rewards by a number. For a scale that training finds itself see `PPO.normalize_rewards`.

    Raises:
        ValueError: The number is not finite.
    """

    env: AbstractEnvLike
    scale: float = eqx.field(static=True)

    def __check_init__(self):
        if not math.isfinite(self.scale):
            raise ValueError(f"ScaleReward: scale must be finite (got {self.scale})")

    def outer_reward(self, reward: Float[Array, ""]) -> Float[Array, ""]:
        return self.scale * reward
