"""The checkpoints of a run: written on a thread of their own, kept, found again."""

import json
import os
import sys
import threading

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr
from toys import assert_bitwise_equal

from lerax import archive, checkpoint
from lerax.archive import CheckpointError
from lerax.checkpoints import Checkpoints
from lerax.errors import LossWarning

SEGMENT = 1000


@pytest.fixture(autouse=True)
def small_segments(monkeypatch):
    monkeypatch.setattr(archive.segments, "LARGEST_SEGMENT", SEGMENT)


def state_of(number, size=5000):
    """A state with an array of five segments, of which only the first changes from number to number."""
    ring = jnp.arange(size, dtype=jnp.uint8).at[:3].set(number)
    return {"ring": ring, "count": jnp.array(number), "key": jr.key(number), "host": np.array([0.5, number])}


BLANK = jax.eval_shape(lambda: {name: leaf for name, leaf in state_of(0).items() if name != "host"})
BLANK["host"] = np.zeros(2)


@pytest.fixture
def store(tmp_path):
    return Checkpoints(tmp_path / "checkpoints")


def saved(store, *steps, scores=None):
    for i, step in enumerate(steps):
        store.save(state_of(step), {"steps": step, "score": scores[i] if scores else None})
        assert store.wait(60), store.failures


def names(paths):
    return [int(path.stem) for path in paths]


def segments(store):
    return {path.name for path in (store.folder / "segments").iterdir()}


def test_what_was_saved_is_loaded(store):
    saved(store, 7)
    state, metadata, skipped = store.load_newest(BLANK)
    assert_bitwise_equal(state, state_of(7))
    assert (metadata, skipped) == ({"steps": 7, "score": None}, [])
    assert [path.name for path in store.all()] == ["000000000007.lerax"]
    assert store.newest() == store.at(7) == store.all()[0] and store.at(8) is store.best() is None
    assert checkpoint.check(store.newest()) == checkpoint.read_metadata(store.newest()) == metadata


def test_the_newest_and_the_best_are_kept_and_their_segments(store):
    saved(store, 1, 2, 3, 4, 5, scores=[1.0, 9.0, 3.0, float("-inf"), None])
    assert names(store.all()) == [2, 4, 5] and names([store.newest(), store.best()]) == [5, 2]
    for path in store.all():
        checkpoint.check(path)
    assert len(segments(store)) == 4 + 3  # the first of each


def test_only_segments_that_changed_are_written(store):
    saved(store, 1)
    before = {name: (store.folder / "segments" / name).stat().st_mtime_ns for name in segments(store)}
    assert len(before) == 5
    saved(store, 2)
    assert len(segments(store) - before.keys()) == 1
    assert all((store.folder / "segments" / name).stat().st_mtime_ns == at for name, at in before.items())
    assert store.newest().stat().st_size < 1500


def test_what_is_done_to_the_state_afterwards_does_not_matter(store):
    """As that JAX takes its memory for the next one."""
    state = state_of(1)
    gate = threading.Event()
    store.save(state, {"steps": 1}, before_publish=gate.wait)
    state["host"][:] = -1
    state["ring"].delete()
    gate.set()
    assert store.wait(60)
    assert_bitwise_equal(store.load_newest(BLANK)[0], state_of(1))


DTYPES = "bool int8 int16 int32 uint8 uint16 uint32 float16 bfloat16 float32 complex64 float8_e4m3fn".split()


def test_every_kind_of_array_comes_back(store):
    """Large ones, which are cut, and small ones, of none and of no dimension."""
    numbers = np.random.default_rng(0).integers(0, 2, (2, 600))
    parts = {"large": numbers, "small": numbers[0, :3], "one": numbers[0, 0], "none": numbers[:0]}
    state = {}
    for dtype in DTYPES:
        state |= {
            f"{dtype} {name}": jnp.asarray(part.astype(jnp.dtype(dtype))) for name, part in parts.items()
        }
    state |= {f"np {dtype}": numbers.astype(dtype) for dtype in (">f4", "int64", "float64", "bool")}
    state |= {"strided": np.arange(2000.0)[::-2], "scalar": np.float64(0.1), "number": 3, "nothing": None}
    for kind in ("threefry2x32", "rbg"):
        state |= {f"{kind} {n}": jr.split(jr.key(1, impl=kind), n) for n in (2, 200)}
    state["key"] = jr.key(2)
    store.save(state, {"steps": 1})
    assert store.wait(60) and len(segments(store)) > len(DTYPES)
    loaded, _, _ = store.load_newest(state)
    assert_bitwise_equal(loaded, state)
    for name, leaf in state.items():
        assert type(loaded[name]) is type(leaf) and getattr(loaded[name], "dtype", 0) == getattr(
            leaf, "dtype", 0
        )


def test_the_thread_that_writes_lets_others_go_first_and_holds_up_no_end(store):
    """P5."""
    seen = []

    def look():
        nice = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        seen.extend([nice, threading.current_thread().daemon])

    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    store.save(state_of(1), {"steps": 1}, before_publish=look)
    assert store.wait(60)
    assert seen == [min(own + 10, 19) if sys.platform == "linux" else own, True]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == own


def test_what_an_error_handler_breaks_is_its_own(store, monkeypatch):
    """Python says it, and the store goes on."""
    said = []
    monkeypatch.setattr(threading, "excepthook", lambda about: said.append(about.exc_value))
    store.on_error = lambda error: 1 / 0
    store.save(state_of(1), {"steps": 1}, before_publish=lambda: 1 / 0)
    with pytest.warns(LossWarning):
        assert not store.wait(60)
    saved(store, 2)
    assert names(store.all()) == [2] and isinstance(said[0], ZeroDivisionError)


def test_later_ones_of_an_earlier_try_do_not_push_out_newer_ones(store):
    """A run goes on from an older one where the newest is damaged."""
    saved(store, 1, 5, 9)
    store.at(9).write_bytes(b"damaged")
    saved(store, 6, 7, 8)
    assert names(store.all()) == [7, 8, 9]
    saved(store, 10)
    assert names(store.all()) == [9, 10]
    saved(store, 11)
    assert names(store.all()) == [10, 11] and len(segments(store)) == 4 + 2


def test_other_files_of_the_folder_are_none_of_its_business(store):
    saved(store, 1)
    others = [store.folder / name for name in ("1.lerax", "x.lerax", "000000000002.txt", "segments/README")]
    for path in others:
        path.touch()
    (store.folder / "000000000009.lerax").mkdir()
    saved(store, 2, 3, 4)
    assert names(store.all()) == [3, 4] and all(path.exists() for path in others)


def test_one_waits_and_a_newer_takes_its_place(store):
    gate, reached = threading.Event(), threading.Event()
    store.save(state_of(1), {"steps": 1}, before_publish=lambda: (reached.set(), gate.wait()))
    assert reached.wait(60) and store.all() == [], "nothing is to be seen before it is published"
    for step in (2, 3, 4):
        store.save(state_of(step), {"steps": step})
    assert not store.wait(0.01)
    gate.set()
    assert store.wait(60) and names(store.all()) == [1, 4]


def test_a_failure_is_said_and_what_there_was_stays(store):
    saved(store, 1)
    told = []
    store.on_error = told.append
    store.save(state_of(2), {"steps": 2}, before_publish=lambda: 1 / 0)
    with pytest.warns(LossWarning, match=r"checkpoint is not saved: .*000000000002.lerax.*division"):
        assert not store.wait(60)
    assert told == store.failures == [store.error] and isinstance(told[0].__cause__, ZeroDivisionError)
    assert names(store.all()) == [1] and len(segments(store)) == 5
    saved(store, 3)
    assert names(store.all()) == [1, 3] and store.error is None


def test_a_damaged_one_is_skipped(store):
    saved(store, 1, 2)
    store.newest().write_bytes(store.newest().read_bytes()[:-1])
    state, metadata, skipped = store.load_newest(BLANK)
    assert metadata["steps"] == 1 and [error.path.name for error in skipped] == ["000000000002.lerax"]
    assert_bitwise_equal(state, state_of(1))
    store.at(1).write_bytes(b"")
    with pytest.raises(CheckpointError, match="000000000002.lerax: damaged"):
        store.load_newest(BLANK)
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        Checkpoints(store.folder / "none").load_newest(BLANK)


def test_a_damaged_segment_is_written_again(store):
    """By another process, or when it was touched."""
    saved(store, 1)
    shared = sorted(segments(store))[-1]
    for other in (store, Checkpoints(store.folder)):
        (store.folder / "segments" / shared).write_bytes(bytes(SEGMENT))
        with pytest.raises(CheckpointError, match=f"segment {shared}"):
            checkpoint.check(store.newest())
        saved(other, 1)
        checkpoint.check(store.newest())


@pytest.mark.parametrize("metadata", [{}, {"steps": -1}, {"steps": True}, {"steps": 1.5}, {"steps": None}])
def test_steps_that_name_no_file_are_refused(store, metadata):
    with pytest.raises(ValueError, match=r"metadata\['steps'\]: must be a whole number"):
        store.save(state_of(0), metadata)


def test_metadata_that_are_no_json_are_refused_at_once(store):
    with pytest.raises(TypeError):
        store.save(state_of(0), {"steps": 1, "x": object()})
    assert json.dumps(store.all()) == "[]"


def test_copies_that_are_used_again_hold_what_is_new(store, monkeypatch):
    """Changes at random places and of the size, NaNs of other bits and signs of zero among them."""
    monkeypatch.setattr(archive.copies, "COMPARED", 64)
    random = np.random.default_rng(0)
    ring = random.bytes(5203)
    for step in range(1, 15):
        ring = bytearray(ring)
        for place in random.integers(0, len(ring), step % 3):
            ring[place] ^= 1 << random.integers(8)
        if step == 8:
            ring += bytes(4801)
        zeros = np.array([-0.0, 0.0, np.nan, -np.nan] * 100)[step % 4 :]
        state = {"ring": np.frombuffer(ring, np.uint8), "zeros": zeros}
        store.save(state, {"steps": step})
        assert store.wait(60), store.failures
        loaded, _, _ = store.load_newest(state)
        assert {name: array.tobytes() for name, array in loaded.items()} == {
            name: array.tobytes() for name, array in state.items()
        }


def test_what_has_not_changed_is_not_hashed_again(store, monkeypatch):
    hashed = []
    sha256 = archive.segments.hashlib.sha256

    def counted(data=b""):
        hashed.append(len(data))
        return sha256(data)

    def pieces():
        found, hashed[:] = sum(size == SEGMENT for size in hashed), []
        return found

    monkeypatch.setattr(archive.segments.hashlib, "sha256", counted)
    made = []
    for step in (1, 2, 3, 3):
        saved(store, step)
        made.append(pieces())
    store.release()
    saved(store, 4)
    assert [*made, pieces()] == [5, 1, 1, 0, 5]


def test_a_segment_that_is_gone_is_written_again_though_its_name_is_known(store):
    saved(store, 1)
    for path in (store.folder / "segments").iterdir():
        path.unlink()
    saved(store, 2)
    assert_bitwise_equal(store.load_newest(BLANK)[0], state_of(2))


def test_a_copy_that_is_still_written_is_left_alone(store):
    """Saves while one is written: it, and the last of those that wait, are the states of their time."""
    gate, begun = threading.Event(), threading.Event()
    store.save(state_of(1), {"steps": 1}, before_publish=lambda: begun.set() or gate.wait())
    assert begun.wait(60)
    for step in (2, 3, 4):
        store.save(state_of(step), {"steps": step})
    gate.set()
    assert store.wait(60)
    assert names(store.all()) == [1, 4]
    for path, step in zip(store.all(), (1, 4), strict=True):
        assert_bitwise_equal(checkpoint.load(path, BLANK), state_of(step))
