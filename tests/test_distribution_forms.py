"""The forms that distributions are made in, batches of them, and what they say beside log probabilities."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr
from scipy import special, stats

from lerax.distribution import (
    Bernoulli,
    Categorical,
    MultiCategorical,
    MultivariateNormalDiag,
    Normal,
    Squash,
    SquashedMultivariateNormalDiag,
    SquashedNormal,
)
from lerax.errors import SettingError

PROBS = np.array([[0.2, 0.3, 0.5], [0.7, 0.0, 0.3]], np.float32)
LOC = np.array([[0.5, -2.0], [1.0, 0.0]], np.float32)
SCALE = np.array([[0.3, 1.0], [2.0, 0.5]], np.float32)
KEY = jr.key(3)


def close(found, wanted, **tolerance):
    np.testing.assert_allclose(found, wanted, **{"rtol": 1e-4, "atol": 1e-6} | tolerance)


def test_a_categorical_of_probabilities_is_one_of_their_logarithms():
    batch, value = Categorical(probs=jnp.asarray(PROBS)), jnp.array([2, 0])
    close(batch.probs, PROBS)
    close(batch.logits, [np.log(PROBS[0]), [np.log(0.7), -np.inf, np.log(0.3)]])
    close(batch.entropy(), stats.entropy(PROBS, axis=1))
    close(batch.prob(value), [0.5, 0.7])
    assert batch.mode().tolist() == [2, 0] and batch.sample(KEY).shape == (2,)
    other = Categorical(logits=jnp.log(jnp.asarray(2 * PROBS[:1])))
    close(other.probs, PROBS[:1])
    gradient = jax.grad(lambda probs: Categorical(probs=probs).entropy().sum())(jnp.asarray(PROBS))
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda row, _: Categorical(row, start=2),
        lambda row, _: MultiCategorical(row, (2, 3)),
        MultivariateNormalDiag,
        SquashedMultivariateNormalDiag,
    ],
)
def test_a_batch_is_its_rows(make):
    """Of every kind whose last axis is one action."""
    rows, scale = jr.normal(KEY, (4, 5)), jnp.exp(jr.normal(jr.key(4), (4, 5)))
    batch, each = make(rows, scale), [make(*pair) for pair in zip(rows, scale, strict=True)]
    value, log_prob = batch.sample_and_log_prob(KEY)
    alone = [one.log_prob(action) for one, action in zip(each, value, strict=True)]
    close(log_prob, alone, rtol=1e-3, atol=1e-2)
    close(batch.log_prob(value), log_prob, rtol=1e-3, atol=1e-2)
    np.testing.assert_array_equal(batch.mode(), [one.mode() for one in each])
    if make is not SquashedMultivariateNormalDiag:
        close(batch.entropy(), [one.entropy() for one in each])


def test_several_choices_come_as_a_row_or_one_by_one():
    parts = [jnp.array([0.4, 0.6]), jnp.array([0.2, 0.3, 0.5])]
    row = MultiCategorical(probs=jnp.concatenate(parts), action_dims=[2, 3])
    each = MultiCategorical(probs=parts)
    assert row.action_dims == each.nvec == (2, 3)
    close(row.probs, each.probs)
    close(row.prob(jnp.array([1, 2])), 0.6 * 0.5)
    assert [one.probs.shape for one in each.distribution] == [(2,), (3,)]
    allowed = [jnp.array([True, False]), jnp.array([True, True, False])]
    for mask in (jnp.concatenate(allowed), allowed):
        masked = row.mask(mask)
        close(masked.probs, [1, 0, 0.4, 0.6, 0])
        assert np.isneginf(np.asarray(masked.logits)).tolist() == [False, True, False, False, True]


@pytest.mark.parametrize(
    "make",
    [
        Categorical,
        Bernoulli,
        lambda: Normal(jnp.zeros(2)),
        MultivariateNormalDiag,
        MultiCategorical,
        lambda: Categorical(jnp.zeros(2), probs=jnp.ones(2)),
        lambda: Normal(jnp.zeros(2), scale=jnp.ones(1)),
        lambda: MultivariateNormalDiag(jnp.zeros(3), jnp.ones(2)),
        lambda: MultiCategorical(jnp.zeros(3)),
        lambda: MultiCategorical(jnp.zeros(2), (0, 2)),
        lambda: MultiCategorical(jnp.zeros(3), (2, 3)),
        lambda: MultiCategorical([jnp.zeros((1, 2)), jnp.zeros(3)]),
        lambda: MultiCategorical(jnp.zeros(3), (1, 2)).log_prob(jnp.array([0, 0, 0])),
        lambda: Squash(low=jnp.array(0.0)),
    ],
)
def test_what_fits_together_in_no_way_is_refused(make):
    with pytest.raises(SettingError):
        make()


def test_bernoulli_variables_of_probabilities_are_scipys_at_the_ends_too():
    probs = np.array([0.3, 0.8, 0.0, 1.0], np.float32)
    made, reference = Bernoulli(probs=jnp.asarray(probs)), stats.bernoulli(probs)
    value = np.array([1, 0, 0, 1])
    close(made.probs, probs)
    close(made.mean(), reference.mean())
    close(made.log_prob(jnp.asarray(value)), reference.logpmf(value).sum())
    close(made.entropy(), reference.entropy().sum())
    masked = made.mask(jnp.array([False, True, True, True]))
    assert np.isneginf(masked.logits[0]) and float(masked.prob(jnp.array([0, 1, 0, 1]))) == pytest.approx(0.8)


def test_gaussians_of_deviations_are_scipys():
    value, reference = np.array([[0.0, -2.5], [1.0, 3.0]], np.float32), stats.norm(LOC, SCALE)
    whole, each = (Normal(jnp.asarray(LOC), scale=jnp.asarray(SCALE), event_ndim=n) for n in (None, 0))
    rows = MultivariateNormalDiag(jnp.asarray(LOC), jnp.asarray(SCALE))
    densities = reference.logpdf(value)
    for found, wanted in ((whole, densities.sum()), (each, densities), (rows, densities.sum(1))):
        close(found.log_prob(jnp.asarray(value)), wanted)
    close(rows.entropy(), reference.entropy().sum(1))
    close(rows.mean(), LOC)
    close(rows.scale_diag, SCALE)
    close(MultivariateNormalDiag(scale_diag=jnp.asarray(SCALE)).loc, 0 * LOC)
    close(MultivariateNormalDiag(jnp.asarray(LOC)).scale, 0 * LOC + 1)


def test_squashed_between_bounds_is_a_change_of_variables():
    """A beta-like density on (low, high), held against SciPy's Gaussian at the inverse, and its integral."""
    low, high = np.array([-3.0, 0.0]), np.array([5.0, 10.0])
    made = SquashedMultivariateNormalDiag(*map(jnp.asarray, (LOC[1], SCALE[1], high, low)))
    value = np.array([[-1.0, 4.0], [4.5, 9.0]])
    unit = (value - low) / (high - low)
    before = special.logit(unit) / 2
    slope = 2 * (high - low) * unit * (1 - unit)
    wanted = (stats.norm(LOC[1], SCALE[1]).logpdf(before) - np.log(slope)).sum(1)
    close(jax.vmap(made.log_prob)(jnp.asarray(value)), wanted, rtol=1e-3)
    close(made.bijector.forward(made.bijector.inverse(jnp.asarray(value))), value)
    samples = np.asarray(jax.vmap(made.sample)(jr.split(KEY, 500)))
    assert (samples >= low).all() and (samples <= high).all() and np.ptp(samples, axis=0).min() > 3
    one = SquashedNormal(jnp.array([0.5]), scale=jnp.array([0.7]), low=jnp.array(-3.0), high=jnp.array(5.0))
    grid = np.linspace(-2.999, 4.999, 5001)
    density = jax.vmap(one.prob)(jnp.asarray(grid)[:, None])
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize(
    "made",
    [
        Categorical(jnp.zeros(2)),
        MultiCategorical(jnp.zeros(3), (1, 2)),
        SquashedNormal(jnp.zeros(1), jnp.zeros(1)),
    ],
)
def test_no_mean_is_made_up(made):
    with pytest.raises(NotImplementedError, match="average"):
        made.mean()
