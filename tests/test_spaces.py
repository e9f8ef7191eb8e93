"""Spaces: what they contain, and what they draw."""

import re

import gymnasium
import jax
import numpy as np
import pytest
from gymnasium.spaces.utils import flatdim, flatten
from jax import numpy as jnp
from jax import random as jr
from scipy import stats

from lerax.space import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple, to_gymnasium

INF = np.inf
MIXED = Box(low=[-1.0, -INF, 2.0, -INF], high=[3.0, INF, INF, -5.0])


def draws(space, count):
    return np.asarray(jax.vmap(lambda key: space.sample(key=key))(jr.split(jr.key(0), count)))


def test_a_box_draws_as_gymnasiums_does():
    """Uniform where bounded, Gaussian where free, a shifted exponential where bounded on one side."""
    uniform, normal, above, below = draws(MIXED, 4000).T
    assert stats.kstest(uniform, stats.uniform(-1, 4).cdf).pvalue > 1e-3
    assert stats.kstest(normal, stats.norm.cdf).pvalue > 1e-3
    assert stats.kstest(above - 2, stats.expon.cdf).pvalue > 1e-3
    assert stats.kstest(-5 - below, stats.expon.cdf).pvalue > 1e-3


def test_a_box_with_huge_bounds_draws_finite_values_inside_them():
    space = Box([-3e38, -3.4e38, 0.1, 3e38, -INF], [3e38, 3.4e38, 0.1, INF, -3.4e38])
    values = draws(space, 1000)
    low, high = space.bounds
    assert np.isfinite(values).all() and (values >= low).all() and (values <= high).all()
    assert (values[:, :2] > 1e38).any(0).all() and (values[:, :2] < -1e38).any(0).all()


def test_a_box_contains_what_gymnasiums_contains():
    reference = gymnasium.spaces.Box(*(bound for bound in MIXED.bounds), dtype=np.float32)
    grid = [-2.0, -1.0, 0.0, 2.0, 3.0, 3.5, -5.0, -6.0, np.nan]
    rng = np.random.default_rng(0)
    values = np.vstack([rng.choice(grid, (2000, 4)), draws(MIXED, 100)]).astype(np.float32)
    ours = np.asarray(jax.vmap(MIXED.contains)(values))
    assert ours.tolist() == [reference.contains(value) for value in values]
    assert 100 <= ours.sum() < 2100


def test_a_box_does_not_contain_a_value_of_another_shape():
    assert not MIXED.contains(jnp.zeros(3)) and not Box(-1.0, 1.0).contains(jnp.zeros(1))


def test_a_box_clips_to_its_bounds():
    np.testing.assert_array_equal(MIXED.clip(jnp.array([9.0, 9.0, 0.0, 0.0])), [3.0, 9.0, 2.0, -5.0])


def test_a_box_broadcasts_its_bounds_and_flattens_its_values():
    box = Box(-1.0, [[1.0, 2.0, 3.0]], shape=(2, 3))
    assert (box.shape, box.flat_size) == ((2, 3), 6)
    np.testing.assert_array_equal(box.bounds[1], [[1, 2, 3]] * 2)
    np.testing.assert_array_equal(box.flatten(jnp.arange(6.0).reshape(2, 3)), np.arange(6.0))


@pytest.mark.parametrize("low, high", [(1.0, 0.0), ([0.0, 1.0], 0.5), (np.nan, 1.0), (0.0, np.nan)])
def test_a_box_upside_down_is_refused(low, high):
    with pytest.raises(ValueError, match="low must not exceed high"):
        Box(low, high)


def test_a_box_of_bytes_is_gymnasiums():
    low, high = np.array([[0, 3], [250, 7]]), np.array([[255, 5], [255, 8]])
    box, reference = Box(low, high, dtype=np.uint8), gymnasium.spaces.Box(low, high, dtype=np.uint8)
    assert box.dtype == reference.dtype and box.shape == reference.shape
    for ours, theirs in zip(box.bounds, (reference.low, reference.high), strict=True):
        np.testing.assert_array_equal(ours, theirs, strict=True)
    values = draws(box, 2000)
    assert values.dtype == np.uint8 and all(map(reference.contains, values))
    for index in np.ndindex(2, 2):
        counts = np.bincount(values[:, *index], minlength=256)[low[index] : high[index] + 1]
        assert counts.sum() == 2000 and stats.chisquare(counts).pvalue > 1e-3
    for value in (low.astype(np.float32), low.astype(np.uint8), np.zeros((2, 2), np.uint8)):
        assert bool(box.contains(jnp.asarray(value))) == reference.contains(value)
    assert box.flatten(jnp.asarray(low, jnp.uint8)).dtype == jnp.float32


def test_equal_bounds_of_a_picture_are_kept_as_one_number():
    box = Box(0, 255, shape=(84, 84, 4), dtype="uint8")
    assert (box.low, box.high) == ((0.0,), (255.0,))
    assert box.bounds[1].shape == (84, 84, 4) and (box.bounds[1] == 255).all()


@pytest.mark.parametrize(
    "bounds, dtype, said",
    [
        ((0, 256), np.uint8, "bounds of bytes are whole numbers from 0 to 255"),
        ((-1, 5), np.uint8, "bounds of bytes"),
        ((0.5, 5), np.uint8, "bounds of bytes"),
        ((0, np.inf), np.uint8, "bounds of bytes"),
        ((0, 1), np.float64, "dtype: not a dtype of boxes .*allowed: float32, uint8"),
    ],
)
def test_numbers_that_a_dtype_does_not_hold_are_refused(bounds, dtype, said):
    with pytest.raises(ValueError, match=said):
        Box(*bounds, dtype=dtype)


def test_a_discrete_space_draws_each_of_its_numbers_equally_often():
    counts = np.bincount(draws(Discrete(7), 7000), minlength=7)
    assert counts.size == 7 and stats.chisquare(counts).pvalue > 1e-3


def test_a_discrete_space_contains_its_numbers_only():
    space = Discrete(3)
    assert [bool(space.contains(jnp.array(i))) for i in (-1, 0, 2, 3)] == [False, True, True, False]
    np.testing.assert_array_equal(space.flatten(jnp.array(1)), [0, 1, 0])
    assert (space.shape, space.flat_size) == ((), 3)


@pytest.mark.parametrize("n", [0, -2])
def test_a_discrete_space_without_numbers_is_refused(n):
    with pytest.raises(ValueError, match="n must be at least 1"):
        Discrete(n)


CHOICES = {
    "Discrete(4)": Discrete(4),
    "Discrete(4, start=-2)": Discrete(4, start=-2),
    "MultiDiscrete((3, 1, 2))": MultiDiscrete([3, 1, 2]),
    "MultiBinary(4)": MultiBinary(4),
    "MultiBinary((2, 3))": MultiBinary((2, 3)),
}
NESTED = Dict(
    {"z": Box(-1.0, 1.0, (2,)), "a": Tuple((*CHOICES.values(), Dict({"x": Box(0, 9, (2,), "uint8")})))}
)


@pytest.mark.parametrize("text", CHOICES)
def test_choices_are_gymnasiums(text):
    """What is in the space and what is not, and what is flattened; every value is drawn equally often."""
    space = CHOICES[text]
    theirs = to_gymnasium(space)
    assert repr(space) == text and space.flat_size == flatdim(theirs) and space.shape == theirs.shape
    rng = np.random.default_rng(0)
    values = rng.integers(-4, 5, (300, *space.shape)).astype(np.int32)
    values = np.concatenate([values, draws(space, 100)])
    inside = np.asarray(jax.vmap(space.contains)(values))
    assert inside.tolist() == [theirs.contains(value.astype(theirs.dtype)) for value in values]
    assert inside[300:].all() and not inside[:300].all() and values.dtype == np.int32
    flat = np.asarray(jax.vmap(space.flatten)(values))
    np.testing.assert_array_equal(
        flat[inside], [flatten(theirs, v.astype(theirs.dtype)) for v in values[inside]]
    )
    assert np.isnan(flat[~inside]).all()
    assert not space.contains(jnp.zeros((7,), jnp.int32))
    one = jnp.asarray(draws(space, 3000)).reshape(3000, -1)
    for column, low, high in zip(one.T, *map(np.ravel, space.bounds), strict=True):
        counts = np.bincount(column - low, minlength=high - low + 1)
        assert counts.size == high - low + 1 and (counts.size == 1 or stats.chisquare(counts).pvalue > 1e-3)


def test_what_is_made_of_several_parts_is_gymnasiums():
    theirs = to_gymnasium(NESTED)
    value = NESTED.sample(key=jr.key(0))
    given = jax.tree.map(np.asarray, value)
    given["a"] = tuple(
        one if isinstance(one, dict) else one.astype(part.dtype)
        for one, part in zip(given["a"], theirs["a"].spaces, strict=True)
    )
    assert theirs.contains(given) and NESTED.contains(value)
    np.testing.assert_array_equal(NESTED.flatten(value), np.float32(flatten(theirs, given)))
    assert NESTED.flat_size == flatdim(theirs) == NESTED.flatten(value).size
    for wrong in (
        {"z": value["z"]},
        value | {"more": value["z"]},
        value | {"z": value["z"] + 3},
        value | {"a": value["a"][:-1]},
        value | {"a": [*value["a"]]},
        value["a"],
    ):
        assert not NESTED.contains(wrong)
    assert theirs.contains(given | {"z": given["z"] + 3}) is False
    with pytest.raises(TypeError, match="value: must be a dict of a, z"):
        NESTED.flatten(value["a"])


def test_parts_are_found_by_name_and_place_and_have_the_only_shapes():
    assert NESTED["z"] == Box(-1.0, 1.0, (2,)) and NESTED["a"][0] == Discrete(4)
    assert NESTED.names == ("a", "z") and repr(Tuple([Discrete(2)])) == "Tuple((Discrete(2),))"
    assert (
        repr(Dict({"b": Discrete(2), "a": MultiBinary(1)})) == "Dict({'a': MultiBinary(1), 'b': Discrete(2)})"
    )
    with pytest.raises(TypeError, match="shape: values of several parts have none"):
        _ = NESTED.shape


@pytest.mark.parametrize(
    "make, said",
    [
        (
            lambda: Discrete(2, start=2**31 - 1),
            "an int32 does not hold its values (got n=2, start=2147483647)",
        ),
        (lambda: MultiDiscrete(()), "MultiDiscrete: needs counts of at least 1 (got ())"),
        (lambda: MultiDiscrete((2, 0)), "MultiDiscrete: needs counts of at least 1 (got (2, 0))"),
        (lambda: MultiDiscrete([[2, 2]]), "MultiDiscrete: needs one row of counts (got [[2, 2]])"),
        (lambda: MultiDiscrete((2, 2.5)), "MultiDiscrete: needs integers (got 2.5)"),
        (lambda: MultiBinary(0), "MultiBinary: needs lengths of at least 1 (got 0)"),
        (lambda: MultiBinary((2, True)), "MultiBinary: needs integers (got True)"),
        (lambda: Dict({}), "Dict: needs at least one space (got []); write Dict("),
        (lambda: Tuple(()), "Tuple: needs at least one space (got ()); write Tuple("),
    ],
)
def test_spaces_that_cannot_be_are_refused(make, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Discrete(3),
        lambda: Box([-1.0, -INF], [1.0, INF]),
        lambda: MultiDiscrete((2, 3)),
        lambda: MultiBinary((2, 3)),
        lambda: Dict({"a": Box(-1.0, 1.0), "b": Tuple((Discrete(3),))}),
    ],
)
def test_spaces_are_static_data(make):
    """Bounds that were leaves would be trained by the optimizer."""
    assert jax.tree.leaves(make()) == []
    assert make() == make() and hash(make()) == hash(make())


def test_spaces_that_differ_are_not_equal():
    one = [Discrete(3), Discrete(3, 1), MultiDiscrete((3,)), MultiDiscrete((3, 1)), MultiBinary(3)]
    several = [Tuple((Discrete(3),)), Dict({"a": Discrete(3)}), Dict({"b": Discrete(3)}), Tuple([*one])]
    spaces = [*one, MultiBinary((3, 1)), Tuple((Discrete(3), Discrete(3))), *several]
    assert len({*spaces}) == len(spaces)
