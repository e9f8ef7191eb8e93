"""Faults of backends: one warning that names them, and nothing else."""

import functools
import sys
import threading
import time
import warnings

import pytest
from jax import random as jr
from toys import Idle, assert_bitwise_equal, untimed

from lerax.algorithm import loop
from lerax.backend import BackendError, Dispatcher, dispatch
from lerax.callback import LoggingCallback, MemoryBackend, run_log
from lerax.callback.callback_list import as_callback

METHODS = "open on_training_start log_hparams log_phase log_scalars flush close".split()
ITERATIONS = 10


class Faulty(MemoryBackend):
    """Calls `fault` in one of its methods."""

    def __init__(self, method, fault):
        super().__init__()
        inner = getattr(self, method)

        def failing(*arguments):
            fault()
            return inner(*arguments)

        setattr(self, method, failing)


def broken():
    raise OSError("out of paper")


@pytest.fixture(scope="module")
def initial(algorithm, env, policy):
    return algorithm.init(env, policy, key=jr.key(1))


def train(algorithm, initial, backend):
    """The state and the records of a sound backend beside the one that is tested."""
    sound = MemoryBackend()
    with LoggingCallback([backend, sound], name="run") as logger:
        state = loop.run_from_host(algorithm, initial, as_callback(logger), ITERATIONS, chunk_length=1)
    assert sound.closed
    return state, untimed(sound.records)


@pytest.fixture(scope="module")
def expected(algorithm, initial):
    return train(algorithm, initial, MemoryBackend())


def assert_one_warning(caught, *words):
    (warning,) = [w for w in caught if "Faulty" in str(w.message)]
    assert all(word in str(warning.message) for word in words), warning.message
    assert len(caught) == 1


def test_logging_changes_no_parameter(algorithm, initial, expected):
    """What all faults below are held against is what training without any backend gives."""
    alone = loop.run_from_host(algorithm, initial, as_callback(None), ITERATIONS, chunk_length=1)
    assert_bitwise_equal(expected[0].policy, alone.policy)


@pytest.mark.parametrize("method", METHODS)
def test_a_backend_that_raises_is_one_warning(algorithm, initial, expected, method):
    """P1: final parameters bitwise equal, and all records in the other backends."""
    with pytest.warns(RuntimeWarning) as caught:
        state, records = train(algorithm, initial, Faulty(method, broken))
    assert_one_warning(caught, "OSError: out of paper")
    assert_bitwise_equal(state, expected[0])
    assert records == expected[1]


@pytest.mark.parametrize("method", METHODS)
def test_a_backend_that_exits_is_one_warning(algorithm, initial, expected, method):
    """`sys.exit` in a thread of its own would end that thread in silence."""
    with pytest.warns(RuntimeWarning) as caught:
        state, records = train(algorithm, initial, Faulty(method, functools.partial(sys.exit, "out of here")))
    assert_one_warning(caught, "SystemExit: out of here")
    assert_bitwise_equal(state, expected[0])
    assert records == expected[1]


@pytest.mark.parametrize("method", METHODS)
def test_a_backend_that_hangs_is_left_behind(algorithm, initial, expected, method, monkeypatch):
    """P5: after the given time, in the library as in the command."""
    if method == "open":
        monkeypatch.setattr(Dispatcher, "open", functools.partialmethod(Dispatcher.open, timeout=2.0))
    monkeypatch.setattr(run_log, "CLOSE_SECONDS", 2.0)  # the sound backend beside it needs a moment
    released = threading.Event()
    try:
        with pytest.warns(RuntimeWarning) as caught:
            state, records = train(algorithm, initial, Faulty(method, released.wait))
        assert_one_warning(caught)
        assert_bitwise_equal(state, expected[0])
        assert records == expected[1]
    finally:
        released.set()


def test_a_backend_that_hung_in_open_is_not_waited_for_again(monkeypatch):
    released = threading.Event()
    dispatcher = Dispatcher(Faulty("open", released.wait))
    try:
        with pytest.raises(BackendError, match="longer than 0.1 s"):
            dispatcher.open("run", timeout=0.1)
        dispatcher.finish()
        with monkeypatch.context() as patch:
            patch.setattr(dispatcher._closed, "wait", lambda *_: pytest.fail("waits again"))
            dispatcher.join(time.monotonic() + 1000)
    finally:
        released.set()


@pytest.mark.parametrize("method, ends", [("open", "longer than 0.1 s"), ("log_scalars", "left behind")])
def test_a_backend_that_is_left_behind_is_told_to_end_what_would_go_on(method, ends):
    told = threading.Event()
    backend = Faulty(method, told.wait)
    backend.abandon = told.set
    dispatcher = Dispatcher(backend)
    if method == "open":
        with pytest.raises(BackendError, match=ends):
            dispatcher.open("run", timeout=0.1)
    else:
        dispatcher.open("run")
        dispatcher.log_records([(1, {"x": 1.0})])
        dispatcher.finish()
        with pytest.warns(RuntimeWarning, match=ends):
            dispatcher.join(time.monotonic())
    assert told.is_set()


def test_a_slow_backend_changes_no_number(algorithm, initial, expected):
    """P1: training is over before the first of its records is written, and all of them are."""
    trained = threading.Event()
    slow = Faulty("log_scalars", trained.wait)
    with LoggingCallback([slow], name="run") as logger:
        state = loop.run_from_host(algorithm, initial, as_callback(logger), ITERATIONS, chunk_length=1)
        assert not slow.records
        trained.set()
    assert_bitwise_equal(state, expected[0])
    assert untimed(slow.records) == expected[1]


def test_faults_of_several_backends_are_a_warning_each(algorithm, initial, expected, monkeypatch):
    """Raising, hanging and failing to open, beside a sound one."""
    monkeypatch.setattr(run_log, "CLOSE_SECONDS", 2.0)
    released, sound = threading.Event(), MemoryBackend()
    faults = {
        "Raising": ("log_scalars", broken),
        "Hanging": ("close", released.wait),
        "Closed": ("open", broken),
    }
    backends = [type(name, (Faulty,), {})(*fault) for name, fault in faults.items()]
    try:
        with pytest.warns(RuntimeWarning) as caught:
            with LoggingCallback([*backends, sound], name="run") as logger:
                state = loop.run_from_host(
                    algorithm, initial, as_callback(logger), ITERATIONS, chunk_length=1
                )
    finally:
        released.set()
    assert sorted(str(warning.message).split()[0].strip(":") for warning in caught) == sorted(faults)
    assert_bitwise_equal(state, expected[0])
    assert untimed(sound.records) == expected[1] and sound.closed


def test_a_slow_backend_loses_records_and_says_how_many(env, policy, monkeypatch):
    """P1: training does not wait for it."""
    monkeypatch.setattr(dispatch, "MAX_RECORDS", 20)
    started, released = threading.Event(), threading.Event()
    backend = Faulty("log_scalars", lambda: started.set() or released.wait())
    with pytest.warns(RuntimeWarning) as caught:
        with LoggingCallback(backend, name="run") as logger:
            Idle().learn(env, policy, 500 * 10, key=jr.key(0), callback=logger)
            assert started.wait(10)
            released.set()
    assert 0 < len(backend.records) <= 20
    assert_one_warning(caught, f"{500 - len(backend.records)} records were not logged")


def test_what_waits_when_a_slow_backend_is_left_behind_is_counted(env, policy, monkeypatch):
    monkeypatch.setattr(run_log, "CLOSE_SECONDS", 1.0)
    released = threading.Event()
    with pytest.warns(RuntimeWarning) as caught:
        with LoggingCallback(Faulty("log_scalars", released.wait), name="run") as logger:
            Idle().learn(env, policy, 50 * 10, key=jr.key(0), callback=logger)
    released.set()
    assert_one_warning(caught, "50 records")


def test_a_single_failure_loses_its_records_only(env, policy):
    failures = iter([broken])
    backend = Faulty("log_scalars", lambda: next(failures, lambda: None)())
    with pytest.warns(RuntimeWarning) as caught, LoggingCallback(backend, name="run") as logger:
        loop.run_from_host(
            Idle(), Idle().init(env, policy, key=jr.key(0)), as_callback(logger), 9, chunk_length=3
        )
    assert [step for step, _ in backend.records] == [40, 50, 60, 70, 80, 90]
    assert_one_warning(caught, "3 records were not logged")


class Calls(MemoryBackend):
    """Writes down which method was called on which thread."""

    def __init__(self):
        super().__init__()
        self.calls = []
        for method in METHODS:
            setattr(self, method, functools.partial(self._call, method, getattr(self, method)))

    def _call(self, method, inner, *arguments):
        self.calls.append((method, threading.current_thread()))
        return inner(*arguments)


@pytest.mark.parametrize("options", [{}, {"name": "run"}], ids=["named by training", "named at once"])
def test_a_backend_is_opened_first_closed_last_and_called_on_one_thread(env, policy, options):
    backend = Calls()
    with LoggingCallback(backend, **options) as logger:
        Idle().learn(env, policy, 50, key=jr.key(0), callback=logger)
    names = [method for method, _ in backend.calls]
    assert names[0] == "open" and names.count("open") == 1
    assert names[-1] == "close" and names.count("close") == 1
    assert set(names) == set(METHODS)
    assert names.index("on_training_start") < names.index("log_scalars") < names.index("flush")
    (thread,) = {thread for _, thread in backend.calls}
    assert thread is not threading.main_thread() and thread.daemon


def test_a_backend_that_did_not_open_is_never_called_again(env, policy):
    backend = Faulty("open", broken)
    with pytest.warns(RuntimeWarning), LoggingCallback(backend, name="run") as logger:
        Idle().learn(env, policy, 50, key=jr.key(0), callback=logger)
    assert not backend.records and not backend.phases and not backend.closed


def test_warnings_as_errors_reach_the_user_and_kill_no_worker(env, policy):
    backend = Faulty("log_scalars", broken)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning, match="Faulty"):
            with LoggingCallback(backend, name="run") as logger:
                state = Idle().init(env, policy, key=jr.key(0))
                loop.run_from_host(Idle(), state, as_callback(logger), 9, chunk_length=1)
    assert backend.closed
