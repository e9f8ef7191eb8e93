"""Saved modules: whole and verified, or an error."""

import hashlib
import json
import os
import pickle
import struct

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr
from toys import Idle, arrays, assert_bitwise_equal

from lerax import checkpoint
from lerax.checkpoint import CheckpointError, MisfitError
from lerax.policy import MLPActorCriticPolicy


@pytest.fixture
def saved(policy, tmp_path):
    path = tmp_path / "policy.eqx"
    checkpoint.save(path, policy, {"env": "CartPole-v1", "steps": 3, "nested": {"a": [1, None]}})
    return path


@pytest.fixture
def other(env):
    """The same form with other numbers."""
    return MLPActorCriticPolicy(env=env, hidden_sizes=(8,), key=jr.key(9))


def test_what_was_saved_is_loaded(saved, policy, other):
    """P2: leaves matched by name."""
    loaded = checkpoint.load(saved, other)
    assert_bitwise_equal(loaded, policy)
    assert jax.tree.structure(loaded) == jax.tree.structure(policy)
    assert checkpoint.read_metadata(saved) == {"env": "CartPole-v1", "steps": 3, "nested": {"a": [1, None]}}


def test_a_policys_file_keeps_its_names(env, tmp_path):
    """Files of earlier runs are read by them."""
    policy = MLPActorCriticPolicy(env, hidden_sizes=(8,), normalize_observations=True, key=jr.key(0))
    checkpoint.save(tmp_path / "policy.eqx", policy, {})
    with open(tmp_path / "policy.eqx", "rb") as file:
        header = json.loads(file.read().split(b"\n", 2)[1])
    parts = [f"{part}[{i}]" for part in ("weights", "biases") for i in (0, 1)]
    networks = [f".{network}.{part}" for network in ("actor", "critic") for part in parts]
    statistics = [f".seen.{name}" for name in ("mean", "variance", "count")]
    assert [name for name, _, _ in header["leaves"]] == [*networks, *statistics]


def test_a_file_of_an_earlier_version_is_read(tmp_path):
    """Byte by byte what it has always been; a policy stays one file, however large it is."""
    header = b'{"leaves": [["[\'a\']", "float32", [2]]], "metadata": {"steps": 3}}\n'
    rest = header + struct.pack("<2f", 1.5, -2.0)
    whole = b"lerax-1 " + hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest
    (tmp_path / "old").write_bytes(whole)
    assert checkpoint.load(tmp_path / "old", {"a": jnp.zeros(2)})["a"].tolist() == [1.5, -2.0]
    assert checkpoint.check(tmp_path / "old") == {"steps": 3}
    checkpoint.save(tmp_path / "new", {"a": jnp.array([1.5, -2.0])}, {"steps": 3})
    assert (tmp_path / "new").read_bytes() == whole
    checkpoint.save(tmp_path / "large", np.zeros(2**23, np.uint8))
    assert (tmp_path / "large").stat().st_size > 2**23 and not (tmp_path / "segments").exists()


@pytest.mark.parametrize(
    "leaf",
    [
        jnp.array([1.5, -jnp.inf, jnp.nan], jnp.float32),
        jnp.arange(6, dtype=jnp.int8).reshape(2, 3),
        jnp.array([True, False]),
        jnp.array(2**32 - 1, jnp.uint32),
        jnp.array([1.25, -3.0], jnp.bfloat16),
        jnp.array([0.1], jnp.float16),
        jnp.zeros((0, 3)),
        jr.split(jr.key(5), 2),
    ],
    ids=lambda leaf: f"{leaf.dtype}{list(leaf.shape)}",
)
def test_every_kind_of_array_comes_back(tmp_path, leaf):
    tree = {"before": jnp.array(7.0), "leaf": leaf, "after": jnp.array(8.0), "static": "text"}
    checkpoint.save(tmp_path / "x", tree)
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    blank = jr.split(jr.key(0), leaf.shape) if is_key else jnp.zeros_like(leaf)
    like = {"before": jnp.array(0.0), "leaf": blank, "after": jnp.array(0.0), "static": "text"}
    loaded = checkpoint.load(tmp_path / "x", like)
    assert loaded["leaf"].dtype == leaf.dtype
    assert_bitwise_equal(loaded, tree)


@pytest.mark.parametrize(
    "leaf",
    [
        np.array([0.1, np.nan, 1e300]),
        np.arange(6, dtype=np.int64).reshape(2, 3)[:, ::-1],
        np.array([[True], [False]]),
        np.array([1.5], ">f4"),
        np.zeros((0, 3), np.uint8),
        np.array(2**60),
        np.float64(0.1),
        np.bool_(True),
    ],
    ids=lambda leaf: f"{type(leaf).__name__} {leaf.dtype}{list(leaf.shape)}",
)
def test_numpy_arrays_come_back_as_they_were(tmp_path, leaf):
    """As JAX's do; their types are NumPy's own, whatever JAX makes of 64 bits."""
    checkpoint.save(tmp_path / "x", {"before": jnp.array(7.0), "leaf": leaf, "number": 3})
    blank = np.zeros_like(leaf) if isinstance(leaf, np.ndarray) else type(leaf)(0)
    loaded = checkpoint.load(tmp_path / "x", {"before": jnp.array(0.0), "leaf": blank, "number": 4})
    assert type(loaded["leaf"]) is type(leaf) and loaded["leaf"].dtype == leaf.dtype
    assert loaded["leaf"].shape == leaf.shape and loaded["leaf"].tobytes() == leaf.tobytes()
    assert float(loaded["before"]) == 7.0 and loaded["number"] == 4
    if isinstance(leaf, np.ndarray):
        assert loaded["leaf"].flags.writeable


def test_python_objects_are_refused(tmp_path):
    """Their bytes would be addresses."""
    with pytest.raises(TypeError, match=r"\['a'\]: cannot be saved .*Python objects"):
        checkpoint.save(tmp_path / "x", {"a": np.array([{}, None])})
    assert not list(tmp_path.iterdir())


def test_a_whole_training_state_comes_back(env, policy, tmp_path):
    """P6: with it a run can go on."""
    state = Idle().run(Idle().init(env, policy, key=jr.key(0)), 20)
    checkpoint.save(tmp_path / "state", state)
    blank = Idle().run(Idle().init(env, policy, key=jr.key(1)), 10)
    assert_bitwise_equal(checkpoint.load(tmp_path / "state", blank), state)


def damaged(data, kind, rng):
    if kind == "a flipped bit":
        place = rng.integers(8 * len(data))
        flipped = bytearray(data)
        flipped[place // 8] ^= 1 << (place % 8)
        return bytes(flipped)
    return {
        "truncated": lambda: data[: rng.integers(1, len(data))],
        "trailing bytes": lambda: data + rng.bytes(rng.integers(1, 100)),
        "empty": lambda: b"",
        "random bytes": lambda: rng.bytes(1000),
        "a pickle": lambda: pickle.dumps({"a": 1}),
        "text": lambda: b"lerax-1 not a checkpoint",
        "two files": lambda: data + data,
        "a newer version": lambda: data.replace(b"lerax-1", b"lerax-2", 1),
        "a null byte": lambda: b"\0" + data,
    }[kind]()


@pytest.mark.parametrize(
    "kind, times",
    [
        ("a flipped bit", 200),
        ("truncated", 50),
        ("trailing bytes", 20),
        ("random bytes", 20),
        *[(kind, 1) for kind in ("empty", "a pickle", "text", "two files", "a newer version", "a null byte")],
    ],
)
def test_damage_is_an_error(saved, policy, kind, times):
    """P2: no flipped bit is loaded silently."""
    rng, data = np.random.default_rng(0), saved.read_bytes()
    for _ in range(times):
        saved.write_bytes(damaged(data, kind, rng))
        with pytest.raises(CheckpointError, match="policy.eqx"):
            checkpoint.load(saved, policy)
        with pytest.raises(CheckpointError, match="policy.eqx"):
            checkpoint.read_metadata(saved)


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


def test_loading_runs_no_code(tmp_path, policy, monkeypatch):
    """P2: there is no pickle in it, whatever the file says."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.eqx").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(CheckpointError):
        checkpoint.load(tmp_path / "policy.eqx", policy)
    assert not (tmp_path / "exploded").exists()


def test_another_shape_is_an_error_that_names_the_leaf(saved, env):
    wider = MLPActorCriticPolicy(env=env, hidden_sizes=(16,), key=jr.key(0))
    with pytest.raises(CheckpointError, match=r"\.actor.* does not fit .*16.*8"):
        checkpoint.load(saved, wider)


@pytest.mark.parametrize(
    "tree", [{"a": jnp.zeros(2)}, {"a": jnp.zeros(2), "b": jnp.zeros(2), "c": jnp.zeros(2)}]
)
def test_missing_and_superfluous_leaves_are_errors(tmp_path, tree):
    checkpoint.save(tmp_path / "x", {"a": jnp.ones(2), "b": jnp.ones(2)})
    with pytest.raises(CheckpointError, match=r"\['[bc]'\] does not fit .*nothing"):
        checkpoint.load(tmp_path / "x", tree)


def test_another_type_is_an_error(tmp_path):
    checkpoint.save(tmp_path / "x", {"a": jnp.ones(2, jnp.float32)})
    with pytest.raises(CheckpointError, match="int32.*float32"):
        checkpoint.load(tmp_path / "x", {"a": jnp.ones(2, jnp.int32)})


def test_a_file_that_is_not_there_is_an_ordinary_error(tmp_path, policy):
    with pytest.raises(FileNotFoundError):
        checkpoint.load(tmp_path / "nothing", policy)


def test_what_was_loaded_does_not_hang_on_the_file(saved, policy, other):
    loaded = checkpoint.load(saved, other)
    saved.write_bytes(struct.pack("d", 0.0))
    assert_bitwise_equal(arrays(loaded), arrays(policy))


def test_saving_over_an_older_file_replaces_it(saved, policy, other):
    checkpoint.save(saved, other)
    assert_bitwise_equal(checkpoint.load(saved, policy), other)
    assert [path.name for path in saved.parent.iterdir()] == ["policy.eqx"]


def test_a_number_that_was_an_array_is_an_error(tmp_path):
    checkpoint.save(tmp_path / "one", {"a": jnp.arange(3.0)})
    with pytest.raises(MisfitError, match=r"\['a'\] does not fit"):
        checkpoint.load(tmp_path / "one", {"a": jnp.array(0.0)})


def test_a_replay_buffer_with_time_and_environments_in_one_axis_is_read(tmp_path):
    """As files have it that were written before training could be divided."""
    rows = jnp.arange(24.0).reshape(6, 4)
    checkpoint.save(tmp_path / "old", {"rows": rows})
    loaded = checkpoint.load(tmp_path / "old", {"rows": jnp.zeros((3, 2, 4))})
    np.testing.assert_array_equal(loaded["rows"], np.arange(24.0).reshape(3, 2, 4))
    for other in ((2, 2, 4), (3, 2, 5), (24,)):
        with pytest.raises(MisfitError):
            checkpoint.load(tmp_path / "old", {"rows": jnp.zeros(other)})
