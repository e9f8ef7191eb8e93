"""lerax with backends that go wrong."""

import threading
import time
from typing import Any

import jax
import numpy as np
from jax import random as jr
from settings import FAULTS, Settings

from lerax.algorithm import PPO
from lerax.callback import AbstractLoggingBackend, LoggingCallback
from lerax.env.classic_control import CartPole
from lerax.policy import MLPActorCriticPolicy

from .lerax import algorithm_of


class Faulty(AbstractLoggingBackend):
    """Does nothing, or something wrong, with each record: one of FAULTS.

    Args:
        fault: What goes wrong.
        ended: From then on a backend is neither slow nor hangs.
    """

    def __init__(self, fault: str, ended: threading.Event):
        self.fault, self.ended = fault, ended

    def open(self, name: str) -> None:
        pass

    def log_scalars(self, scalars, step: int) -> None:
        if self.fault == "raises":
            raise OSError("no space left on device")
        if self.fault in ("slow", "hangs"):
            self.ended.wait(0.1 if self.fault == "slow" else None)

    def close(self) -> None:
        pass


def faults(settings: Settings, seed: int, calls: int) -> dict[str, Any]:
    """Seconds of trainings by fault, in turns after one each to compile, and whether all learned the same."""
    seconds: dict[str, list[float]] = {fault: [] for fault in FAULTS}
    learned: dict[str, Any] = {}
    algorithm = algorithm_of(settings)
    for _ in range(1 + calls):
        for fault, taken in seconds.items():
            duration, learned[fault] = _train(algorithm, settings.timesteps, seed, fault)
            taken.append(duration)
    same = all(
        all(map(np.array_equal, jax.tree.leaves(policy), jax.tree.leaves(learned[FAULTS[0]])))
        for policy in learned.values()
    )
    return {"same": same} | {fault: taken[1:] for fault, taken in seconds.items()}


def _train(algorithm: PPO, timesteps: int, seed: int, fault: str) -> tuple[float, Any]:
    env, ended = CartPole(), threading.Event()
    policy_key, key = jr.split(jr.key(seed))
    policy = MLPActorCriticPolicy(env=env, key=policy_key)
    callback = None
    if fault != "none":
        callback = LoggingCallback([Faulty(fault, ended)], env=env, policy=policy)
    began = time.perf_counter()
    policy = algorithm.learn(env, policy, timesteps, key=key, callback=callback)
    jax.block_until_ready(policy)
    seconds = time.perf_counter() - began
    ended.set()
    if callback is not None:
        callback.close()
    return seconds, jax.device_get(policy)
