"""What every space offers."""

from abc import abstractmethod

import equinox as eqx
from jaxtyping import Array, Bool, Key, PyTree


class AbstractSpace(eqx.Module):
    """A set of values. Spaces are static data: they hold no arrays and are hashable."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The shape of one value.

        Raises:
            SettingTypeError: Values are no single arrays.
        """

    @property
    @abstractmethod
    def flat_size(self) -> int:
        """The number of inputs a network needs for one value."""

    @abstractmethod
    def sample(self, *, key: Key[Array, ""]) -> PyTree:
        """A random value: uniform where bounded, Gaussian where unbounded."""

    @abstractmethod
    def contains(self, value: PyTree) -> Bool[Array, ""]:
        """Whether the value lies in the space."""

    @abstractmethod
    def flatten(self, value: PyTree) -> Array:
        """The value as a float vector of `flat_size` entries."""
