"""What policies share that act in a bounded box."""

from abc import abstractmethod

import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from lerax.errors import SettingTypeError
from lerax.network import Head, Network
from lerax.space import Box

from .mlp import AbstractMLPPolicy


class AbstractBoxPolicy(AbstractMLPPolicy):
    """Its networks know actions as vectors with components from -1 to 1, scaled to the box's bounds."""

    acts_in = (Box,)

    @abstractmethod
    def unit_action(self, observation: PyTree) -> Float[Array, " size"]:
        """The action without noise, each component from -1 to 1."""

    def scaled(self, unit: Float[Array, " size"]) -> Float[Array, "..."]:
        """An action in the box, from components between -1 and 1."""
        middle, half = self._middle_and_half()
        action: Array = jnp.reshape(middle + half * unit, self._box.shape)
        return self._box.clip(action)  # rounding may lead past a bound

    def unit(self, action: Float[Array, "..."]) -> Float[Array, " size"]:
        """The components between -1 and 1 that `scaled` makes an action of."""
        middle, half = self._middle_and_half()
        return jnp.where(half > 0, (jnp.ravel(action) - middle) / np.where(half > 0, half, 1), 0)

    def critic(self, *, key: Key[Array, ""]) -> Network:
        """A network of the same make that values an observation, as `normalized` gives it, and a unit action.

        It gives one number, `[1]`.
        """
        return self._networks(key, [Head(1)], inputs=self._box.flat_size)[0]

    @property
    def _box(self) -> Box:
        assert isinstance(self.action_space, Box)
        return self.action_space

    def _check_spaces(self) -> None:
        super()._check_spaces()
        if not np.isfinite(self._box.bounds).all():
            wrong, hint = "needs finite bounds", "give the action space some, or take another policy"
            raise SettingTypeError(self.name, self.action_space, wrong=wrong, hint=hint)

    def _middle_and_half(self) -> tuple[Float[np.ndarray, " size"], Float[np.ndarray, " size"]]:
        """Middles and half widths: constants of a program, which no optimizer can change."""
        low, high = (np.float64(bound).ravel() for bound in self._box.bounds)
        return np.asarray((low + high) / 2, np.float32), np.asarray((high - low) / 2, np.float32)
