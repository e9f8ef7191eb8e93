"""Gaussian policies in a bounded box."""

from typing import Any, ClassVar

import equinox as eqx
import jax
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Key, PyTree

from lerax.distribution import SquashedNormal
from lerax.env import AbstractEnvLike
from lerax.network import Head, Network
from lerax.statistics import RunningStatistics

from .box import AbstractBoxPolicy
from .mlp import AbstractMLPPolicy

LEAST_LOG_STD, MOST_LOG_STD = -20.0, 2.0


class AbstractSquashedGaussianPolicy(AbstractBoxPolicy):
    """A perceptron that gives means and deviations of a Gaussian, squashed into the box.

    Attributes:
        batch_norm: Whether its layers, and its critics', renormalise what they take.
    """

    network: Network
    seen: RunningStatistics | None

    batch_norm: ClassVar[bool]

    def _make(self, key: Key[Array, ""]) -> None:
        (self.network,) = self._networks(
            key, [Head(2 * self.action_space.flat_size)], batch_norm=self.batch_norm
        )

    def distribution(self, observation: PyTree) -> SquashedNormal:
        """The distribution of unit actions for an observation."""
        return _distribution(self.network(self.normalized(observation)))

    def train(self, observations: PyTree) -> tuple[SquashedNormal, "AbstractSquashedGaussianPolicy"]:
        """Distributions for a batch `[sample, ...]`, with `batch_norm` normalised by its own statistics.

        Returns:
            A distribution with a leading axis, to be mapped over, and the policy with the moving statistics
            after the batch.
        """
        outputs, network = self.network.train(jax.vmap(self.normalized)(observations))
        return _distribution(outputs), eqx.tree_at(lambda policy: policy.network, self, network)

    def critic(self, *, key: Key[Array, ""]) -> Network:
        inputs = self.action_space.flat_size
        return self._networks(key, [Head(1)], inputs=inputs, batch_norm=self.batch_norm)[0]

    def unit_action(self, observation: PyTree) -> Float[Array, " size"]:
        return self.distribution(observation).mode()

    def noise(self, *, key: Key[Array, ""]) -> Float[Array, " size"]:
        """What `action` takes; drawn for a whole rollout at once it is several times cheaper."""
        return jr.normal(key, (self.action_space.flat_size,), jnp.float32)

    def action(self, observation: PyTree, noise: Float[Array, " size"]) -> Float[Array, "..."]:
        """The random action that `noise` makes."""
        return self.scaled(self.distribution(observation).action(noise))

    def __call__(
        self,
        state: None,
        observation: PyTree,
        *,
        key: Key[Array, ""] | None = None,
        action_mask: Bool[Array, "..."] | None = None,
    ) -> tuple[None, Float[Array, "..."]]:
        if key is None:
            return None, self.scaled(self.unit_action(observation))
        return None, self.action(observation, self.noise(key=key))


class MLPSquashedGaussianPolicy(AbstractSquashedGaussianPolicy):
    """A squashed Gaussian policy (Haarnoja et al., 2018, https://arxiv.org/abs/1812.05905).

    Args:
        env: The environment to act in. Only its two spaces are kept.
        key: PRNG key of the initial weights.
        settings: `hidden_sizes`, `activation`, `layer_norm`, `initialization`, `encoder`,
            `normalize_observations`.

    Raises:
        SettingTypeError: The action space is not a Box with finite bounds, or there is no such setting.
        SettingError: A setting is out of range.
    """

    name: ClassVar[str] = "MLPSquashedGaussianPolicy"
    batch_norm = False

    def __init__(self, env: AbstractEnvLike, *, key: Key[Array, ""], **settings: Any):
        AbstractMLPPolicy.__init__(self, env, key=key, **settings)  # checkers of types see no inherited one


MLPSACPolicy = MLPSquashedGaussianPolicy
"""Its other name."""


class MLPCrossQPolicy(AbstractSquashedGaussianPolicy):
    """A squashed Gaussian policy with batch renormalisation (Bhatt et al., 2024,
    https://arxiv.org/abs/1902.05605).

    Args:
        env: The environment to act in. Only its two spaces are kept.
        key: PRNG key of the initial weights.
        settings: `hidden_sizes`, `activation`, `layer_norm`, `initialization`, `encoder`,
            `normalize_observations`.

    Raises:
        SettingTypeError: The action space is not a Box with finite bounds, or there is no such setting.
        SettingError: A setting is out of range.
    """

    name: ClassVar[str] = "MLPCrossQPolicy"
    batch_norm = True

    def __init__(self, env: AbstractEnvLike, *, key: Key[Array, ""], **settings: Any):
        AbstractMLPPolicy.__init__(self, env, key=key, **settings)  # checkers of types see no inherited one


def _distribution(output: Float[Array, "*batch outputs"]) -> SquashedNormal:
    loc, log_scale = jnp.split(output, 2, axis=-1)
    return SquashedNormal(loc, jnp.clip(log_scale, LEAST_LOG_STD, MOST_LOG_STD))
