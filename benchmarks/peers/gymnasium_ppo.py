"""What stable-baselines3 and sbx share: their interface, and environments stepped in Python."""

from collections.abc import Callable
from typing import Any

from settings import ENV, EVALUATION_EPISODES, SOLVED, ZOO, Settings
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

SHORTER = 10  # a tenth of the steps is enough: their speed does not change over a training
PROBE_EVERY = 2048  # steps between probes of the greedy policy
PROBE_EPISODES = 10
PROBE_FROM = 200.0  # mean return of the last training episodes that makes a probe worth its time


def train(ppo: type, settings: Settings) -> Callable[[int], int]:
    """A function that trains with a seed and returns the environment steps it took.

    The model is built once and learns on: each new sbx model compiles anew.
    """
    model = None

    def run(seed: int) -> int:
        nonlocal model
        model = model or _model(ppo, settings, seed)
        model.set_random_seed(seed)
        model.learn(settings.timesteps // SHORTER)
        return model.num_timesteps

    return run


def solve(ppo: type, seed: int, *, full: bool) -> dict[str, Any]:
    """Trains with the settings of rl-zoo, until solved unless `full`, and evaluates greedily."""
    scheduled = {
        "learning_rate": lambda remaining: ZOO.learning_rate * remaining,
        "clip_range": lambda remaining: ZOO.clip * remaining,
    }
    model = _model(ppo, ZOO, seed, **scheduled)
    stop = _StopWhenSolved(seed)
    model.learn(ZOO.timesteps, callback=None if full else stop)
    mean = stop.mean if stop.mean >= SOLVED else stop.evaluate(model, EVALUATION_EPISODES)
    return {"mean_return": mean, "steps": model.num_timesteps}


def _model(ppo: type, settings: Settings, seed: int, **changes: Any) -> Any:
    arguments = {
        "n_steps": settings.num_steps,
        "batch_size": settings.rollout // settings.num_minibatches,
        "n_epochs": settings.num_epochs,
        "learning_rate": settings.learning_rate,
        "gamma": settings.gamma,
        "gae_lambda": settings.gae_lambda,
        "clip_range": settings.clip,
        "ent_coef": settings.entropy_coefficient,
        "vf_coef": settings.value_coefficient,
        "max_grad_norm": settings.max_grad_norm,
        "policy_kwargs": {"net_arch": {"pi": [*settings.hidden], "vf": [*settings.hidden]}},
        "seed": seed,
        "device": "cpu",  # what its documentation advises for networks of this size
    }
    env = make_vec_env(ENV, n_envs=settings.num_envs, seed=seed)
    return ppo("MlpPolicy", env, **(arguments | changes))


class _StopWhenSolved(BaseCallback):
    """Stops at the first probe whose policy then passes the whole evaluation.

    Cheap on purpose: no probe before the training episodes are long, a short one first.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.env = make_vec_env(ENV, n_envs=20, seed=10_000 + seed)
        self.mean = 0.0
        self.next_probe = 0

    def evaluate(self, model: Any, episodes: int) -> float:
        """Mean return of greedy episodes."""
        mean, _ = evaluate_policy(model, self.env, n_eval_episodes=episodes, deterministic=True)
        return float(mean)

    def _on_rollout_start(self) -> None:
        last = [episode["r"] for episode in self.model.ep_info_buffer][-PROBE_EPISODES:]
        if not last or sum(last) / len(last) < PROBE_FROM or self.num_timesteps < self.next_probe:
            return
        self.next_probe = self.num_timesteps + PROBE_EVERY
        if self.evaluate(self.model, PROBE_EPISODES) >= SOLVED:
            self.mean = self.evaluate(self.model, EVALUATION_EPISODES)

    def _on_step(self) -> bool:
        return self.mean < SOLVED
