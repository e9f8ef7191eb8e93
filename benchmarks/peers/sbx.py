"""sbx: the interface of stable-baselines3, updates compiled by JAX."""

from collections.abc import Callable
from typing import Any

from sbx import PPO
from settings import Settings

from . import gymnasium_ppo


def train(settings: Settings) -> Callable[[int], int]:
    """A function that trains with a seed and returns the environment steps it took."""
    return gymnasium_ppo.train(PPO, settings)


def solve(seed: int, *, full: bool) -> dict[str, Any]:
    """Trains with the settings of rl-zoo, until solved unless `full`, and evaluates greedily."""
    return gymnasium_ppo.solve(PPO, seed, full=full)
