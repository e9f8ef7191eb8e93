"""Aggregates of runs and their intervals, against rliable, SciPy, slow code and published tables."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from lerax.errors import SettingError
from lerax.study import statistics
from lerax.study.statistics import interval, iqm, mean, median, probability_of_improvement, profile

# Three tasks, ten and eight runs, in quarters, so that some are equal.
X = [
    [1.0, 0.5, 1.0, 0.75, 1.0, 1.25, 0.0, 1.0, 1.0, 0.75],
    [2.25, 1.5, 3.25, 2.5, 1.0, 0.75, 0.75, 0.75, 1.75, 2.0],
    [2.5, 1.5, 2.25, 3.5, 3.0, 2.25, 0.25, 3.5, -0.75, 3.25],
]
Y = [
    [0.5, 0.75, 1.25, 1.25, 0.5, 0.5, 1.0, 0.5],
    [2.0, 3.5, 3.25, 2.5, 2.5, 3.25, 4.5, 2.5],
    [2.25, 2.5, 2.75, 3.75, 5.75, 3.75, 4.75, 4.5],
]
TAUS = np.arange(0, 5, 0.5)
# What rliable 1.2.0 says of them, intervals by 50,000 and 20,000 repetitions.
RLIABLE = {mean: (1.5333333333333332, 1.18333333, 1.85), iqm: (1.390625, 1.046875, 1.765625)}
RLIABLE_MEDIAN = 1.65
RLIABLE_IMPROVEMENT = (0.28750000000000003, 0.16458333, 0.41875)
RLIABLE_PROFILE = [0.93333333, 0.86666667, 0.5, 0.4, 0.33333333, 0.16666667, 0.13333333, 0.0, 0.0, 0.0]
RLIABLE_BAND = (
    [0.83333333, 0.73333333, 0.36666667, 0.26666667, 0.2, 0.06666667, 0.03333333, 0.0, 0.0, 0.0],
    [1.0, 0.96666667, 0.63333333, 0.53333333, 0.46666667, 0.3, 0.26666667, 0.0, 0.0, 0.0],
)
NOISE = 0.035  # of an interval's ends, by that of quantiles: they lie between a few values


@pytest.mark.parametrize("statistic", RLIABLE, ids=lambda statistic: statistic.__name__)
def test_aggregates_are_those_of_rliable(statistic):
    value, low, high = RLIABLE[statistic]
    assert statistic(X) == pytest.approx(value, abs=1e-12)
    assert interval(statistic, X) == pytest.approx((low, high), abs=NOISE)


def test_the_median_is_that_of_the_tasks_and_of_one_task_that_of_its_runs():
    assert median(X) == pytest.approx(RLIABLE_MEDIAN, abs=1e-12)
    assert median(X[:1]) == np.median(X[0]) != np.mean(X[0])


def test_improvement_and_profile_are_those_of_rliable():
    value, low, high = RLIABLE_IMPROVEMENT
    assert probability_of_improvement(X, Y) == pytest.approx(value, abs=1e-12)
    assert interval(probability_of_improvement, X, Y) == pytest.approx((low, high), abs=0.015)
    np.testing.assert_allclose(profile(X, TAUS), RLIABLE_PROFILE, atol=1e-8)
    np.testing.assert_allclose(statistics.profile_band(X, TAUS), RLIABLE_BAND, atol=NOISE)


def test_rliable_itself_says_the_same():
    """Where it is installed."""
    metrics = pytest.importorskip("rliable.metrics")
    random = np.random.default_rng(3)
    x, y = random.normal(size=(7, 4)), random.normal(0.3, size=(9, 4))
    assert iqm(x.T) == pytest.approx(metrics.aggregate_iqm(x), abs=1e-12)
    assert mean(x.T) == pytest.approx(metrics.aggregate_mean(x), abs=1e-12)
    assert median(x.T) == pytest.approx(metrics.aggregate_median(x), abs=1e-12)
    improved = metrics.probability_of_improvement(x, y)
    assert probability_of_improvement(x.T, y.T) == pytest.approx(improved, abs=1e-12)


@pytest.mark.parametrize("runs", range(1, 10))
def test_the_interquartile_mean_is_scipys(runs: int):
    values = np.random.default_rng(runs).normal(size=runs)
    assert iqm([values]) == pytest.approx(stats.trim_mean(values, 0.25), abs=1e-12)


def test_improvement_is_that_of_mann_and_whitney():
    """Over all pairs, with tasks of different numbers of runs."""
    x, y = [X[0], X[1][:4]], [Y[0][:3], Y[1]]
    slow = [
        sum(Fraction(a > b) + Fraction(a == b, 2) for a, b in itertools.product(*task))
        / len(task[0])
        / len(task[1])
        for task in zip(x, y, strict=True)
    ]
    u = [stats.mannwhitneyu(*task).statistic / len(task[0]) / len(task[1]) for task in zip(x, y, strict=True)]
    assert probability_of_improvement(x, y) == pytest.approx(float(sum(slow) / 2), abs=1e-12)
    assert probability_of_improvement(x, y) == pytest.approx(np.mean(u), abs=1e-12)
    assert probability_of_improvement(x, x) == 0.5


def test_an_interval_is_that_of_all_ways_to_draw():
    """Of three runs there are 27, as likely as each other."""
    task = [0.0, 1.0, 5.0]
    means = [np.mean(drawn) for drawn in itertools.product(task, repeat=3)]
    for confidence in (0.5, 0.8, 0.9):
        tails = [(1 - confidence) / 2, (1 + confidence) / 2]
        wanted = np.quantile(means, tails, method="inverted_cdf")
        found = interval(mean, [task], confidence=confidence, repetitions=100_000)
        np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_an_interval_holds_the_mean_as_often_as_it_says():
    """Of normal scores, up to what the bootstrap of 20 runs is known to lack of it."""
    random = np.random.default_rng(0)
    held = 0
    for seed in range(400):
        low, high = interval(mean, [random.normal(size=20)], repetitions=500, seed=seed)
        held += low <= 0.0 <= high
    assert 0.89 <= held / 400 <= 0.97


def test_an_interval_is_drawn_task_by_task_and_is_the_same_each_time():
    far = [[0.0, 0.0, 0.0], [9.0, 9.0, 9.0, 9.0]]  # drawn across tasks, it would be wide
    assert interval(mean, far) == (4.5, 4.5)
    assert interval(iqm, X, repetitions=500) == interval(iqm, X, repetitions=500)
    assert interval(iqm, X, repetitions=500) != interval(iqm, X, repetitions=500, seed=1)


def test_along_a_curve_whole_runs_are_drawn():
    """So that the interval at a point is that of its scores alone, and two equal points have the same."""
    curves = np.array([X[1], X[1], X[2]])
    low, high = interval(iqm, [curves], repetitions=400)
    assert low.shape == high.shape == (3,) and low[0] == low[1] and high[0] == high[1]
    assert (low[2], high[2]) == interval(iqm, [X[2]], repetitions=400)
    np.testing.assert_allclose(iqm([curves]), [iqm([row]) for row in curves])


def test_blocks_of_repetitions_change_nothing_of_note(monkeypatch: pytest.MonkeyPatch):
    whole = interval(probability_of_improvement, X, Y, repetitions=5000)
    monkeypatch.setattr(statistics, "BLOCK", 80 * 7)
    assert interval(probability_of_improvement, X, Y, repetitions=5000) == pytest.approx(whole, abs=0.02)


def test_one_run_has_no_interval():
    assert np.isnan(interval(mean, [[1.0]])).all()
    assert np.isnan(interval(probability_of_improvement, X[:1], [[1.0]])).all()
    assert np.isnan(statistics.welch(X[:1], [[1.0]]).p) and statistics.runs_needed(X[:1], [[1.0]]) is None


@pytest.mark.parametrize("scores", [[], [[]], [[1.0], []], [1.0]])
def test_no_scores_are_refused(scores):
    with pytest.raises(SettingError, match="at least one run"):
        iqm(scores)


def test_welch_is_scipys():
    for x, y in ((X[0], Y[0]), (X[1], Y[1][:3]), (X[2], Y[2])):
        found = statistics.welch([x], [y])
        assert found.p == pytest.approx(stats.ttest_ind(x, y, equal_var=False).pvalue, rel=1e-9)
        assert found.difference == pytest.approx(np.mean(x) - np.mean(y))


def test_scores_without_deviation():
    """As where every run solves its task: what is equal cannot be told apart, what is not, at once."""
    best = [[500.0] * 3]
    assert statistics.welch(best, best) == (0.0, 1.0) and statistics.runs_needed(best, best) is None
    assert statistics.welch(best, [[499.0] * 4]) == (1.0, 0.0)
    assert statistics.runs_needed(best, [[499.0] * 4]) == 2


@pytest.mark.parametrize(("effect", "runs"), [(0.2, 394), (0.5, 64), (0.8, 26)])
def test_runs_needed_are_those_of_published_tables(effect: float, runs: int):
    """Of Cohen (1992), "A Power Primer", table 2, for two means: 393, 64, 26; exactly it is 394."""
    x = np.array([-1.0, 0.0, 1.0])  # whose deviation is 1
    assert statistics.runs_needed([x], [x + effect]) == statistics.runs_needed([x + effect], [x]) == runs


def test_so_many_runs_tell_them_apart_as_often_as_is_said():
    """By trying, with two tasks and deviations of which none is that of another."""
    x, y = [[0.0, 1.0, 2.0], [0.0, 3.0, 6.0]], [[1.0, 1.5, 2.0], [1.0, 3.0, 8.0]]
    runs = statistics.runs_needed(x, y)
    assert runs is not None
    random, times = np.random.default_rng(1), 1000
    draw = lambda task: random.normal(np.mean(task), np.std(task, ddof=1), runs)
    found = [statistics.welch([*map(draw, x)], [*map(draw, y)]).p < 0.05 for _ in range(times)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.04)


def test_what_would_take_too_many_runs_is_not_counted():
    assert statistics.runs_needed([[0.0, 1.0]], [[0.001, 1.001]], most=100) is None
