"""Wrappers that change rewards."""

from jaxtyping import Array, Float

from lerax.env import AbstractEnvLike
from lerax.settings import REQUIRED, setting

from .base_wrapper import AbstractWrapper


class ScaleReward(AbstractWrapper):
    """Multiplies rewards by a number. For a scale that training finds itself see `PPO.normalize_rewards`."""

    env: AbstractEnvLike
    scale: float = setting(REQUIRED, "What rewards are multiplied by.", kind="float")

    def outer_reward(self, reward: Float[Array, ""]) -> Float[Array, ""]:
        return self.scale * reward
