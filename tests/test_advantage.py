"""Advantages, explained variance and shuffles, held against plain Python and NumPy."""

import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr
from scipy import stats
from toys import discounted_sums

from lerax.advantage import gae
from lerax.algorithm.on_policy.batch import explained_variance, shuffles

TIME, ENVS = 37, 6


def a_rollout(seed):
    """Random rewards and values; episodes end by terminations, truncations and both at once."""
    rng = np.random.default_rng(seed)
    rewards, values, next_values = rng.normal(size=(3, TIME, ENVS)).astype(np.float32)
    terminals, truncated = rng.random((2, TIME, ENVS)) < 0.15
    dones = terminals | truncated
    # Where nothing ended, what followed is the next row's observation.
    next_values[:-1] = np.where(dones[:-1], next_values[:-1], values[1:])
    return rewards, values, next_values, terminals, dones


@pytest.mark.parametrize("gamma", [0.0, 0.9, 0.99, 1.0])
@pytest.mark.parametrize("gae_lambda", [0.0, 0.5, 0.95, 1.0])
def test_gae_is_the_discounted_sum_of_one_step_errors(gamma, gae_lambda):
    rollout = a_rollout(0)
    found = gae(*(jnp.asarray(x) for x in rollout), gamma=gamma, gae_lambda=gae_lambda)
    np.testing.assert_allclose(found, discounted_sums(*rollout, gamma, gae_lambda), rtol=1e-4, atol=1e-5)


def test_lambda_one_gives_monte_carlo_returns_bootstrapped_at_truncations_only():
    rewards, values, next_values, terminals, dones = rollout = a_rollout(1)
    returns = gae(*(jnp.asarray(x) for x in rollout), gamma=0.9, gae_lambda=1.0) + values
    expected = np.zeros((TIME, ENVS))
    for env in range(ENVS):
        for t in reversed(range(TIME)):
            later = next_values[t, env] if dones[t, env] or t == TIME - 1 else expected[t + 1, env]
            expected[t, env] = rewards[t, env] + 0.9 * later * (not terminals[t, env])
    np.testing.assert_allclose(returns, expected, rtol=1e-4, atol=1e-5)


def test_explained_variance():
    rng = np.random.default_rng(0)
    returns = rng.normal(3, 2, 500).astype(np.float32)
    values = (0.7 * returns + rng.normal(0, 1, 500)).astype(np.float32)
    expected = 1 - np.var(returns.astype(float) - values) / np.var(returns.astype(float))
    explained = lambda *x: float(explained_variance(*(jnp.asarray(a) for a in x)))
    assert explained(values, returns) == pytest.approx(expected, rel=1e-4)
    assert explained(returns + 5, returns) == pytest.approx(1, abs=1e-5)
    assert explained(returns, np.ones_like(returns)) == 0.0


@pytest.mark.parametrize("size", [1, 2, 3, 64, 1000, 2**16, 2**16 + 1])
def test_each_shuffle_is_a_permutation(size):
    orders = np.asarray(shuffles(jr.key(0), 3, size))
    assert orders.shape == (3, size)
    np.testing.assert_array_equal(np.sort(orders, axis=1), np.tile(np.arange(size), (3, 1)))
    if size >= 64:
        assert (orders[0] != orders[1]).any() and (orders[0] != np.arange(size)).any()


def test_every_order_of_four_is_as_likely():
    orders = np.asarray(shuffles(jr.key(1), 24_000, 4)) @ [64, 16, 4, 1]
    _, counts = np.unique(orders, return_counts=True)
    assert counts.size == 24 and stats.chisquare(counts).pvalue > 1e-3


def test_every_row_comes_to_every_place_as_often():
    """Also where the rows' numbers take the most of the sorted words' bits."""
    orders = np.asarray(shuffles(jr.key(2), 40, 2**16))
    places = np.argsort(orders, axis=1)
    for row in (0, 2**15, 2**16 - 1):  # uniform places of single rows
        assert stats.kstest(places[:, row] / 2**16, stats.uniform.cdf).pvalue > 1e-3
    # Neighbours that share their random bits keep their order: few enough not to matter.
    ascending = (places[:, :-1] < places[:, 1:]).mean()
    assert abs(ascending - 0.5) < 1e-3


def test_of_more_rows_than_random_words_none_keep_their_order():
    """Sorted by 15 random bits, more than half of all neighbours would agree in them."""
    (order,) = np.asarray(shuffles(jr.key(3), 1, 2**16 + 1))
    assert abs((np.diff(order) > 0).mean() - 0.5) < 0.01
