"""Stopping when something is not finite."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr
from toys import Idle, Target, arrays, assert_bitwise_equal

from lerax.algorithm import PPO, loop
from lerax.callback import (
    AbstractCallback,
    LoggingCallback,
    MemoryBackend,
    StopOnNonFinite,
    StopOnRequest,
    StopOnReturn,
)
from lerax.callback.callback_list import as_callback
from lerax.policy import MLPActorCriticPolicy
from lerax.tree import ravel

# Four steps an iteration, and the fifth step of an episode has a NaN reward: the second iteration is bad.
ALGORITHM = PPO(num_envs=4, num_steps=4, num_epochs=1, num_batches=1)


@pytest.fixture(scope="module")
def initial():
    env = Target(nan_from=5)
    policy = MLPActorCriticPolicy(env, hidden_sizes=(8,), key=jr.key(0))
    return ALGORITHM.init(env, policy, key=jr.key(0))


def train(state, iterations):
    return loop.run_from_host(ALGORITHM, state, as_callback(StopOnNonFinite()), iterations, chunk_length=4)


def test_a_nan_ends_training_in_its_iteration_and_the_last_good_policy_is_kept(initial):
    """P10."""
    good = train(initial, 1)
    last = train(initial, 10)
    (found,) = last.callback_state
    assert int(last.iteration_count) == 2 and int(found.iteration) == 2
    assert_bitwise_equal(found.parameters, ravel(good.policy)[0])
    assert not all(np.isfinite(x).all() for x in arrays(last.policy))


def test_nothing_happens_while_all_is_finite(initial):
    last = train(initial, 1)
    (found,) = last.callback_state
    assert int(last.iteration_count) == 1 and int(found.iteration) == 0
    assert_bitwise_equal(found.parameters, ravel(last.policy)[0])


def test_a_parameter_that_is_not_finite_ends_training_too(initial):
    bad = jax.tree.map(lambda x: x.at[0].set(jnp.inf) if x.ndim == 1 else x, initial.policy)
    state = ALGORITHM.init(initial.env, bad, key=jr.key(0))
    assert int(train(state, 10).iteration_count) == 1


def test_a_return_that_is_reached_ends_training(env, policy, algorithm):
    """The logger's own averages, with the same weight, say when it was reached."""
    memory = MemoryBackend()
    with LoggingCallback(memory, alpha=0.3) as logger:
        algorithm.learn(env, policy, 64 * 60, key=jr.key(0), callback=[logger, StopOnReturn(30.0, alpha=0.3)])
    averages = [scalars.get("episode/return", 0.0) for _, scalars in memory.records]
    assert averages[-1] >= 30 and len(averages) < 60
    # Some environments may not have finished an episode when the mean of the others first gets there.
    assert sum(average >= 30 for average in averages) <= 3


@pytest.mark.parametrize("traced", [False, True], ids=["from the host", "inside jit"])
def test_a_return_of_some_environments_only_does_not_end_it(env, policy, algorithm, traced):
    memory = MemoryBackend()
    with LoggingCallback(memory, name="run") as logger:
        callbacks = [logger, StopOnReturn(0.0)]
        learn = lambda key: algorithm.learn(env, policy, 64 * 8, key=key, callback=callbacks)
        jax.block_until_ready((jax.jit(learn) if traced else learn)(jr.key(0)))
    assert 1 <= len(memory.records) < 8


def test_a_request_ends_training_and_the_next_one_is_refused_at_once(env, policy):
    stop = StopOnRequest()

    class Asks(AbstractCallback):
        def next_due(self, iteration):
            return 5 if iteration < 5 else None

        def on_host(self, state, iteration):
            stop.request()

    state = Idle().run(Idle().init(env, policy, key=jr.key(0)), 10**9, callback=[Asks(), stop])
    assert int(state.iteration_count) == 5
    state = Idle().run(Idle().init(env, policy, key=jr.key(0)), 100, callback=stop)
    assert int(state.iteration_count) == 0


def test_alpha_is_checked():
    with pytest.raises(ValueError, match="alpha: out of range"):
        StopOnReturn(1.0, alpha=0.0)
