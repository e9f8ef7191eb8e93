"""Policies that choose by probabilities."""

from typing import Any, ClassVar

from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from lerax.distribution import Categorical
from lerax.env import AbstractEnvLike
from lerax.network import Head, Network
from lerax.statistics import RunningStatistics

from .discrete import AbstractDiscretePolicy
from .mlp import AbstractMLPPolicy


class MLPCategoricalPolicy(AbstractDiscretePolicy):
    """A perceptron that gives the logits of discrete actions (Christodoulou, 2019).

    Args:
        env: The environment to act in. Only its two spaces are kept.
        key: PRNG key of the initial weights.
        settings: `hidden_sizes`, `activation`, `layer_norm`, `initialization`, `encoder`,
            `normalize_observations`.

    Raises:
        SettingTypeError: The action space is not Discrete, or there is no such setting.
        SettingError: A setting is out of range.
    """

    network: Network
    seen: RunningStatistics | None

    name: ClassVar[str] = "MLPCategoricalPolicy"

    def __init__(self, env: AbstractEnvLike, *, key: Key[Array, ""], **settings: Any):
        AbstractMLPPolicy.__init__(self, env, key=key, **settings)  # checkers of types see no inherited one

    def _make(self, key: Key[Array, ""]) -> None:
        self.network = self.critic(key=key)

    def critic(self, *, key: Key[Array, ""]) -> Network:
        """A network of the same make that values each action, `[n]`, for an observation from `normalized`."""
        return self._networks(key, [Head(self.action_space.flat_size)])[0]

    def distribution(self, observation: PyTree, action_mask: Bool[Array, " n"] | None = None) -> Categorical:
        """The distribution of actions for an observation."""
        logits = self.network(self.normalized(observation))
        return Categorical(logits, action_mask, start=self.choices.start)

    def noise(self, *, key: Key[Array, ""]) -> Float[Array, " n"]:
        """What `action` takes; drawn for a whole rollout at once it is several times cheaper."""
        return jr.gumbel(key, (self.action_space.flat_size,), jnp.float32)

    def action(
        self, observation: PyTree, noise: Float[Array, " n"], action_mask: Bool[Array, " n"] | None = None
    ) -> Int[Array, ""]:
        """The random action that `noise` makes."""
        return self.distribution(observation, action_mask).action(noise)

    def __call__(
        self,
        state: None,
        observation: PyTree,
        *,
        key: Key[Array, ""] | None = None,
        action_mask: Bool[Array, " n"] | None = None,
    ) -> tuple[None, Int[Array, ""]]:
        distribution = self.distribution(observation, action_mask)
        return None, distribution.mode() if key is None else distribution.sample(key=key)


MLPDiscreteSACPolicy = MLPCategoricalPolicy
"""Its other name."""
