"""Trees: packing, ravelling, loops over modules with static parts, and whether something is traced."""

import equinox as eqx
import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr

from lerax import tree


class Counter(eqx.Module):
    count: jax.Array
    label: str
    step: int = eqx.field(static=True)


def a_tree(*batch):
    rng = np.random.default_rng(0)
    return {
        "float": jnp.asarray(rng.normal(size=(*batch, 3, 2)), jnp.float32),
        "half": jnp.asarray(rng.normal(size=(*batch, 2)), jnp.bfloat16),
        "scalar": jnp.asarray(rng.normal(size=batch), jnp.float32),
        "nothing": jnp.zeros((*batch, 0), jnp.float32),
        "integer": (jnp.asarray(rng.integers(-(2**31), 2**31, (*batch, 4)), jnp.int32), None),
        "word": jnp.asarray(rng.integers(0, 2**32, batch, np.uint32)),
        "flag": jnp.asarray(rng.random((*batch, 5)) < 0.5),
    }


def assert_same(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("batch", [(), (6,), (6, 2)])
def test_packing_gives_back_every_bit(batch):
    original = a_tree(*batch)
    packing = tree.Packing(original, batch_axes=len(batch))
    packed = packing.pack(original)
    assert {array.ndim for array in packed.values()} == {len(batch) + 1}
    assert len(packed) == len({leaf.dtype for leaf in jax.tree.leaves(original)})
    assert_same(packing.unpack(packed), original)


def test_unpacking_takes_numpy_arrays_and_other_leading_axes():
    stacked = a_tree(6)
    packing = tree.Packing(jax.tree.map(lambda leaf: leaf[0], stacked))
    packed = jax.vmap(packing.pack)(stacked)
    unpacked = packing.unpack({name: np.asarray(array) for name, array in packed.items()})
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(unpacked))
    assert_same(unpacked, stacked)


def test_packing_of_nothing():
    packing = tree.Packing([])
    assert packing.pack([]) == {} and packing.unpack({}) == []


def test_only_traced_values_are_traced():
    seen = []
    look = lambda x: seen.append(tree.is_traced(x)) or x
    closed_over = jnp.array(1.0)
    look(closed_over)
    look({"a": np.ones(2), "b": "text"})
    jax.vmap(look)(jnp.ones(2))
    jax.grad(look)(1.0)
    jax.jit(look)(1.0)
    jax.jit(lambda: look(closed_over))()
    jax.jit(lambda: seen.append(tree.is_traced()))()
    jax.lax.scan(lambda carry, _: (carry, seen.append(tree.is_traced())), 0.0, length=1)
    assert seen == [False, False, True, True, True, True, True, True]


def test_scan_keeps_static_parts():
    def step(counter, x):
        return Counter(counter.count + x, "never seen", counter.step), counter.count

    last, history = tree.scan(step, Counter(jnp.array(0), "label", 3), jnp.arange(4))
    assert (int(last.count), last.label, last.step) == (6, "label", 3)
    assert history.tolist() == [0, 0, 1, 3]


def test_where_selects_arrays_and_keeps_static_parts():
    yes, no = Counter(jnp.arange(2), "yes", 1), Counter(-jnp.arange(2), "no", 1)
    assert tree.where(jnp.array(True), yes, no).count.tolist() == [0, 1]
    chosen = tree.where(jnp.array(False), yes, no)
    assert chosen.count.tolist() == [0, -1] and chosen.label == "yes"


def test_copies_do_not_share_memory():
    original = Counter(jnp.arange(3), "label", 1)
    copy = tree.copy_arrays(original)
    jax.jit(lambda x: x + 1, donate_argnums=0)(copy.count)
    assert copy.count.is_deleted() and original.count.tolist() == [0, 1, 2]


def test_ravelling_takes_the_trainable_arrays_only():
    module = {"weights": jnp.ones((2, 3)), "count": jnp.arange(4), "name": "x", "bias": jnp.zeros(2)}
    vector, back = tree.ravel(module)
    assert vector.size == 8
    restored = back(2 * vector)
    assert restored["weights"].tolist() == [[2.0] * 3] * 2 and restored["name"] == "x"
    assert restored["count"].tolist() == [0, 1, 2, 3]


def test_strongly_typed_arrays_are_equal_but_not_weak():
    weak = jax.lax.add(1.0, 2.0)
    strong = tree.strongly_typed({"x": weak})["x"]
    assert weak.weak_type and not strong.weak_type
    assert (float(strong), strong.dtype) == (3.0, weak.dtype)


def test_keys_of_both_styles_become_typed():
    typed = tree.typed_key(jr.key(3))
    assert tree.typed_key(jr.PRNGKey(3)) == typed == jr.key(3)


@pytest.fixture
def counted():
    """A function of a tree, and a list with an item for each time that it was computed."""
    calls = []

    def note(x):
        calls.append(x)
        return np.asarray(x)

    def function(given):
        noted = jax.pure_callback(
            note, jax.ShapeDtypeStruct((), jnp.float32), given["x"], vmap_method="expand_dims"
        )
        return {"x": noted + 1, "y": given["y"] * 2}

    return function, calls


@pytest.mark.parametrize("lanes", [(), (4,), (2, 3)])
@pytest.mark.parametrize("needed", [(), (0,), (-1,), slice(None)])
def test_map_where_is_a_selection(counted, lanes, needed):
    function, _ = counted
    given = {"x": jnp.arange(1.0, 1.0 + np.prod(lanes)).reshape(lanes), "y": jnp.ones((*lanes, 2))}
    condition = np.zeros(lanes, bool)
    condition.reshape(-1)[list(needed) if isinstance(needed, tuple) else needed] = True
    mapped = lambda condition, given: tree.map_where(condition, function, given)
    for _ in lanes:
        mapped = jax.vmap(mapped)
    expected = {
        "x": np.where(condition, given["x"] + 1, given["x"]),
        "y": np.where(condition[..., None], given["y"] * 2, given["y"]),
    }
    assert_same(jax.jit(mapped)(condition, given), jax.tree.map(jnp.asarray, expected))
    assert_same(mapped(jnp.asarray(condition), given), jax.tree.map(jnp.asarray, expected))


def steps_with(function):
    """A scan whose steps change what is to be changed."""

    def step(given, condition):
        return tree.map_where(condition, function, given), None

    return lambda given, conditions: jax.lax.scan(step, given, conditions)[0]


def in_scan(function, given, conditions):
    mapped = jax.vmap(lambda given, condition: tree.map_where(condition, function, given))
    return jax.lax.scan(lambda given, condition: (mapped(given, condition), None), given, conditions)[0]


def around_scan(function, given, conditions):
    return jax.vmap(steps_with(function), in_axes=(0, 1))(given, conditions)


@pytest.mark.parametrize("loop", [in_scan, around_scan])
def test_map_where_computes_only_where_a_lane_needs_it(counted, loop):
    function, calls = counted
    given = {"x": jnp.zeros(3), "y": jnp.ones((3, 2))}
    conditions = np.zeros((10, 3), bool)
    conditions[[2, 5, 5], [0, 1, 2]] = True
    found = jax.jit(lambda *given: loop(function, *given))(given, conditions)
    np.testing.assert_array_equal(found["x"], [1, 1, 1])
    jax.effects_barrier()
    assert 0 < len(calls) <= 2 * 3, "computed in steps without a need"


def test_a_copy_on_the_host_outlives_what_it_was_made_of():
    """Keys, static parts and dtypes are those that were."""
    given = {"a": jnp.arange(3.0), "b": (jr.key(1), jnp.array(2, jnp.int8)), "c": "static", "d": None}
    kept = tree.HostCopy(given)
    assert sum(leaf.nbytes for leaf in kept.leaves) == 12 + 8 + 1
    jax.jit(lambda x: x + 1, donate_argnums=0)(given["a"])
    restored = kept.restored()
    assert restored["c"] == "static" and restored["d"] is None
    np.testing.assert_array_equal(restored["a"], [0.0, 1.0, 2.0])
    assert restored["b"][1].dtype == jnp.int8 and restored["b"][0] == jr.key(1)
