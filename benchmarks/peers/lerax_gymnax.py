"""lerax on gymnax's own environment."""

from collections.abc import Callable

from settings import ENV, Settings

from lerax.env import from_gymnax

from . import lerax


def train(settings: Settings) -> Callable[[int], int]:
    """A function that trains with a seed and returns the environment steps it took."""
    return lerax.train(settings, from_gymnax(ENV))
