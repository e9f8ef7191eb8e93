"""Wrappers that change rewards."""

from collections.abc import Callable

import equinox as eqx
from jax import numpy as jnp
from jaxtyping import Array, Float

from lerax.env import AbstractEnvLike
from lerax.settings import REQUIRED, setting

from .base_wrapper import AbstractWrapper
from .bounds import check_order


class ScaleReward(AbstractWrapper):
    """Multiplies rewards by a number. For a scale that training finds itself see `PPO.normalize_rewards`."""

    env: AbstractEnvLike
    scale: float = setting(REQUIRED, "What rewards are multiplied by.", kind="float")

    def outer_reward(self, reward: Float[Array, ""]) -> Float[Array, ""]:
        return self.scale * reward


class ClipReward(AbstractWrapper):
    """Brings rewards between two bounds.

    Raises:
        SettingError: `low` is not below `high`.
    """

    env: AbstractEnvLike
    low: float = setting(-1.0, "The least reward.", static=True)
    high: float = setting(1.0, "The largest reward.", static=True)

    def __check_init__(self):
        super().__check_init__()
        check_order("ClipReward", self.low, self.high)

    def outer_reward(self, reward: Float[Array, ""]) -> Float[Array, ""]:
        return jnp.clip(reward, self.low, self.high)


class TransformReward(AbstractWrapper):
    """Rewards through a function.

    Args:
        env: The environment.
        function: From one reward to another, in operations of JAX.
    """

    env: AbstractEnvLike
    function: Callable[[Float[Array, ""]], Float[Array, ""]] = eqx.field(static=True)

    def outer_reward(self, reward: Float[Array, ""]) -> Float[Array, ""]:
        return self.function(reward)
