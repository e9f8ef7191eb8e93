"""Twin delayed deterministic policy gradients (Fujimoto et al., 2018, https://arxiv.org/abs/1802.09477)."""

from typing import ClassVar

from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Float, Key

from lerax.settings import setting

from .. import arguments as shared
from . import arguments
from .deterministic import AbstractDeterministicAlgorithm


class TD3(AbstractDeterministicAlgorithm):
    """Deterministic policy gradients with two critics, late updates of the policy, and smoothed targets.

    Raises:
        ValueError: A setting is out of range, or does not fit the others.
    """

    learning_starts: int = arguments.learning_starts(1_000)
    learning_rate: float = shared.learning_rate(1e-3)
    policy_delay: int = arguments.policy_delay(2)
    target_noise_std: float = setting(
        0.2, "Deviation of the noise on the target policy's actions.", at_least=0, at_most=10
    )
    target_noise_clip: float = setting(0.5, "The most that this noise may be.", at_least=0, at_most=10)

    num_critics: ClassVar[int] = 2

    @property
    def delay(self) -> int:
        return self.policy_delay

    def smoothing(self, shape: tuple[int, ...], *, key: Key[Array, ""]) -> Float[Array, "..."]:
        noise = self.target_noise_std * jr.normal(key, shape, jnp.float32)
        return jnp.clip(noise, -self.target_noise_clip, self.target_noise_clip)
