"""The thread between training and the backends' own: what it takes off training, and what it keeps."""

import threading
import time
import warnings

import numpy as np
import pytest

from lerax.callback import MemoryBackend
from lerax.callback.records import IterationScalars, TrainingStart, records_of
from lerax.callback.run_log import RunLog


@pytest.fixture
def memories():
    return [MemoryBackend(), MemoryBackend()]


def a_start(done=0, steps_per_iteration=10):
    names = ("A", "P", "E")
    return TrainingStart(np.array([done]), np.array([9]), names, steps_per_iteration, (), {})


@pytest.fixture
def run(memories):
    run = RunLog(memories, claimed=True)
    run.open("run")
    run.receive(a_start(), np.zeros(1), None)
    yield run
    run.close()


class Watched(np.ndarray):
    """Writes down which threads convert it."""

    threads: set = set()

    def tolist(self):
        self.threads.add(threading.current_thread())
        return super().tolist()


def receive(run, *numbers, loss=0.5, running=None):
    iterations = np.array(numbers)
    loss = np.full(iterations.shape, loss).view(Watched)
    run.receive(IterationScalars(iterations, {"train/loss": loss}, {}), np.zeros(len(numbers)), running)


def hold(run):
    """Stops the forwarder until the event is set that is returned."""
    go = threading.Event()
    run._forwarder.log(lambda: [] if go.wait(10) else pytest.fail("held for too long"))
    return go


def wait_for_forwarder(run):
    passed = threading.Event()
    run._forwarder._queue.put(passed.set)  # `log` would say what is to be said
    assert passed.wait(10)


def test_values_are_converted_once_and_not_on_the_callers_thread(run, memories, monkeypatch):
    monkeypatch.setattr(Watched, "threads", set())
    receive(run, 1, 2)
    run.close()
    (thread,) = Watched.threads
    assert thread is not threading.current_thread() and thread.daemon
    for memory in memories:
        assert [(step, scalars["train/loss"]) for step, scalars in memory.records] == [(10, 0.5), (20, 0.5)]


def test_close_delivers_in_order_what_the_forwarder_still_had(run, memories):
    go = hold(run)
    for number in range(1, 101):
        receive(run, number)
        run.phase(f"after {number}")
    assert not memories[0].records
    threading.Timer(0.05, go.set).start()
    run.close()
    for memory in memories:
        assert [step for step, _ in memory.records] == list(range(10, 1001, 10))
        assert memory.phases == ["training", *(f"after {number}" for number in range(1, 101))]
        assert memory.closed


def test_a_training_that_begins_before_the_last_ones_records_are_made_goes_on_from_them(run, memories):
    go = hold(run)
    receive(run, 1, 2)
    assert run.step_at(0) == 0
    run.receive(a_start(steps_per_iteration=3), np.zeros(1), None)
    assert run.step_at(1) == 23
    receive(run, 1, 2)
    go.set()
    run.close()
    assert [step for step, _ in memories[0].records] == [10, 20, 23, 26]


def test_a_training_that_goes_on_from_an_iteration_counts_on(run):
    receive(run, 1, 2)
    run.receive(a_start(done=2), np.zeros(1), None)
    assert run.step_at(3) == 30


def test_of_mapped_lanes_the_foremost_that_runs_counts(run, memories):
    iterations = [[1, 4], [2, 5], [3, 5]]
    receive(run, *iterations, running=np.array([[True, True], [True, True], [True, False]]))
    assert run._steps.last == 30
    run.close()
    assert [step for step, _ in memories[0].records] == [40, 50, 30]


def test_of_mapped_lanes_mean_and_deviation_are_logged():
    """Over those alone that have something to log."""
    values = {
        "episode/return": np.array([[4.0, 0.0, 8.0]]),
        "train/loss": np.array([[1.0, 2.0, 6.0]]),
    }
    mask = {"episode/return": np.array([[True, False, True]])}
    record = IterationScalars(np.array([[1, 1, 1]]), values, mask)
    ((step, found),) = records_of(record, np.array([[True, True, True]]), [64])
    assert step == 64 and "seed_1/episode/return" not in found
    mean_and_deviation = {"episode/return": (6.0, 2.0), "train/loss": (3.0, (14 / 3) ** 0.5)}
    for tag, expected in mean_and_deviation.items():
        assert (found[tag], found[f"{tag}_std"]) == pytest.approx(expected)


def test_speed_and_elapsed_time_come_from_the_iterations_own_times(run, memories):
    """Four iterations of ten steps in two seconds are twenty steps a second."""
    now = time.monotonic()
    for numbers, times in (([1], [10.0]), ([2, 3, 4, 5], [10.5, 11.0, 11.5, 12.0])):
        run.receive(IterationScalars(np.array(numbers), {}, {}), now + np.array(times), None)
    run.close()
    records = [scalars for _, scalars in memories[0].records]
    assert records[-1]["time/steps_per_second"] == pytest.approx(20)
    assert 10 <= records[0]["time/elapsed"] < 60  # since the training began, just before
    np.testing.assert_allclose(np.diff([scalars["time/elapsed"] for scalars in records]), 0.5, atol=1e-6)


def test_values_that_are_not_finite_are_a_warning_with_what_comes_next(run):
    receive(run, 1, 2, loss=np.nan)
    wait_for_forwarder(run)
    with pytest.warns(RuntimeWarning, match="^not finite from step 10 on: train/loss$"):
        receive(run, 3)
    receive(run, 4, loss=np.nan)
    run.close()  # without another


def test_the_last_values_that_are_not_finite_are_a_warning_in_close(run, memories):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        receive(run, 1, loss=np.inf)
        with pytest.raises(RuntimeWarning, match="not finite from step 10 on: train/loss"):
            run.close()
    assert all(memory.closed and len(memory.records) == 1 for memory in memories)


def test_what_is_no_number_is_a_warning_and_its_records_only_are_lost(run, memories):
    with pytest.warns(RuntimeWarning, match="^records were not logged .Type"):
        receive(run, 1, loss=1j)
        receive(run, 2)
        run.close()
    assert [step for step, _ in memories[0].records] == [20]


def test_nothing_is_kept_for_a_run_that_is_closed(run):
    run.close()
    receive(run, 1)
    run.phase("training")
    assert run._forwarder._queue.empty() and not run._forwarder._thread.is_alive()
