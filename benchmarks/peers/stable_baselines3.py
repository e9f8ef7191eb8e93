"""stable-baselines3: PyTorch."""

from collections.abc import Callable
from typing import Any

import torch
from settings import Settings
from stable_baselines3 import PPO

from . import gymnasium_ppo

torch.set_num_threads(1)  # faster than more for networks of this size


def train(settings: Settings) -> Callable[[int], int]:
    """A function that trains with a seed and returns the environment steps it took."""
    return gymnasium_ppo.train(PPO, settings)


def solve(seed: int, *, full: bool) -> dict[str, Any]:
    """Trains with the settings of rl-zoo, until solved unless `full`, and evaluates greedily."""
    return gymnasium_ppo.solve(PPO, seed, full=full)
