"""lerax on Gymnasium's own environment, which its compiled programs step in Python."""

from collections.abc import Callable

from settings import ENV, Settings

from lerax.env import from_gymnasium

from . import lerax


def train(settings: Settings) -> Callable[[int], int]:
    """A function that trains with a seed and returns the environment steps it took."""
    return lerax.train(settings, from_gymnasium(ENV))
