"""Numbers are data: other ones are another training of the same program."""

import logging
import re

import jax
import numpy as np
import pytest
import terminal
from jax import random as jr
from toys import assert_bitwise_equal

from lerax.algorithm import PPO
from lerax.callback import LoggingCallback, MemoryBackend, StopOnReturn
from lerax.env.classic_control import Pendulum
from lerax.env.mujoco import Hopper
from lerax.evaluate import evaluate
from lerax.policy import MLPActorCriticPolicy
from lerax.settings import data_of, settings_of
from lerax.wrapper import ScaleReward

SMALL = {"num_envs": 2, "num_steps": 8, "num_epochs": 1, "num_batches": 1}
OTHER = {
    "learning_rate": 1e-2,
    "gamma": 0.9,
    "gae_lambda": 0.8,
    "clip_coefficient": 0.1,
    "value_loss_coefficient": 0.4,
    "entropy_loss_coefficient": 0.02,
    "max_grad_norm": 0.3,
    "target_kl": 0.02,
}


@pytest.fixture
def compiled(monkeypatch):
    """The names of the programs that are compiled from now on, by JAX's own log."""
    names = []

    class Handler(logging.Handler):
        def emit(self, record):
            if found := re.match(r"Compiling (\S+)", record.getMessage()):
                names.append(found[1])

    logger = logging.getLogger("jax._src.interpreters.pxla")
    monkeypatch.setattr(logger, "propagate", False)
    logger.addHandler(handler := Handler())
    with jax.log_compiles():
        yield names
    logger.removeHandler(handler)


def trained(env, policy, alpha=0.9, threshold=1e6, **settings):
    algorithm = PPO(**SMALL, normalize_rewards=True, clip_schedule="linear", **settings)
    memory = MemoryBackend()
    with LoggingCallback(memory, name="run", alpha=alpha) as logger:
        callbacks = [logger, StopOnReturn(threshold, alpha)]
        policy = algorithm.learn(env, policy, 32, key=jr.key(1), callback=callbacks)
    evaluate(env, policy, key=jr.key(2), num_episodes=1, max_steps=4)
    return policy, memory


def test_the_numbers_of_ppo_are_all_tried():
    assert data_of(PPO) == OTHER.keys()
    assert all("float" in settings_of(PPO)[name].type_name for name in OTHER)


def test_other_numbers_compile_nothing(compiled):
    first, second = (ScaleReward(Pendulum(g=g), scale) for g, scale in ((10.0, 1.0), (9.0, 0.5)))
    policy = MLPActorCriticPolicy(first, hidden_sizes=(4,), key=jr.key(0))
    one, _ = trained(first, policy, target_kl=1.0)  # without one, an iteration is another program
    assert any("chunk" in name for name in compiled)  # and so what follows can fail
    compiled.clear()
    other, memory = trained(second, policy, alpha=0.5, threshold=1e5, **OTHER)
    assert compiled == []
    assert {name: memory.hparams[name] for name in OTHER} == OTHER and memory.hparams["alpha"] == 0.5
    changed = [np.abs(a - b).max() for a, b in zip(one.actor.weights, other.actor.weights, strict=True)]
    assert min(changed) > 1e-4


def test_neither_do_other_weights_of_a_mujoco_task(compiled):
    """Nor other limits: they end the episode, or do not."""
    policy = MLPActorCriticPolicy(Hopper(), hidden_sizes=(4,), key=jr.key(0))
    play = lambda env: evaluate(env, policy, key=jr.key(2), num_episodes=1, max_steps=8)
    plain = play(Hopper())
    compiled.clear()
    richer, over = play(Hopper(healthy_reward=3.0)), play(Hopper(healthy_z_range=(100.0, 200.0)))
    assert compiled == []
    np.testing.assert_allclose(richer.returns - plain.returns, 2.0 * 8, rtol=1e-4)
    assert over.lengths.tolist() == [1] and plain.lengths.tolist() == [8]


def test_a_callers_vmap_may_map_over_numbers():
    """Each lane is the training alone, but for the rounding of products of batches."""
    env = Pendulum()
    policy = MLPActorCriticPolicy(env, hidden_sizes=(4,), key=jr.key(0))
    learn = lambda rate: PPO(**SMALL, learning_rate=rate).learn(env, policy, 32, key=jr.key(1))
    rates = jax.numpy.array([1e-3, 1e-2])
    both = jax.jit(jax.vmap(learn))(rates)
    for i, rate in enumerate(rates.tolist()):
        for lane, alone in zip(jax.tree.leaves(both), jax.tree.leaves(learn(rate)), strict=True):
            np.testing.assert_allclose(lane[i], alone, atol=1e-5)


def test_traced_and_from_the_host_they_are_the_same_numbers():
    env = Pendulum()
    policy = MLPActorCriticPolicy(env, hidden_sizes=(4,), key=jr.key(0))
    learn = lambda key: PPO(**SMALL, **OTHER).learn(env, policy, 32, key=key)
    assert_bitwise_equal(learn(jr.key(1)), jax.jit(learn)(jr.key(1)))


def test_another_process_finds_the_program_in_the_cache(tmp_path):
    cache = tmp_path / "cache"
    options = ["--steps", "64", "--preset", "none", "--backend", "none", "-q"]
    options += [word for name, value in SMALL.items() for word in ("--set", f"{name}={value}")]
    numbers = [word for name, value in OTHER.items() for word in ("--set", f"{name}={value}")]
    files = []
    for more in (["--set", "target_kl=1"], numbers):
        words = ["train", "Pendulum-v1", *options, *more]
        done = terminal.run(*words, cwd=tmp_path, JAX_COMPILATION_CACHE_DIR=str(cache))
        assert done.returncode == 0, done.stderr
        files.append({path.name for path in cache.rglob("*-cache")})
    assert files[0] and files[1] == files[0]
