"""A run that goes on: its logs have neither gap nor overlap, to readers of others."""

import csv
import json
import time
import tracemalloc

import numpy as np
import pytest
from jax import random as jr
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
from toys import Idle

from lerax import checkpoint
from lerax.backend import tensorboard
from lerax.callback import (
    AbstractLoggingBackend,
    CSVBackend,
    JSONLBackend,
    LoggingCallback,
    MemoryBackend,
    TensorBoardBackend,
    VideoBackend,
)

STEPS = 64  # of an iteration
SAVED, KILLED, END = 4 * STEPS, 7 * STEPS, 10 * STEPS
HPARAMS = "_hparams_/session_start_info"
FRAMES = np.zeros((2, 16, 16, 3), np.uint8)


class Calls(AbstractLoggingBackend):
    """Writes down what it is told."""

    def __init__(self):
        self.calls = []

    def open(self, name):
        self.calls.append("open")

    def resume(self, step):
        self.calls.append(("resume", step))

    def on_training_start(self, total_timesteps, total_iterations):
        self.calls.append(("start", total_timesteps))

    def log_scalars(self, scalars, step):
        self.calls.append(step)

    def close(self):
        self.calls.append("close")


def backends(logs):
    return [JSONLBackend(logs), CSVBackend(logs), TensorBoardBackend(logs), VideoBackend(logs)]


def logger_of(logs, *, resume=False, **options):
    return LoggingCallback(backends(logs), name="run", hparams={"note": "once"}, resume=resume, **options)


def show(logger, step):
    """A clip and an evaluation."""
    logger._log.log_video("eval/video", FRAMES, step, 10.0)
    logger.log({"eval/return": step / 7}, step)


@pytest.fixture(scope="module")
def runs(algorithm, env, policy, tmp_path_factory):
    """The directories of a run that was never interrupted and of one that was killed, and went on."""
    logs = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("killed")
    for folder in logs:
        state = algorithm.init(env, policy, key=jr.key(3))
        with logger_of(folder) as logger:
            state = algorithm.run(state, SAVED, callback=logger)
            show(logger, SAVED)
            checkpoint.save(folder / "state", state)
            state = algorithm.run(state, KILLED, callback=logger)
            show(logger, KILLED)
            if folder is logs[0]:
                algorithm.run(state, END, callback=logger)
    for name in ("metrics.jsonl", "metrics.csv"):
        with open(logs[1] / "run" / name, "a") as file:
            file.write('{"step": 5')
    with logger_of(logs[1], resume=True, elapsed=1000.0) as logger:
        state = checkpoint.load(logs[1] / "state", algorithm.template(env, policy, callback=logger))
        half = algorithm.run(state, KILLED, callback=logger)
        show(logger, KILLED)
        algorithm.run(half, END, callback=logger)
    return [folder / "run" for folder in logs]


def rows(run):
    """Those of `metrics.jsonl` without times, which no two runs share."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [[(tag, x) for tag, x in row.items() if not tag.startswith("time/")] for row in lines]


def events(run):
    return EventAccumulator(str(run), size_guidance={"images": 0, "tensors": 0}).Reload()


def test_metrics_are_those_of_a_run_that_was_never_interrupted(runs):
    whole, killed = map(rows, runs)
    assert whole == killed and [dict(row)["step"] for row in whole] == [*range(STEPS, END + 1, STEPS)]


def test_the_table_is_that_of_a_run_that_was_never_interrupted(runs):
    tables = []
    for run in runs:
        with open(run / "metrics.csv", newline="") as file:
            table = list(csv.DictReader(file))
        tables.append([{tag: x for tag, x in row.items() if not tag.startswith("time/")} for row in table])
    assert tables[0] == tables[1] and len(tables[0]) == END // STEPS


def test_tensorboard_shows_each_step_once(runs):
    whole, killed = map(events, runs)
    assert whole.Tags() == killed.Tags()
    for tag in whole.Tags()["scalars"]:
        points = [[(event.step, event.value) for event in one.Scalars(tag)] for one in (whole, killed)]
        assert len(points[0]) == len({step for step, _ in points[0]}), tag
        assert tag.startswith("time/") or tag.startswith("_hparams_") or points[0] == points[1], tag
    for found in (whole, killed):
        assert [image.step for image in found.Images("eval/video")] == [SAVED, KILLED]
    assert len(killed.Tensors("hparams/text_summary")) == 2, "of the trainings before"


def test_a_tensorboard_that_is_looking_sees_the_later_steps_replaced(tmp_path):
    first, second = TensorBoardBackend(tmp_path), TensorBoardBackend(tmp_path)
    watching = EventMultiplexer({"run": str(tmp_path / "run")})
    first.open("run")
    first.log_hparams({"gamma": 0.9})
    for step in (1, 2, 3, 4):
        first.log_scalars({"x": float(step)}, step)
    first.flush()
    watching.Reload()
    assert [event.step for event in watching.Scalars("run", "x")] == [1, 2, 3, 4]
    with open(next((tmp_path / "run").iterdir()), "ab") as file:
        file.write(b"\x18\x00\x00")  # an event that a kill has torn
    second.open("run")
    second.resume(2)
    second.log_hparams({"gamma": 0.9})
    for step in (3, 5):
        second.log_scalars({"x": -1.0}, step)
    second.close()
    watching.Reload()
    found = [(event.step, event.value) for event in watching.Scalars("run", "x")]
    assert found == [(1, 1.0), (2, 2.0), (3, -1.0), (5, -1.0)]
    found = [event.step for event in watching.Tensors("run", "hparams/text_summary")]
    assert found == [0] and HPARAMS in watching.PluginRunToTagToContent("hparams")["run"]
    first.close()


def test_event_files_are_read_in_their_order_even_when_the_clock_was_set_back(tmp_path, monkeypatch):
    now = time.time()
    for index, clock in enumerate((now, now - 3600, now - 1800)):
        monkeypatch.setattr(tensorboard.time, "time", lambda clock=clock: clock)
        backend = TensorBoardBackend(tmp_path)
        backend.open("run")
        if index:
            backend.resume(index)
        for step in (index + 1, index + 2):
            backend.log_scalars({"x": float(index)}, step)
        backend.close()
    found = [(event.step, event.value) for event in events(tmp_path / "run").Scalars("x")]
    assert found == [(1, 0.0), (2, 1.0), (3, 2.0), (4, 2.0)]


def test_hyperparameters_that_a_kill_took_are_logged_by_the_process_that_goes_on(tmp_path):
    killed, backend = TensorBoardBackend(tmp_path), TensorBoardBackend(tmp_path)
    killed.open("run")
    backend.open("run")
    backend.resume(0)
    backend.log_hparams({"gamma": 0.9})
    backend.close()
    killed.close()
    assert HPARAMS in events(tmp_path / "run").summary_metadata


def test_clips_of_later_steps_are_taken_back_and_none_is_overwritten(runs, tmp_path):
    for run in runs:
        files = sorted(path.name for path in (run / "videos").iterdir())
        assert files == [f"step-{step:010d}.mp4" for step in (SAVED, KILLED)]
    backend = VideoBackend(tmp_path)
    backend.open("run")
    for tag, step in (("a", 1), ("b", 1), ("a", 2), ("b", 2)):
        backend.log_video(tag, FRAMES, step, 10.0)
    (tmp_path / "run" / "videos" / "step-by-step.mp4").touch()
    backend.resume(1)
    names = {path.name for path in (tmp_path / "run" / "videos").iterdir()}
    assert names == {"step-0000000001.mp4", "step-0000000001-2.mp4", "step-by-step.mp4"}


def test_time_goes_on_from_that_of_the_processes_before(runs):
    elapsed = []
    for run in runs:
        lines = (run / "metrics.jsonl").read_text().splitlines()
        elapsed.append([json.loads(line).get("time/elapsed") for line in lines])
    before, after = elapsed[1][: SAVED // STEPS], elapsed[1][SAVED // STEPS : KILLED // STEPS]
    assert max(before) < 1000.0 < min(after) and after == sorted(after)


@pytest.mark.parametrize("elapsed", [-1.0, float("nan"), float("inf")])
def test_seconds_that_are_none_are_refused(elapsed):
    with pytest.raises(ValueError, match="elapsed"):
        LoggingCallback(MemoryBackend(), name="run", resume=True, elapsed=elapsed)
    with pytest.raises(ValueError, match="elapsed: given without resume.*resume=True"):
        LoggingCallback(MemoryBackend(), name="run", elapsed=1.0)


def test_a_backend_is_told_once_and_before_all_else(env, policy):
    start = Idle().init(env, policy, key=jr.key(0))
    calls = Calls()
    with LoggingCallback(calls, name="run", resume=True) as logger:
        state = Idle().run(start, 20, callback=logger)
        state = Idle().run(state, 30, callback=logger)
    assert calls.calls == ["open", ("start", 20), 10, 20, ("start", 30), 30, "close"]
    calls = Calls()
    with LoggingCallback(calls, name="run", resume=True) as logger:
        state = Idle().run(state, 40, callback=logger)
        Idle().run(state, 50, callback=logger)
    assert calls.calls == ["open", ("resume", 30), ("start", 40), 40, ("start", 50), 50, "close"]
    calls = Calls()
    with LoggingCallback(calls, name="run", resume=True, elapsed=0.0) as logger:
        Idle().run(start, 10, callback=logger)
    assert calls.calls[:3] == ["open", ("resume", 0), ("start", 10)]
    calls = Calls()
    with LoggingCallback(calls, name="run") as logger:
        Idle().run(state, 60, callback=logger)
    assert ("resume", 40) not in calls.calls


def test_memory_forgets_later_steps():
    memory = MemoryBackend()
    memory.open("run")
    for step in (1, 2, 3):
        memory.log_scalars({"x": 1.0}, step)
        memory.log_video("v", FRAMES, step, 1.0)
    memory.resume(2)
    assert [step for step, _ in memory.records] == [video[2] for video in memory.videos] == [1, 2]


@pytest.mark.parametrize("step, kept", [(0, 0), (1, 1), (2, 2), (3, 3), (9, 3)])
@pytest.mark.parametrize("torn", ["", '{"step": 3, "x', "3,"])
def test_files_are_cut_after_the_last_line_of_the_step(tmp_path, step, kept, torn):
    for kind, name in ((JSONLBackend, "metrics.jsonl"), (CSVBackend, "metrics.csv")):
        backend = kind(tmp_path)
        backend.open("run")
        path, texts = tmp_path / "run" / name, []
        backend.log_scalars({"a\nb": 0.5}, 1)
        for later in (2, 3, 4):
            backend.flush()
            texts.append(path.read_bytes())
            backend.log_scalars({"a\nb": 1.0 / later}, later)
        backend.close()
        whole = path.read_bytes()
        head = whole[: whole.index(b"1,")] if kind is CSVBackend else b""
        with open(path, "ab") as file:
            file.write(torn.encode())
        backend = kind(tmp_path)
        backend.open("run")
        backend.resume(step)
        assert path.read_bytes() == [head, *texts][kept] if step < 9 else whole
        backend.log_scalars({"a\nb": 2.0}, step + 1)
        backend.close()
        assert path.read_bytes().startswith(texts[max(kept, 1) - 1][:10])


def test_a_large_file_is_not_read_into_memory(tmp_path):
    """Nor one with a line that is longer than any buffer."""
    path = tmp_path / "run" / "metrics.jsonl"
    path.parent.mkdir()
    line = json.dumps({"step": 1, "x": 0.5, "note": "n" * 2**16}).encode() + b"\n"
    with open(path, "wb") as file:
        for _ in range(2**10):
            file.write(line)
        file.write(json.dumps({"step": 2, "note": "n" * 2**22}).encode() + b"\n")
        file.write(b'{"step": 3' + b" " * 2**24)
    table = tmp_path / "run" / "metrics.csv"
    with open(table, "wb") as file:
        file.write(b"step,x\n" + b"1,0.5\n" * 2**20 + b"2,0.5\n")
    tracemalloc.start()
    try:
        for kind in (JSONLBackend, CSVBackend):
            backend = kind(tmp_path)
            backend.open("run")
            backend.resume(1)
            backend.close()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**25, "of 2**26"
    assert path.stat().st_size == len(line) * 2**10
    assert table.stat().st_size == 7 + 6 * 2**20
