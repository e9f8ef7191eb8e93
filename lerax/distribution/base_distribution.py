"""What every distribution offers."""

from abc import abstractmethod

import equinox as eqx
from jaxtyping import Array, Float, Key


class AbstractDistribution(eqx.Module):
    """A distribution over single actions; use `jax.vmap` for batches."""

    @abstractmethod
    def noise(self, *, key: Key[Array, ""]) -> Array:
        """The random numbers that one action takes; they do not depend on the parameters' values."""

    @abstractmethod
    def action(self, noise: Array) -> Array:
        """The random action that `noise` makes."""

    def sample(self, *, key: Key[Array, ""]) -> Array:
        """A random action."""
        return self.action(self.noise(key=key))

    @abstractmethod
    def mode(self) -> Array:
        """The most probable action."""

    @abstractmethod
    def log_prob(self, value: Array) -> Float[Array, ""]:
        """The logarithm of the probability (density) of an action."""

    @abstractmethod
    def entropy(self) -> Float[Array, ""]:
        """The (differential) entropy in nats."""
