"""A wrapper that changes nothing."""

from lerax.env import AbstractEnvLike

from .base_wrapper import AbstractWrapper


class Identity(AbstractWrapper):
    """The environment as it is: for a place where a wrapper is wanted, and for tests of what wraps."""

    env: AbstractEnvLike
