"""JAX's x64 mode, in which a number without a type has 64 bits: what is lerax's own has 32 all the same."""

import os
import sys
from pathlib import Path

import equinox as eqx
import jax
import numpy as np
import pytest
import terminal
from jax import random as jr
from toys import arrays

import lerax
from lerax import checkpoint, registry
from lerax.algorithm import DQN, PPO, SAC, TD3, CrossQ, DiscreteSAC
from lerax.algorithm.hooks import start
from lerax.callback import StopOnNonFinite, StopOnReturn
from lerax.callback.callback_list import as_callback
from lerax.env import advance
from lerax.env.classic_control import CartPole, Pendulum
from lerax.evaluate import evaluate, rollout
from lerax.policy import (
    MLPActorCriticPolicy,
    MLPCategoricalPolicy,
    MLPCrossQPolicy,
    MLPDeterministicPolicy,
    MLPQPolicy,
    MLPSquashedGaussianPolicy,
    RandomPolicy,
)
from lerax.space import Box

ROOT = str(Path(lerax.__file__).parents[1])


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


def wide(tree):
    """The leaves of 64 bits, where they are."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    dtypes = [(jax.tree_util.keystr(path), str(getattr(leaf, "dtype", ""))) for path, leaf in leaves]
    return [(path, dtype) for path, dtype in dtypes if dtype.endswith("64")]


@pytest.mark.parametrize("name", sorted(registry.ENVS))
def test_environments_have_32_bits(name, x64):
    """The kind: every environment there is, of actions of 64 bits, too; nothing is computed."""
    env = registry.ENVS[name].load()()

    def play(key):
        action = env.action_space.sample(key=key)
        mine = action.astype(float if isinstance(env.action_space, Box) else int)
        state = env.initial(key=key)
        after = env.transition(state, mine, key=key)
        return action, env.draw(key=key), after, advance(env, state, mine, key=key)

    assert wide(jax.eval_shape(play, jr.key(0))) == []


@pytest.mark.parametrize("env", [CartPole(), Pendulum()], ids=lambda env: env.name)
def test_training_has_32_bits(env, x64):
    """Policies, the state of a training with callbacks, what is logged, and what evaluation gives."""
    algorithm = PPO(
        num_envs=2, num_steps=8, num_batches=2, normalize_rewards=True, learning_rate_schedule="linear"
    )
    callback = as_callback([StopOnReturn(1.0), StopOnNonFinite()])

    @eqx.filter_jit
    def train(key):
        policy = MLPActorCriticPolicy(env=env, hidden_sizes=(4,), normalize_observations=True, key=key)
        first = start(algorithm, algorithm.init(env, policy, key=key), callback, 2)
        state, steps, log = algorithm.iteration(first, key=key)
        state = algorithm.run(state, 32, callback=callback)
        played = evaluate(env, policy, key=key, num_episodes=2, deterministic=False)
        shown = rollout(env, RandomPolicy(env), key=key, num_steps=2, deterministic=False)
        return eqx.filter((first, steps, log, state, played, shown), eqx.is_array)

    assert wide(eqx.filter_eval_shape(train, jr.key(0))) == []


ALGORITHMS = [
    (DQN, MLPQPolicy, CartPole()),
    (DiscreteSAC, MLPCategoricalPolicy, CartPole()),
    (TD3, MLPDeterministicPolicy, Pendulum()),
    (SAC, MLPSquashedGaussianPolicy, Pendulum()),
    (CrossQ, MLPCrossQPolicy, Pendulum()),
]


@pytest.mark.parametrize(("kind", "make", "env"), ALGORITHMS, ids=lambda part: getattr(part, "__name__", ""))
def test_learning_from_a_replay_buffer_has_32_bits(kind, make, env, x64):
    """Buffer, networks, optimizers and what is logged; nothing is computed."""
    algorithm = kind(num_envs=2, num_steps=8, batch_size=4, buffer_size=64, learning_rate_schedule="cosine")

    @eqx.filter_jit
    def train(key):
        policy = make(env, hidden_sizes=(4,), normalize_observations=True, key=key)
        state = algorithm.init(env, policy, key=key, total_timesteps=32)
        return eqx.filter((algorithm.iteration(state, key=key), algorithm.run(state, 32)), eqx.is_array)

    assert wide(eqx.filter_eval_shape(train, jr.key(0))) == []


USES = """
import sys
import equinox as eqx
from jax import random as jr
from test_x64 import ENV, small
from lerax import checkpoint
from lerax.callback import EvalCallback, LoggingCallback, MemoryBackend
from lerax.callback import ProgressBarCallback, TensorBoardCallback
from lerax.evaluate import episode
from lerax_cli.app import main

algorithm, policy = small()
checkpoint.load("policy.eqx", policy)
backend = MemoryBackend()
with LoggingCallback(backend, name="run", video_interval=2, video_num_steps=2) as logger:
    others = [EvalCallback(1, num_episodes=1, logger=logger), ProgressBarCallback()]
    with TensorBoardCallback() as tensorboard:
        trained = algorithm.learn(ENV, policy, 32, key=jr.key(1), callback=[logger, tensorboard, *others])
checkpoint.save("x64.eqx", trained)
eqx.filter_vmap(lambda key: algorithm.learn(ENV, policy, 16, key=key))(jr.split(jr.key(1), 2))
assert len(list(episode(ENV, trained, key=jr.key(2), max_steps=3))) == 4
assert backend.records and backend.videos
sys.argv = "lerax train Hopper-v5 --preset none --steps 16 --seed 1 -q".split()
sys.argv += "--set num_envs=2 --set num_steps=8".split()
main()
"""
ENV = CartPole()


def small():
    """A small training."""
    algorithm = PPO(num_envs=2, num_steps=8, num_batches=2, num_epochs=1)
    return algorithm, MLPActorCriticPolicy(env=ENV, hidden_sizes=(4,), key=jr.key(0))


def test_a_process_in_x64_mode_does_all_that_others_do(tmp_path):
    """And trains the same policy. The relative: policies' files are read in the other mode, both ways."""
    algorithm, policy = small()
    checkpoint.save(tmp_path / "policy.eqx", policy)
    python = {"PYTHONPATH": os.pathsep.join([ROOT, *sys.path])}
    done = terminal.finish([sys.executable, "-c", USES], tmp_path, python | {"JAX_ENABLE_X64": "1"})
    assert done.returncode == 0, done.stderr
    assert (tmp_path / done.stdout.strip() / "policy.eqx").is_file()
    ours = algorithm.learn(ENV, policy, 32, key=jr.key(1))
    theirs = checkpoint.load(tmp_path / "x64.eqx", policy)
    for one, other in zip(arrays(ours), arrays(theirs), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-6)
