"""sbx's off-policy algorithms: environments stepped in Python, updates compiled by JAX."""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import sbx
from settings import OffPolicySettings
from stable_baselines3.common.noise import NormalActionNoise


def make(settings: OffPolicySettings, buffer_size: int, **options: Any) -> Any:
    """A model of sbx, with options of its own."""
    env = gymnasium.make(settings.env)
    changes: dict[str, Any] = {}
    if settings.algorithm == "DQN":
        changes = {"target_update_interval": 1_000}
    if settings.algorithm == "TD3":
        size = env.action_space.shape[0]
        changes = {"action_noise": NormalActionNoise(np.zeros(size), 0.1 * np.ones(size))}
    return getattr(sbx, settings.algorithm)(
        "MlpPolicy",
        env,
        buffer_size=buffer_size,
        batch_size=settings.batch_size,
        learning_starts=settings.learning_starts,
        learning_rate=settings.learning_rate,
        train_freq=settings.train_frequency,
        policy_kwargs={"net_arch": [*settings.hidden]},
        **changes,
        **options,
    )


def train(settings: OffPolicySettings, buffer_size: int) -> Callable[[int], int]:
    """A function that trains on and returns the environment steps it took."""
    model = make(settings, buffer_size)

    def run(seed: int) -> int:
        before = model.num_timesteps
        model.learn(settings.timesteps, reset_num_timesteps=False)
        return model.num_timesteps - before

    return run
