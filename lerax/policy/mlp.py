"""What policies made of perceptrons share."""

from abc import abstractmethod
from dataclasses import KW_ONLY
from typing import Any, ClassVar

import equinox as eqx
import jax
from jaxtyping import Array, Key, PyTree

from lerax import tree
from lerax.env import AbstractEnvLike
from lerax.env.contract import check_env
from lerax.errors import SettingTypeError
from lerax.network import MLP, Network, draw
from lerax.settings import take_settings
from lerax.space import AbstractSpace, Box
from lerax.statistics import RunningStatistics

from . import arguments
from .base_policy import AbstractPolicy

MOST = 10.0  # standard deviations that a normalized observation may lie from the mean


class AbstractMLPPolicy(AbstractPolicy):
    """A policy made of perceptrons, whose settings say how they are made.

    Args:
        env: The environment to act in. Only its two spaces are kept.
        key: PRNG key of the initial weights.
        settings: Those of the class by name; the others have their defaults.

    Raises:
        SettingTypeError: There is no such setting, or the action space is of an unsupported kind.
        SettingError: A setting is out of range.

    Attributes:
        seen: Statistics of all observations seen in training; None where they are not normalized.
    """

    action_space: AbstractSpace = eqx.field(static=True)
    observation_space: AbstractSpace = eqx.field(static=True)
    seen: eqx.AbstractVar[RunningStatistics | None]

    _: KW_ONLY
    hidden_sizes: tuple[int, ...] = arguments.hidden_sizes(256, 256)
    activation: str = arguments.activation("relu")
    layer_norm: bool = arguments.layer_norm()
    initialization: str = arguments.initialization("uniform")
    normalize_observations: bool = arguments.normalize_observations()

    acts_in: ClassVar[tuple[type[AbstractSpace], ...]]
    """The kinds of spaces that the actions may be of."""

    def __init__(self, env: AbstractEnvLike, *, key: Key[Array, ""], **settings: Any):
        check_env(env)
        self.action_space, self.observation_space = env.action_space, env.observation_space
        take_settings(self, settings)
        self._check_spaces()
        size = self.observation_space.flat_size
        self.seen = RunningStatistics.empty(size) if self.normalize_observations else None
        self._make(tree.typed_key(key))

    @abstractmethod
    def _make(self, key: Key[Array, ""]) -> None:
        """Makes the networks."""

    def _check_spaces(self) -> None:
        """Refuses spaces that the policy is not made for."""
        if not isinstance(self.action_space, self.acts_in):
            allowed = ", ".join(kind.__name__ for kind in self.acts_in)
            wrong = "unsupported action space"
            raise SettingTypeError(self.name, self.action_space, allowed, wrong=wrong)

    def normalized(self, observation: PyTree) -> PyTree:
        """What the networks take: the observation, or where it is normalized that as a flat vector."""
        if self.seen is None:
            return observation
        return self.seen.normalize(self.observation_space.flatten(observation), MOST)

    def after_rollout(self, observation: PyTree) -> "AbstractMLPPolicy":
        statistics = self.seen
        if statistics is None:
            return self
        updated = statistics.updated(jax.vmap(self.observation_space.flatten)(observation))
        return eqx.tree_at(lambda policy: policy.seen, self, updated)

    def _networks(
        self, key: Key[Array, ""], *heads: tuple[int, float], inputs: int = 0, batch_norm: bool = False
    ) -> tuple[Network, ...]:
        """Networks drawn together, each with so many outputs and such a gain of its last layer."""
        space = self.observation_space
        if self.normalize_observations:
            space = Box(-MOST, MOST, shape=(space.flat_size,))
        sizes = [(space.flat_size + inputs, *self.hidden_sizes, outputs) for outputs, _ in heads]
        wanted = [MLP.layers_of(some, scale) for some, (_, scale) in zip(sizes, heads, strict=True)]
        drawn = iter(draw(key, sum(wanted, ()), self.initialization))
        return tuple(
            Network(
                space,
                outputs,
                inputs=inputs,
                hidden_sizes=self.hidden_sizes,
                activation=self.activation,
                layer_norm=self.layer_norm,
                batch_norm=batch_norm,
                layers=[next(drawn) for _ in some],
            )
            for some, (outputs, _) in zip(wanted, heads, strict=True)
        )
