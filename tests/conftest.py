"""Run-time checks of every annotation of lerax, a compilation cache, and what many tests train."""

import jax
import jaxtyping
import pytest
from jax import random as jr

# Before anything imports lerax: its annotations are checked at each call.
jaxtyping.install_import_hook("lerax", "typechecker.checked")


def pytest_configure(config):
    """Keeps compiled programs beside pytest's own cache: `pytest --cache-clear` empties both."""
    if not hasattr(config, "cache"):
        return
    jax.config.update("jax_compilation_cache_dir", str(config.cache.mkdir("jax")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


@pytest.fixture(scope="session")
def env():
    from lerax.env.classic_control import CartPole

    return CartPole()


@pytest.fixture(scope="session")
def policy(env):
    from lerax.policy import MLPActorCriticPolicy

    return MLPActorCriticPolicy(env=env, hidden_sizes=(8,), key=jr.key(0))


@pytest.fixture(scope="session")
def algorithm():
    """64 steps an iteration, in two epochs of two minibatches."""
    from lerax.algorithm import PPO

    return PPO(num_envs=4, num_steps=16, num_epochs=2, num_batches=2, learning_rate=1e-2)
