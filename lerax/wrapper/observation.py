"""Wrappers that change observations."""

from collections.abc import Callable

import equinox as eqx
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float, PyTree, Shaped

from lerax.env import AbstractEnvLike
from lerax.errors import SettingError
from lerax.settings import setting
from lerax.space import AbstractComposite, AbstractSpace, Box

from .base_wrapper import AbstractWrapper
from .bounds import check_order, floats_of, has_widths


class ClipObservation(AbstractWrapper):
    """Brings each number of an observation between two bounds.

    Raises:
        SettingTypeError: The observations lie in no Box of floats.
        SettingError: `low` is not below `high`.
    """

    env: AbstractEnvLike
    low: float = setting(-10.0, "The least that a number may be.", static=True)
    high: float = setting(10.0, "The most that a number may be.", static=True)

    def __check_init__(self):
        super().__check_init__()
        check_order("ClipObservation", self.low, self.high)
        floats_of(self.env.observation_space, "ClipObservation", "observations")

    def outer_observation(self, observation: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.clip(observation, self.low, self.high)

    def outer_observation_space(self, space: AbstractSpace) -> Box:
        least, most = floats_of(space, "ClipObservation", "observations").bounds
        return Box(np.clip(least, self.low, self.high), np.clip(most, self.low, self.high))


class RescaleObservation(AbstractWrapper):
    """Brings observations from the bounds of their Box to two others, linearly.

    Raises:
        SettingTypeError: The observations lie in no Box of floats.
        SettingError: The Box has no bounds, or they are too far apart for a float32, or `low` is not
            below `high`.
    """

    env: AbstractEnvLike
    low: float = setting(-1.0, "What lower bounds become.", static=True)
    high: float = setting(1.0, "What upper bounds become.", static=True)

    def __check_init__(self):
        super().__check_init__()
        check_order("RescaleObservation", self.low, self.high)
        space = floats_of(self.env.observation_space, "RescaleObservation", "observations")
        if not (has_widths(space) and np.less(*space.bounds).all()):
            raise SettingError("RescaleObservation", space, wrong="needs bounded observations")

    def outer_observation(self, observation: Float[Array, "..."]) -> Float[Array, "..."]:
        least, most = floats_of(self.env.observation_space, "RescaleObservation", "observations").bounds
        return self.low + (observation - least) / (most - least) * (self.high - self.low)

    def outer_observation_space(self, space: AbstractSpace) -> Box:
        return Box(self.low, self.high, shape=space.shape)


class FlattenObservation(AbstractWrapper):
    """Observations as one vector, `space.flatten`: numbers in a row, a choice as a one-hot vector.

    Of several parts, those of one come after those of the other.
    """

    env: AbstractEnvLike

    def outer_observation(self, observation: PyTree) -> Float[Array, " size"]:
        return self.env.observation_space.flatten(observation)

    def outer_observation_space(self, space: AbstractSpace) -> Box:
        return Box(*_flat_bounds(space))


class TransformObservation(AbstractWrapper):
    """Observations through a function.

    Args:
        env: The environment.
        function: From one observation to another, in operations of JAX.
        space: The space of the new ones; by default that of the environment.
    """

    env: AbstractEnvLike
    function: Callable[[PyTree], PyTree] = eqx.field(static=True)
    space: AbstractSpace | None = None

    def outer_observation(self, observation: PyTree) -> PyTree:
        return self.function(observation)

    def outer_observation_space(self, space: AbstractSpace) -> AbstractSpace:
        return space if self.space is None else self.space


def _flat_bounds(space: AbstractSpace) -> tuple[Shaped[np.ndarray, " size"], Shaped[np.ndarray, " size"]]:
    """The bounds of a flattened value."""
    if isinstance(space, AbstractComposite):
        low, high = zip(*map(_flat_bounds, space.parts), strict=True)
        return np.concatenate(low), np.concatenate(high)
    if isinstance(space, Box):
        low, high = (np.ravel(bound) for bound in space.bounds)
        return low, high
    return np.zeros(space.flat_size, np.float32), np.ones(space.flat_size, np.float32)
