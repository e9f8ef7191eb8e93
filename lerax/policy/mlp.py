"""What policies made of perceptrons share."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Any, ClassVar

import equinox as eqx
import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Bool, Key, PyTree

from lerax import tree
from lerax.env import AbstractEnvLike
from lerax.env.contract import check_env, unmet
from lerax.errors import SettingError, SettingTypeError, shown
from lerax.network import Head, Network, draw, filters_of, layers_of
from lerax.settings import take_settings
from lerax.space import AbstractComposite, AbstractIntegers, AbstractSpace, Box
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
    encoder: str = arguments.encoder()
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
        space = self.action_space
        if not isinstance(space, self.acts_in) or (isinstance(space, Box) and space.dtype != jnp.float32):
            allowed = ", ".join("Box of floats" if kind is Box else kind.__name__ for kind in self.acts_in)
            said = f"{shown(space)} of {space.dtype}" if isinstance(space, Box) else ""
            raise SettingTypeError(self.name, space, allowed, wrong="unsupported action space", said=said)
        for name, one in {"acts": space, "sees": self.observation_space}.items():
            if not isinstance(one, AbstractComposite) and one.flat_size == 0:
                raise SettingError(self.name, one, wrong=f"needs numbers, at least one, in what it {name}")
        if filters_of(self.observation_space, self.encoder) and self.normalize_observations:
            wrong, hint = "pictures are not normalized", "encoder=flatten takes them as vectors"
            raise SettingError("normalize_observations", True, wrong=wrong, hint=hint)

    def normalized(self, observation: PyTree) -> PyTree:
        """What the networks take: the observation, or where it is normalized that as a flat vector.

        Choices stay zeros and ones: a rare one would become a very large number.

        Raises:
            SettingTypeError: It is none of the observation space.
        """
        wanted = unmet(self.observation_space, observation)
        if wanted:
            one = {"wrong": "not one of the observation space", "said": tree.text(observation)}
            raise SettingTypeError("observation", observation, wanted, **one, hint="of several: jax.vmap")
        if self.seen is None:
            return observation
        flat, measured = self.observation_space.flatten(observation), _measured(self.observation_space)
        scaled = self.seen.normalize(flat, MOST)
        return scaled if measured.all() else jnp.where(measured, scaled, flat)

    def after_rollout(self, observation: PyTree) -> "AbstractMLPPolicy":
        statistics = self.seen
        if statistics is None:
            return self
        updated = statistics.updated(jax.vmap(self.observation_space.flatten)(observation))
        return eqx.tree_at(lambda policy: policy.seen, self, updated)

    def _networks(
        self, key: Key[Array, ""], *heads: Sequence[Head], inputs: int = 0, batch_norm: bool = False
    ) -> tuple[Network, ...]:
        """Networks drawn together, each with such heads."""
        space = self.observation_space
        if self.normalize_observations:
            space = Box(-MOST, MOST, shape=(space.flat_size,))
        make = {"inputs": inputs, "hidden_sizes": self.hidden_sizes, "encoder": self.encoder}
        wanted = [layers_of(space, *some, **make) for some in heads]
        drawn = iter(draw(key, sum(wanted, ()), self.initialization))
        return tuple(
            Network(
                space,
                sum(head.outputs for head in some),
                **make,
                activation=self.activation,
                layer_norm=self.layer_norm,
                batch_norm=batch_norm,
                layers=[next(drawn) for _ in layers],
            )
            for some, layers in zip(heads, wanted, strict=True)
        )


def _measured(space: AbstractSpace) -> Bool[np.ndarray, " size"]:
    """Which entries of a flattened value are measured, and not chosen."""
    if isinstance(space, AbstractComposite):
        return np.concatenate([_measured(part) for part in space.parts])
    return np.full(space.flat_size, not isinstance(space, AbstractIntegers))
