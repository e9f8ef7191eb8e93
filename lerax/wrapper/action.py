"""Wrappers that change actions."""

from collections.abc import Callable

import equinox as eqx
from jax import numpy as jnp
from jaxtyping import Array, Float, PyTree

from lerax.env import AbstractEnvLike
from lerax.errors import SettingError
from lerax.settings import setting
from lerax.space import AbstractSpace, Box

from .base_wrapper import AbstractWrapper
from .bounds import check_order, floats_of, has_widths


class ClipAction(AbstractWrapper):
    """Takes any action and brings it to the nearest one that the environment knows.

    Algorithms and `evaluate` clip by themselves: this is for an environment that is stepped by hand.

    Raises:
        SettingTypeError: The actions lie in no Box.
    """

    env: AbstractEnvLike

    def __check_init__(self):
        super().__check_init__()
        _box(self.env, "ClipAction")

    def inner_action(self, action: Float[Array, "..."]) -> Float[Array, "..."]:
        return _box(self.env, "ClipAction").clip(action)

    def outer_action_space(self, space: AbstractSpace) -> Box:
        return Box(-jnp.inf, jnp.inf, shape=space.shape)


class RescaleAction(AbstractWrapper):
    """Stretches actions between two bounds to those of the environment, linearly.

    An action beyond them counts as the nearest bound.

    Args:
        env: The environment; its actions lie in a bounded Box.

    Raises:
        SettingTypeError: The actions lie in no Box.
        SettingError: The Box has no bounds, or they are too far apart for a float32, or `low` is not
            below `high`.
    """

    env: AbstractEnvLike
    low: float = setting(-1.0, "What stands for its lower bounds.", static=True)
    high: float = setting(1.0, "What stands for its upper bounds.", static=True)

    def __check_init__(self):
        super().__check_init__()
        if not has_widths(_box(self.env, "RescaleAction")):
            raise SettingError("RescaleAction", self.env.action_space, wrong="needs bounded actions")
        check_order("RescaleAction", self.low, self.high)

    def inner_action(self, action: Float[Array, "..."]) -> Float[Array, "..."]:
        space = _box(self.env, "RescaleAction")
        least, most = space.bounds
        part = (action - self.low) / (self.high - self.low)
        return space.clip(jnp.asarray(least + part * (most - least)))

    def outer_action_space(self, space: AbstractSpace) -> Box:
        return Box(self.low, self.high, shape=space.shape)


class TransformAction(AbstractWrapper):
    """Actions through a function.

    Args:
        env: The environment.
        function: From an action of the wrapper to one of the environment, in operations of JAX.
        space: The space of the wrapper's actions; by default that of the environment.
    """

    env: AbstractEnvLike
    function: Callable[[PyTree], PyTree] = eqx.field(static=True)
    space: AbstractSpace | None = None

    def inner_action(self, action: PyTree) -> PyTree:
        return self.function(action)

    def outer_action_space(self, space: AbstractSpace) -> AbstractSpace:
        return space if self.space is None else self.space


def _box(env: AbstractEnvLike, wrapper: str) -> Box:
    return floats_of(env.action_space, wrapper, "actions")
