"""The policy to compare others with."""

from typing import ClassVar

import equinox as eqx
from jax import numpy as jnp
from jaxtyping import Array, Bool, Key, PyTree

from lerax.distribution import CHOICES, distribution_over
from lerax.env import AbstractEnvLike
from lerax.env.contract import check_env
from lerax.errors import SettingError
from lerax.space import AbstractSpace

from .base_policy import AbstractPolicy


class RandomPolicy(AbstractPolicy):
    """Chooses among all allowed actions alike, whatever it sees.

    Args:
        env: The environment to act in. Only its two spaces are kept.
    """

    action_space: AbstractSpace = eqx.field(static=True)
    observation_space: AbstractSpace = eqx.field(static=True)

    name: ClassVar[str] = "RandomPolicy"

    def __init__(self, env: AbstractEnvLike):
        check_env(env)
        self.action_space, self.observation_space = env.action_space, env.observation_space

    def __call__(
        self,
        state: None,
        observation: PyTree,
        *,
        key: Key[Array, ""] | None = None,
        action_mask: Bool[Array, "..."] | None = None,
    ) -> tuple[None, PyTree]:
        if key is None:
            wrong = "no action is more probable than others"
            raise SettingError("RandomPolicy", key, wrong=wrong, hint="give a key", said="no key")
        if isinstance(self.action_space, CHOICES) and action_mask is not None:
            logits = jnp.zeros(self.action_space.flat_size, jnp.float32)
            return None, distribution_over(self.action_space, logits, action_mask).sample(key=key)
        return None, self.action_space.sample(key=key)
