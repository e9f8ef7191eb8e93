"""stable-baselines3 on Gymnasium's MuJoCo tasks, in one process or in one for each environment."""

from collections.abc import Callable

import torch
from settings import Settings
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecNormalize

torch.set_num_threads(1)  # faster than more for networks of this size


def train(name: str, settings: Settings, way: str) -> Callable[[int], int]:
    """A function that trains PPO with a seed and returns the environment steps it took.

    Args:
        name: The environment.
        settings: Settings of PPO.
        way: `dummy` for environments in this process, `subproc` for a process each.
    """
    kind = {"dummy": DummyVecEnv, "subproc": SubprocVecEnv}[way]
    model = None

    def run(seed: int) -> int:
        nonlocal model
        if model is None:
            env = VecNormalize(make_vec_env(name, n_envs=settings.num_envs, seed=seed, vec_env_cls=kind))
            model = PPO(
                "MlpPolicy",
                env,
                n_steps=settings.num_steps,
                batch_size=settings.rollout // settings.num_minibatches,
                n_epochs=settings.num_epochs,
                learning_rate=settings.learning_rate,
                ent_coef=settings.entropy_coefficient,
                policy_kwargs={"net_arch": {"pi": [*settings.hidden], "vf": [*settings.hidden]}},
                seed=seed,
                device="cpu",
            )
        model.learn(settings.timesteps)
        return model.num_timesteps

    return run
