"""What every distribution offers."""

from abc import abstractmethod

import equinox as eqx
from jax import numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Key

from lerax.errors import SettingError


class AbstractDistribution(eqx.Module):
    """A distribution over actions.

    What the last axes of its parameters are belongs to one action; axes before them are a batch.
    """

    @abstractmethod
    def noise(self, *, key: Key[Array, ""]) -> Array:
        """The random numbers that one action takes; they do not depend on the parameters' values."""

    @abstractmethod
    def action(self, noise: Array) -> Array:
        """The random action that `noise` makes."""

    def sample(self, key: Key[Array, ""]) -> Array:
        """A random action."""
        return self.action(self.noise(key=key))

    def action_and_log_prob(self, noise: Array) -> tuple[Array, Float[Array, "*batch"]]:
        """The random action that `noise` makes, and its log probability."""
        action = self.action(noise)
        return action, self.log_prob(action)

    def sample_and_log_prob(self, key: Key[Array, ""]) -> tuple[Array, Float[Array, "*batch"]]:
        """A random action, and its log probability."""
        return self.action_and_log_prob(self.noise(key=key))

    @abstractmethod
    def mode(self) -> Array:
        """The most probable action."""

    def mean(self) -> Array:
        """The mean of the actions.

        Raises:
            NotImplementedError: They have none, as choices, or it has no closed form.
        """
        raise NotImplementedError(f"{type(self).__name__}.mean: there is no closed form; average samples")

    @abstractmethod
    def log_prob(self, value: Array) -> Float[Array, "*batch"]:
        """The logarithm of the probability (density) of an action."""

    def prob(self, value: Array) -> Float[Array, "*batch"]:
        """The probability (density) of an action."""
        return jnp.exp(self.log_prob(value))

    @abstractmethod
    def entropy(self) -> Float[Array, "*batch"]:
        """The (differential) entropy in nats."""


def one_of(cls: type, one: str, first: object, other: str, second: object) -> None:
    """Refuses none and both of two ways to give a parameter.

    Raises:
        SettingError: It is one of these.
    """
    if (first is None) == (second is None):
        said = "neither" if first is None else "both"
        raise SettingError(cls.__name__, None, wrong=f"takes either {one} or {other}", said=said)


def same_shape(cls: type, one: str, first: Float[ArrayLike, "..."], other: str, second: object) -> None:
    """Refuses parameters of different shapes.

    Raises:
        SettingError: They are.
    """
    shapes = jnp.shape(first), jnp.shape(second)  # pyright: ignore[reportArgumentType]
    if shapes[0] != shapes[1]:
        said = f"{list(shapes[0])} and {list(shapes[1])}"
        raise SettingError(cls.__name__, None, wrong=f"{one} and {other} need one shape", said=said)
