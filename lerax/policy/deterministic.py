"""Policies whose action is a function of the observation."""

from typing import Any, ClassVar

from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from lerax.env import AbstractEnvLike
from lerax.network import Head, Network
from lerax.statistics import RunningStatistics

from .box import AbstractBoxPolicy
from .mlp import AbstractMLPPolicy


class MLPDeterministicPolicy(AbstractBoxPolicy):
    """A perceptron whose outputs are the action, kept in the box by a tanh (Lillicrap et al., 2016).

    Args:
        env: The environment to act in. Only its two spaces are kept.
        key: PRNG key of the initial weights.
        settings: `hidden_sizes`, `activation`, `layer_norm`, `initialization`, `encoder`,
            `normalize_observations`.

    Raises:
        SettingTypeError: The action space is not a Box with finite bounds, or there is no such setting.
        SettingError: A setting is out of range.
    """

    network: Network
    seen: RunningStatistics | None

    name: ClassVar[str] = "MLPDeterministicPolicy"

    def __init__(self, env: AbstractEnvLike, *, key: Key[Array, ""], **settings: Any):
        AbstractMLPPolicy.__init__(self, env, key=key, **settings)  # checkers of types see no inherited one

    def _make(self, key: Key[Array, ""]) -> None:
        (self.network,) = self._networks(key, [Head(self.action_space.flat_size)])

    def unit_action(self, observation: PyTree) -> Float[Array, " size"]:
        return jnp.tanh(self.network(self.normalized(observation)))

    def __call__(
        self,
        state: None,
        observation: PyTree,
        *,
        key: Key[Array, ""] | None = None,
        action_mask: Bool[Array, "..."] | None = None,
    ) -> tuple[None, Float[Array, "..."]]:
        return None, self.scaled(self.unit_action(observation))
