"""lerax's MuJoCo tasks: their steps beside those of a bare `mujoco.batch`, and trainings of PPO."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import jax
import numpy as np
from jax import lax
from jax import random as jr
from settings import Settings

from lerax import registry
from lerax.algorithm import PPO
from lerax.env import advance
from lerax.policy import MLPActorCriticPolicy

ENVS = 64
SECONDS = 0.5  # about as long is each run


def physics(name: str, calls: int) -> dict[str, float]:
    """Environment steps per second of random actions, three ways in turns.

    Returns:
        `bare`: a Python loop around `mujoco.batch`, which takes neither observation nor reward; `scan`: steps
        of the environment in a compiled scan; `advance`: the same with automatic resets.
    """
    env = registry.ENV.find(name).load()()
    state = jax.vmap(lambda key: env.initial(key=key))(jr.split(jr.key(1), ENVS))
    draw = lambda length: jr.uniform(
        jr.key(0), (length, ENVS, env.action_space.flat_size), minval=-1, maxval=1
    )
    length = max(20, int(SECONDS * _bare(env, state, draw(20)) / ENVS))
    actions = draw(length)
    runs = {"bare": lambda: _bare(env, state, actions)}
    began = time.perf_counter()
    for way in (_scan, _advance):
        compiled = jax.jit(way, static_argnums=0)
        jax.block_until_ready(compiled(env, state, actions))
        runs[way.__name__[1:]] = lambda compiled=compiled: _timed(compiled, env, state, actions)
    found: dict[str, list[float]] = {way: [] for way in runs}
    compile_seconds = time.perf_counter() - began
    for _ in range(calls):
        for way, run in runs.items():
            found[way].append(run())
    return {way: median(speeds) for way, speeds in found.items()} | {"compile_seconds": compile_seconds}


def train(name: str, settings: Settings, physics: str) -> Callable[[int], int]:
    """A function that trains PPO with a seed and returns the environment steps it took.

    Args:
        name: The environment.
        settings: Settings of PPO.
        physics: `native` or `mjx`.
    """
    env = registry.ENV.find(name).load()(physics=physics)
    algorithm = PPO(
        num_envs=settings.num_envs,
        num_steps=settings.num_steps,
        num_epochs=settings.num_epochs,
        num_batches=settings.num_minibatches,
        learning_rate=settings.learning_rate,
        entropy_loss_coefficient=settings.entropy_coefficient,
        normalize_rewards=True,
    )

    def run(seed: int) -> int:
        policy = MLPActorCriticPolicy(env, normalize_observations=True, key=jr.key(seed))
        jax.block_until_ready(algorithm.learn(env, policy, settings.timesteps, key=jr.key(seed)))
        return settings.steps

    return run


def _scan(env: Any, state: Any, actions: jax.Array) -> Any:
    def step(state: Any, action: jax.Array) -> Any:
        state = jax.vmap(lambda state, action: env.transition(state, action))(state, action)
        return state, (state.outcome,)

    return lax.scan(step, state, actions)


def _advance(env: Any, state: Any, actions: jax.Array) -> Any:
    def step(state: Any, xs: Any) -> Any:
        one = lambda state, action, key, fresh: advance(env, state, action, key=key, fresh=fresh)
        taken = jax.vmap(one)(state, *xs)
        return taken.state, (taken.observation, taken.reward, taken.done)

    keys = jr.split(jr.key(2), actions.shape[:2])
    fresh = jax.vmap(jax.vmap(lambda key: env.draw(key=key)))(keys)
    return lax.scan(step, state, (actions, keys, fresh))


def _timed(compiled: Any, env: Any, state: Any, actions: jax.Array) -> float:
    began = time.perf_counter()
    jax.block_until_ready(compiled(env, state, actions))
    return actions.shape[0] * ENVS / (time.perf_counter() - began)


def _bare(env: Any, state: Any, actions: jax.Array) -> float:
    """Steps per second of a Python loop around MuJoCo's own thread pool, from the same states."""
    from mujoco import batch

    simulations = batch.Batch(env.mujoco_model, ENVS)
    rows = jax.device_get(state)
    for i in range(ENVS):
        data = env.mujoco_data(jax.tree.map(lambda array, i=i: array[i], rows))
        for name in ("qpos", "qvel", "qacc_warmstart"):
            simulations.bind(name)[i] = getattr(data, name)
    control, controls = simulations.bind("ctrl"), np.asarray(actions)
    began = time.perf_counter()
    for action in controls:
        control[:] = action
        simulations.step(nstep=env.frame_skip)
    return len(controls) * ENVS / (time.perf_counter() - began)
