"""lerax from Python; the command is measured as a command."""

import os
import subprocess
import termios
import time
from collections.abc import Callable
from contextlib import nullcontext
from statistics import median
from typing import Any, TextIO

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp
from jax import random as jr
from settings import Settings

from lerax.algorithm import PPO
from lerax.callback import ConsoleBackend, JSONLBackend, LoggingCallback, TensorBoardBackend
from lerax.callback.run_log import RunLog
from lerax.env import AbstractEnvLike, advance
from lerax.env.classic_control import CartPole
from lerax.policy import MLPActorCriticPolicy


def train(settings: Settings, env: AbstractEnvLike | None = None) -> Callable[[int], int]:
    """A function that trains with a seed and returns the steps it took; by default on CartPole."""
    env = CartPole() if env is None else env
    algorithm = algorithm_of(settings)
    backends = _backends(settings.logging)

    def run(seed: int) -> int:
        policy_key, key = jr.split(jr.key(seed))
        policy = MLPActorCriticPolicy(env=env, key=policy_key)
        # Building and closing the callback count: whoever logs pays for them, too.
        logging = LoggingCallback(backends(), env=env, policy=policy) if backends else nullcontext()
        with logging as callback:
            policy = algorithm.learn(env, policy, settings.timesteps, key=key, callback=callback)
            jax.block_until_ready(policy)
        return settings.steps

    return run


def algorithm_of(settings: Settings) -> PPO:
    """The algorithm that trains with settings."""
    return PPO(
        num_envs=settings.num_envs,
        num_steps=settings.num_steps,
        num_epochs=settings.num_epochs,
        num_batches=settings.num_minibatches,
        learning_rate=settings.learning_rate,
        gamma=settings.gamma,
        gae_lambda=settings.gae_lambda,
        clip_coefficient=settings.clip,
        entropy_loss_coefficient=settings.entropy_coefficient,
        value_loss_coefficient=settings.value_coefficient,
        max_grad_norm=settings.max_grad_norm,
    )


def step(num_envs: int, num_steps: int) -> Callable[[int], int]:
    """A function that takes random steps from a seed and returns how many."""
    env = CartPole()
    reset = jax.vmap(lambda key: env.initial(key=key))
    step_all = jax.vmap(lambda state, action, key: advance(env, state, action, key=key))

    @jax.jit
    def run(key: jax.Array) -> jax.Array:
        def body(carry, key):
            state, total = carry
            action_key, step_key = jr.split(key)
            action = jr.randint(action_key, (num_envs,), 0, 2)
            taken = step_all(state, action, jr.split(step_key, num_envs))
            # Read all that a step gives, or the compiler leaves out what nobody reads.
            read = taken.observation.sum() + taken.reward.sum() + taken.done.sum()
            return (taken.state, total + read), None

        state = reset(jr.split(key, num_envs))
        return lax.scan(body, (state, jnp.zeros(())), jr.split(key, num_steps))[0][1]

    def run_seed(seed: int) -> int:
        run(jr.key(seed)).block_until_ready()
        return num_envs * num_steps

    return run_seed


def record(group: int, groups: int) -> dict[str, float]:
    """Microseconds that the training thread spends on one record of 20 scalars, by the wall and by its CPU.

    Args:
        group: Records that a chunk hands over together.
        groups: How many of those are measured; the median counts.
    """
    backends = _backends("full")
    assert backends is not None
    log = RunLog(backends())
    log.open("record")
    tags = [f"train/{i}" for i in range(16)] + ["episode/return", "episode/length"]  # and two times
    values = {tag: np.linspace(0.0, 1.0, group, dtype=np.float32) for tag in tags}
    wall, cpu = [], []
    for number in range(groups):
        iterations = np.arange(group) + number * group + 1
        values |= {"iteration": iterations, "episode/count": iterations}
        times = np.full(group, time.monotonic())
        began, cpu_began = time.perf_counter(), time.thread_time()
        log.receive("iteration", (), values, times, None)
        wall.append(time.perf_counter() - began)
        cpu.append(time.thread_time() - cpu_began)
        time.sleep(0.005)  # the next chunk trains
    log.close()
    return {"wall": 1e6 * median(wall) / group, "cpu": 1e6 * median(cpu) / group}


def _backends(logging: str) -> Callable[[], list[Any]] | None:
    """What builds the backends of a training, None for none."""
    if logging == "none":
        return None
    if logging == "tensorboard":
        return lambda: [TensorBoardBackend()]
    terminal = _terminal()
    return lambda: [TensorBoardBackend(), JSONLBackend(), ConsoleBackend("full", stream=terminal)]


def _terminal() -> TextIO:
    """A terminal that a process of its own reads, as a terminal's program does."""
    reader, writer = os.openpty()
    # rich asks the standard streams for the size, which are pipes here, or these variables.
    os.environ |= {"COLUMNS": "120", "LINES": "40", "TERM": "xterm-256color"}
    termios.tcsetwinsize(writer, (40, 120))
    subprocess.Popen(["cat"], stdin=reader, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(reader)
    return os.fdopen(writer, "w", encoding="utf-8")
