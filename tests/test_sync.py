"""`sync` waits until what was logged is written."""

import threading

import pytest
from jax import random as jr
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from toys import Idle

from lerax.callback import (
    CheckpointCallback,
    CSVBackend,
    JSONLBackend,
    LoggingCallback,
    MemoryBackend,
    TensorBoardBackend,
)


class Slow(MemoryBackend):
    """Takes a while, or for ever; may fail to flush."""

    def __init__(self, fails=False):
        super().__init__()
        self.go, self.flushed, self.fails = threading.Event(), 0, fails

    def log_scalars(self, scalars, step):
        assert self.go.wait(60)
        super().log_scalars(scalars, step)

    def flush(self):
        if self.fails:
            raise OSError("full")
        self.flushed = len(self.records)


def test_what_was_logged_before_is_written_when_it_is_waited_for(tmp_path):
    slow = Slow()
    logger = LoggingCallback(
        [slow, *(kind(tmp_path) for kind in (JSONLBackend, CSVBackend, TensorBoardBackend))], name="run"
    )
    for step in range(1, 101):
        logger.log({"x": float(step)}, step)
    assert not logger.sync(0.05), "one hangs"
    done = []
    waiting = threading.Thread(target=lambda: done.append(logger.sync(60)))
    waiting.start()
    slow.go.set()
    waiting.join()
    assert done == [True] and slow.flushed == 100
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 100
    assert len((tmp_path / "run" / "metrics.csv").read_text().splitlines()) == 101
    assert len(EventAccumulator(str(tmp_path / "run")).Reload().Scalars("x")) == 100
    logger.close()
    assert logger.sync(60), "all is"


def test_a_backend_that_cannot_flush_is_told_and_one_that_is_off_is_not_waited_for():
    slow = Slow(fails=True)
    slow.go.set()
    logger = LoggingCallback([slow, MemoryBackend()], name="run")
    assert not logger.sync(60)
    logger.log({"x": 1.0}, 1)
    assert not logger.sync(60)
    with pytest.warns(RuntimeWarning, match="Slow is switched off"):
        logger.log({"x": 1.0}, 2)
        assert logger.sync(60)
        logger.close()


def test_checkpoints_wait_once_for_a_backend_that_hangs(tmp_path, monkeypatch, env, policy):
    """Else the end of a training would take as long as all its saves wait."""
    waited = []
    monkeypatch.setattr(LoggingCallback, "sync", lambda self, seconds: bool(waited.append(seconds)))
    with LoggingCallback(MemoryBackend(), name="run") as logger:
        saver = CheckpointCallback(tmp_path, every=10, logger=logger)
        Idle().learn(env, policy, 50, key=jr.key(0), callback=[logger, saver])
    first, *others = waited
    assert 1 < first < 2 and others and max(others) < 0.5
