"""Distributions over actions, held against SciPy's."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr
from scipy import stats

from lerax.distribution import Bernoulli, Categorical, MultiCategorical, Normal, SquashedNormal

LOGITS = np.array([0.3, -1.2, 2.0, 0.0])
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum()
MASK = np.array([True, False, False, True])
LOC, LOG_SCALE = np.array([[0.5, -2.0], [3.0, 0.0]]), np.array([[0.1, -1.0], [0.7, 0.0]])


def draws(distribution, count):
    return np.asarray(jax.vmap(lambda key: distribution.sample(key=key))(jr.split(jr.key(0), count)))


def test_categorical_log_probabilities_and_entropy():
    categorical = Categorical(jnp.asarray(LOGITS) + 100.0)
    log_probs = [categorical.log_prob(jnp.array(i)) for i in range(4)]
    np.testing.assert_allclose(log_probs, np.log(PROBABILITIES), rtol=1e-4)
    assert float(categorical.entropy()) == pytest.approx(stats.entropy(PROBABILITIES), rel=1e-5)
    assert int(categorical.mode()) == 2


def test_categorical_samples_have_the_given_frequencies():
    counts = np.bincount(draws(Categorical(jnp.asarray(LOGITS)), 10_000), minlength=4)
    assert stats.chisquare(counts, 10_000 * PROBABILITIES).pvalue > 1e-3


def test_a_mask_leaves_only_what_is_allowed():
    masked = Categorical(jnp.asarray(LOGITS), jnp.asarray(MASK))
    allowed = PROBABILITIES * MASK / (PROBABILITIES * MASK).sum()
    counts = np.bincount(draws(masked, 10_000), minlength=4)
    assert not counts[~MASK].any()
    assert stats.chisquare(counts[MASK], 10_000 * allowed[MASK]).pvalue > 1e-3
    np.testing.assert_allclose(jnp.exp(masked.log_probs), allowed, rtol=1e-5, atol=1e-30)
    assert float(masked.entropy()) == pytest.approx(stats.entropy(allowed), rel=1e-5)
    assert int(masked.mode()) == 0


@pytest.mark.parametrize("quantity", ["log_prob", "entropy"])
def test_gradients_through_a_mask_are_finite(quantity):
    def value(logits):
        masked = Categorical(logits, jnp.asarray(MASK))
        return masked.entropy() if quantity == "entropy" else masked.log_prob(jnp.array(0))

    gradient = np.asarray(jax.grad(value)(jnp.asarray(LOGITS)))
    assert np.isfinite(gradient).all() and not gradient[~MASK].any() and gradient[MASK].all()


OUTSIDE = [
    (Categorical(jnp.asarray(LOGITS)), [-1, 4]),
    (Categorical(jnp.asarray(LOGITS), start=-3), [-4, 1]),
    (MultiCategorical(jnp.asarray(LOGITS), (2, 2)), [[0, 2], [-1, 0], [2, 2]]),
    (Bernoulli(jnp.asarray(LOGITS)), [[0, 1, 2, 0], [-1, 0, 0, 0]]),
]


@pytest.mark.parametrize(("made", "values"), OUTSIDE, ids=lambda one: type(one).__name__)
def test_what_is_none_of_the_choices_has_no_probability(made, values):
    for value in jnp.asarray(values):
        slopes = jax.grad(lambda made, value: made.log_prob(value))(made, value)
        assert float(made.log_prob(value)) == -np.inf and float(made.prob(value)) == 0
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))


def test_whole_numbers_are_parameters_too():
    numbers, mask = jnp.array([1, 2, 3, 0]), jnp.asarray(MASK)
    for make in (
        lambda row: Categorical(row, mask),
        lambda row: Categorical(probs=row),
        lambda row: MultiCategorical(row, (2, 2), mask),
        lambda row: Bernoulli(row, mask),
        lambda row: Bernoulli(probs=row // 2),
    ):
        np.testing.assert_array_equal(draws(make(numbers), 5), draws(make(numbers.astype(jnp.float32)), 5))


def test_choices_that_begin_elsewhere_are_the_same_ones():
    one, other = Categorical(jnp.asarray(LOGITS)), Categorical(jnp.asarray(LOGITS), start=-3)
    np.testing.assert_array_equal(draws(one, 50), draws(other, 50) + 3)
    assert int(other.mode()) == int(one.mode()) - 3
    for i in range(4):
        assert float(other.log_prob(jnp.array(i - 3))) == float(one.log_prob(jnp.array(i)))


NVEC = (2, 1, 3)
SIX = np.array([0.3, -1.2, 2.0, 0.0, 0.7, -0.4])
SIX_ALLOWED = np.array([True, True, True, False, True, True])


@pytest.mark.parametrize("mask", [None, SIX_ALLOWED], ids=["all", "some"])
def test_several_choices_are_as_probable_as_each_of_them_together(mask):
    """Held against the table of all combinations, whose probabilities are products."""
    several = MultiCategorical(jnp.asarray(SIX), NVEC, None if mask is None else jnp.asarray(mask))
    weights = np.split(np.exp(SIX) * (1 if mask is None else mask), [2, 3])
    table = np.einsum("i,j,k->ijk", *(row / row.sum() for row in weights))
    places = [place for place in np.ndindex(NVEC) if table[place] > 0]
    chances = np.array([table[place] for place in places])
    found = jax.vmap(several.log_prob)(jnp.asarray(places))
    np.testing.assert_allclose(found, np.log(chances), rtol=1e-4)
    assert float(several.entropy()) == pytest.approx(stats.entropy(chances), rel=1e-5)
    assert tuple(several.mode().tolist()) == np.unravel_index(table.argmax(), NVEC)
    samples = [tuple(row) for row in draws(several, 5000).tolist()]
    counts = [samples.count(place) for place in places]
    assert sum(counts) == 5000 and stats.chisquare(counts, 5000 * chances).pvalue > 1e-3


def test_bernoulli_variables_are_scipys():
    logits = np.array([[0.5, -2.0, 3.0], [0.0, 1.0, -0.1]])
    reference, bernoulli = stats.bernoulli(1 / (1 + np.exp(-logits))), Bernoulli(jnp.asarray(logits))
    value = np.array([[1, 0, 0], [1, 1, 0]])
    log_prob = float(bernoulli.log_prob(jnp.asarray(value)))
    assert log_prob == pytest.approx(reference.logpmf(value).sum(), rel=1e-5)
    assert float(bernoulli.entropy()) == pytest.approx(reference.entropy().sum(), rel=1e-5)
    np.testing.assert_array_equal(bernoulli.mode(), logits > 0)
    counts = draws(bernoulli, 4000).sum(0)
    for index in np.ndindex(2, 3):
        assert stats.binomtest(int(counts[index]), 4000, reference.mean()[index]).pvalue > 1e-3


def test_a_mask_of_ones_leaves_the_others_zero():
    logits, mask = jnp.array([5.0, -5.0, 0.5]), jnp.array([False, True, True])
    masked = Bernoulli(logits, mask)
    assert not draws(masked, 200)[:, 0].any() and masked.mode().tolist() == [0, 0, 1]
    rest = stats.bernoulli(1 / (1 + np.exp(-np.asarray(logits[1:]))))
    wanted = rest.logpmf([1, 0]).sum()
    assert float(masked.log_prob(jnp.array([0, 1, 0]))) == pytest.approx(wanted, rel=1e-5)
    assert float(masked.entropy()) == pytest.approx(rest.entropy().sum(), rel=1e-5)
    for value in (lambda x: Bernoulli(x, mask).entropy(), lambda x: Bernoulli(x, mask).log_prob(mask * 1)):
        gradient = np.asarray(jax.grad(value)(logits))
        assert np.isfinite(gradient).all() and gradient[0] == 0 and gradient[1:].all()


def test_normal_log_density_and_entropy_are_of_the_whole_array():
    normal = Normal(jnp.asarray(LOC), jnp.asarray(LOG_SCALE))
    value = np.array([[0.0, -2.5], [1.0, 3.0]])
    reference = stats.norm(LOC, np.exp(LOG_SCALE))
    log_prob = float(normal.log_prob(jnp.asarray(value)))
    assert log_prob == pytest.approx(reference.logpdf(value).sum(), rel=1e-5)
    assert float(normal.entropy()) == pytest.approx(reference.entropy().sum(), rel=1e-5)
    np.testing.assert_array_equal(normal.mode(), LOC.astype(np.float32))


def test_normal_samples_have_the_given_distribution():
    samples = draws(Normal(jnp.asarray(LOC), jnp.asarray(LOG_SCALE)), 5000)
    for index in np.ndindex(2, 2):
        reference = stats.norm(LOC[index], np.exp(LOG_SCALE[index]))
        assert stats.kstest(samples[:, *index], reference.cdf).pvalue > 1e-3
    assert np.abs(np.corrcoef(samples.reshape(-1, 4).T) - np.eye(4)).max() < 0.06  # four standard errors


@pytest.mark.parametrize("spread", [0.1, 1.0, 8.0])
def test_squashed_log_density_is_that_of_a_change_of_variables(spread):
    loc, scale = np.array([0.5, -2.0, 0.0]), spread * np.array([0.3, 1.0, 2.0])
    distribution = SquashedNormal(jnp.asarray(loc), jnp.log(jnp.asarray(scale)))
    noise = np.random.default_rng(0).normal(size=(200, 3))
    actions, log_probs = jax.vmap(distribution.action_and_log_prob)(jnp.asarray(noise))
    before = loc + scale * noise
    log_slope = np.log(4) - 2 * np.logaddexp(before, -before)  # of 1 / cosh(u)^2, the slope of tanh
    expected = (stats.norm(loc, scale).logpdf(before) - log_slope).sum(-1)
    np.testing.assert_allclose(log_probs, expected, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(actions, np.tanh(before), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(actions, jax.vmap(distribution.action)(jnp.asarray(noise)))
    inside = (np.abs(before) < 3).all(-1)
    assert inside.any()
    again = jax.vmap(distribution.log_prob)(actions[inside])
    np.testing.assert_allclose(again, expected[inside], rtol=1e-3, atol=2e-3)


def test_squashed_density_integrates_to_one():
    distribution = SquashedNormal(jnp.array([0.7]), jnp.array([-0.3]))
    grid = np.linspace(-0.9999, 0.9999, 20_001)
    density = np.exp(jax.vmap(distribution.log_prob)(jnp.asarray(grid)[:, None]))
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=1e-3)


def test_squashed_samples_have_the_given_distribution():
    samples = draws(SquashedNormal(jnp.asarray(LOC), jnp.asarray(LOG_SCALE)), 5000)
    assert (np.abs(samples) <= 1).all()
    for index in [(0, 0), (0, 1), (1, 1)]:  # tanh(3) is too close to 1 for float32
        cdf = stats.norm(LOC[index], np.exp(LOG_SCALE[index])).cdf
        assert stats.kstest(samples[:, *index], lambda a, cdf=cdf: cdf(np.arctanh(a))).pvalue > 1e-3
    mode = SquashedNormal(jnp.asarray(LOC), jnp.asarray(LOG_SCALE)).mode()
    np.testing.assert_allclose(mode, np.tanh(LOC), rtol=1e-6)


@pytest.mark.parametrize("loc", [0.0, 5.0, -30.0, 1000.0])
def test_squashed_gradients_are_finite_and_exact_far_out(loc):
    """That of the noise less log scale and less log(1 - tanh(u)^2), whose slope by u is -2 tanh(u)."""

    def log_prob(parameters, noise):
        return SquashedNormal(*parameters).action_and_log_prob(noise)[1]

    noise, scale = jnp.array([1.5]), np.exp(0.5)
    by_loc, by_scale = jax.grad(log_prob)((jnp.array([loc]), jnp.array([0.5])), noise)
    slope = 2 * np.tanh(loc + scale * 1.5)
    np.testing.assert_allclose(by_loc, [slope], rtol=1e-5)
    np.testing.assert_allclose(by_scale, [-1 + slope * scale * 1.5], rtol=1e-5)


def test_a_bound_itself_has_a_finite_density():
    distribution = SquashedNormal(jnp.zeros(2), jnp.zeros(2))
    value, gradient = jax.value_and_grad(lambda a: distribution.log_prob(a))(jnp.array([1.0, -1.0]))
    assert np.isfinite(value) and np.isfinite(gradient).all()


def test_the_entropy_of_a_squashed_gaussian_is_not_made_up():
    with pytest.raises(NotImplementedError, match="average -action_and_log_prob"):
        SquashedNormal(jnp.zeros(2), jnp.zeros(2)).entropy()


@pytest.mark.parametrize("scale", [1.0, 200.0])
def test_gradients_of_a_certain_choice_are_finite(scale):
    logits = jnp.array([scale, 0.0, -scale])
    for value in (lambda x: Categorical(x).entropy(), lambda x: Categorical(x).log_prob(jnp.array(2))):
        assert np.isfinite(jax.grad(value)(logits)).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda s: Categorical(s * LOGITS),
        lambda s: MultiCategorical(s * LOGITS, (1, 3)),
        lambda s: Bernoulli(s * LOC),
        lambda s: Normal(s * LOC, s * LOG_SCALE),
        lambda s: SquashedNormal(s * LOC, s * LOG_SCALE),
    ],
)
def test_noise_does_not_depend_on_the_parameters(make):
    """So that the loop may draw it for a whole rollout before the first action is known."""
    one, other = make(jnp.array(1.0)), make(jnp.array(3.0))
    np.testing.assert_array_equal(one.noise(key=jr.key(5)), other.noise(key=jr.key(5)))
    np.testing.assert_array_equal(one.sample(key=jr.key(5)), one.action(one.noise(key=jr.key(5))))
