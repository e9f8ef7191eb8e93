"""Stopping when something is not finite."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr
from toys import Target, arrays, assert_bitwise_equal

from lerax.algorithm import PPO, loop
from lerax.callback import StopOnNonFinite
from lerax.callback.list import as_callback
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
