"""LoggingCallback: names, steps, hyperparameters, life and death."""

import json
import math
import re
import threading
import warnings
from datetime import datetime
from types import SimpleNamespace

import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr
from toys import Idle, untimed

import lerax.run
from lerax.algorithm import PPO
from lerax.callback import AbstractCallback, BackendError, JSONLBackend, LoggingCallback, MemoryBackend
from lerax.errors import LeraxWarning


@pytest.fixture
def stopped_clock(monkeypatch):
    """Runs are named in one and the same second."""
    clock = SimpleNamespace(now=lambda: datetime(2026, 2, 20, 12, 0, 0))
    monkeypatch.setattr(lerax.run, "datetime", clock)


def train(env, policy, callback, iterations=3, algorithm=None):
    algorithm = algorithm or Idle()
    return algorithm.learn(
        env, policy, iterations * algorithm.steps_per_iteration, key=jr.key(0), callback=callback
    )


@pytest.mark.parametrize(
    "given, name",
    [
        ({"env", "policy"}, "MLPActorCriticPolicy_CartPole-v1_20260220_120000"),
        ({"env"}, "CartPole-v1_20260220_120000"),
        ({"policy"}, "MLPActorCriticPolicy_20260220_120000"),
        ({"env", "policy", "name"}, "my-experiment"),
        ({"name"}, "my-experiment"),
    ],
)
def test_a_run_that_knows_its_name_begins_at_once(stopped_clock, env, policy, given, name):
    parts = {"env": env, "policy": policy, "name": "my-experiment"}
    memory = MemoryBackend()
    with LoggingCallback(memory, **{part: parts[part] for part in given}) as logger:
        assert memory.name == logger.name == name


def test_without_a_name_the_run_begins_with_the_training(stopped_clock, env, policy):
    memory = MemoryBackend()
    with LoggingCallback(memory) as logger:
        assert logger.name is None and memory.name is None
        train(env, policy, logger)
        assert logger.name == "Idle_MLPActorCriticPolicy_CartPole-v1_20260220_120000"
    assert memory.name == "Idle_MLPActorCriticPolicy_CartPole-v1_20260220_120000"


def test_loggers_of_one_second_get_different_names(stopped_clock, env, policy, tmp_path):
    """P8: each run has a directory of its own."""
    loggers = [LoggingCallback(JSONLBackend(tmp_path), env=env, policy=policy) for _ in range(3)]
    base = "MLPActorCriticPolicy_CartPole-v1_20260220_120000"
    assert [logger.name for logger in loggers] == [base, f"{base}-1", f"{base}-2"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(logger.name for logger in loggers)
    for logger in loggers:
        logger.close()


def test_an_explicit_name_that_is_taken_gets_a_number_and_a_warning(tmp_path):
    """P8: a run never writes into another run's directory."""
    LoggingCallback(JSONLBackend(tmp_path), name="mine").close()
    with pytest.warns(RuntimeWarning, match="mine exists.*mine-1") as caught:
        logger = LoggingCallback(JSONLBackend(tmp_path), name="mine")
    assert logger.name == "mine-1" and len(caught) == 1
    logger.close()


def test_a_run_can_be_resumed_by_name(env, policy, tmp_path):
    """P6: in the same directory, without gap or overlap."""
    state = Idle().init(env, policy, key=jr.key(0))
    for total in (30, 60):
        with LoggingCallback(JSONLBackend(tmp_path), name="mine", resume=True) as logger:
            state = Idle().run(state, total, callback=logger)
    lines = (tmp_path / "mine" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [10, 20, 30, 40, 50, 60]


def test_backends_with_different_folders_share_the_name(tmp_path):
    (tmp_path / "two" / "mine").mkdir(parents=True)
    backends = [JSONLBackend(tmp_path / "one"), JSONLBackend(tmp_path / "two")]
    with pytest.warns(RuntimeWarning, match="mine-1"):
        LoggingCallback(backends, name="mine").close()
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["mine-1"]


@pytest.mark.parametrize("spelling", ["relative", "with a link", "as text"])
def test_one_folder_spelled_in_two_ways_is_one_folder(tmp_path, monkeypatch, spelling):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lerax.run, "itertools", SimpleNamespace(count=lambda: range(5)))  # not for ever
    (tmp_path / "logs").mkdir()
    (tmp_path / "link").symlink_to("logs")
    other = JSONLBackend({"relative": "logs", "with a link": "link", "as text": tmp_path / "logs"}[spelling])
    if spelling == "as text":
        other.log_dir = str(other.log_dir)  # as a backend of somebody else may have it
        other.open = lambda name: None
    with LoggingCallback([JSONLBackend(tmp_path / "logs"), other], name="mine") as logger:
        assert logger.name == "mine"


def test_steps_go_on_over_several_trainings(env, policy):
    memory = MemoryBackend()
    with LoggingCallback(memory, name="run") as logger:
        train(env, policy, logger, 3)
        train(env, policy, logger, 2)
        logger.log({"mine": 1.5}, step=7)
    assert [step for step, _ in memory.records] == [10, 20, 30, 40, 50, 7]
    assert memory.total_timesteps == 50 and memory.records[-1][1] == {"mine": 1.5}


def test_elapsed_time_and_speed_are_logged(env, policy):
    memory = MemoryBackend()
    with LoggingCallback(memory, name="run") as logger:
        train(env, policy, logger, 5)
    elapsed = [scalars["time/elapsed"] for _, scalars in memory.records]
    assert elapsed == sorted(elapsed) and elapsed[0] > 0
    assert all(scalars["time/steps_per_second"] > 0 for _, scalars in memory.records)


def test_hyperparameters_are_the_algorithms_and_ones_own(env, policy):
    memory = MemoryBackend()
    with LoggingCallback(memory, name="run", hparams={"note": "first try"}) as logger:
        train(env, policy, logger, 1)
    expected = {"num_envs": 2, "nan_from": 1000}
    assert memory.hparams == expected | {"algorithm": "Idle", "alpha": 0.9, "note": "first try"}


def test_a_learning_rate_that_optax_does_not_hold_is_nan_and_no_reason_to_warn(env, policy):
    memory = MemoryBackend()
    with LoggingCallback(memory, name="run") as logger:
        train(env, policy, logger)
    assert all(math.isnan(scalars["train/learning_rate"]) for _, scalars in memory.records)
    assert [scalars["train/loss"] for _, scalars in memory.records] == pytest.approx([1, 2**0.5, 3**0.5])


def test_nan_is_passed_on_with_one_warning(env, policy):
    """However many scalars it is found in, and however often."""
    memory = MemoryBackend()
    with pytest.warns(RuntimeWarning) as caught, LoggingCallback(memory, name="run") as logger:
        train(env, policy, logger, 6, Idle(nan_from=2))
    assert math.isfinite(memory.records[0][1]["train/loss"])
    assert [math.isnan(scalars["train/loss"]) for _, scalars in memory.records[1:]] == [True] * 5
    (warned,) = [str(w.message) for w in caught if "not finite" in str(w.message)]
    step = memory.records[1][0]
    assert warned == f"not finite from step {step} on: train/half, train/loss"


def test_two_loggers_of_one_training_are_told_apart(env, policy):
    one, two = MemoryBackend(), MemoryBackend()
    with LoggingCallback(one, name="one") as first, LoggingCallback([two], name="two") as second:
        train(env, policy, [first, second])
    assert (one.name, two.name) == ("one", "two") and len(one.records) == 3
    assert str(untimed(one.records)) == str(untimed(two.records))  # as text: NaN is not equal to itself


def test_closing_twice_is_closing_once_and_leaves_no_thread(env, policy):
    before = set(threading.enumerate())
    memory = MemoryBackend()
    logger = LoggingCallback(memory, name="run")
    train(env, policy, logger)
    assert not memory.closed and set(threading.enumerate()) - before
    logger.close()
    logger.close()
    assert memory.closed and not [t for t in set(threading.enumerate()) - before if t.is_alive()]
    assert logger.name == "run"  # still to be asked, for the way to its files


def test_leaving_the_context_closes_even_after_an_error():
    memory = MemoryBackend()
    with pytest.raises(KeyError), LoggingCallback(memory, name="run"):
        raise KeyError
    assert memory.closed


def test_a_closed_logger_cannot_train(env, policy):
    logger = LoggingCallback(MemoryBackend(), name="run")
    logger.close()
    with pytest.raises(RuntimeError, match="already closed; build a new one"):
        train(env, policy, logger)


@pytest.mark.parametrize("alpha", [0, -0.5, 1.01, math.nan, math.inf])
def test_alpha_out_of_range_is_refused(alpha):
    with pytest.raises(ValueError, match=re.escape(f"alpha: out of range (got {alpha})")):
        LoggingCallback(MemoryBackend(), alpha=alpha)


def test_a_logger_needs_a_backend():
    with pytest.raises(ValueError, match="backend: none given"):
        LoggingCallback([])


@pytest.mark.parametrize("others", [1, 2])
def test_a_backend_is_one_runs_until_that_is_closed(tmp_path, env, policy, others):
    """Two runs would write into the files of the later one."""
    backend = JSONLBackend(tmp_path)
    if others == 2:
        with pytest.raises(ValueError, match="backend: already in use .got JSONLBackend.; close"):
            LoggingCallback([backend, backend], name="twice")
    with LoggingCallback(backend, name="first") as first:
        with pytest.raises(ValueError, match="backend: already in use .got JSONLBackend.; close"):
            LoggingCallback([MemoryBackend()] * (others - 1) + [backend], name="second")
        train(env, policy, first)
    with LoggingCallback(backend, name="third") as third:
        third.log({"x": 1.0}, step=1)
    lines = {path.parent.name: len(path.read_text().splitlines()) for path in tmp_path.rglob("*.jsonl")}
    assert lines == {"first": 3, "third": 1}


@pytest.mark.parametrize("wrong", ["text", None, [1.0, 2.0], np.ones(3), jr.key(0), 10**400])
def test_what_is_no_number_is_left_out_and_switches_nothing_off(wrong, tmp_path):
    backends = [JSONLBackend(tmp_path), MemoryBackend()]
    with LoggingCallback(backends, name="run") as logger:
        for step in range(4):
            with pytest.warns(LeraxWarning, match="log: 'wrong': not a number by a name .got .*; left out"):
                logger.log({"wrong": wrong, "good": np.float32(0.5)}, step=step)
    expected = [(step, {"good": 0.5}) for step in range(4)]
    assert backends[1].records == expected
    lines = map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    assert [(line["step"], {"good": line["good"]}) for line in lines] == expected


@pytest.mark.parametrize("step", [1.5, "x", None])
def test_a_record_at_no_step_is_left_out(step):
    memory = MemoryBackend()
    with LoggingCallback(memory, name="run") as logger:
        with pytest.warns(LeraxWarning, match="log: step: not an int .got .*; left out"):
            logger.log({"x": 1.0}, step=step)
        logger.log({"x": jnp.float32(2.0)}, step=jnp.int32(3))
    assert memory.records == [(3, {"x": 2.0})]


@pytest.mark.parametrize("is_field", [True, False])
def test_a_hook_cannot_log_what_is_traced(env, policy, is_field):
    class Loss(AbstractCallback):
        logger: LoggingCallback | None

        def on_iteration(self, ctx, *, key):
            (self.logger or logger).log({"loss": ctx.training_log["loss"]}, step=1)
            return ctx.state

    with LoggingCallback(MemoryBackend(), name="run") as logger:
        with pytest.raises(TypeError, match="log: called from traced code .got .*; send it by `emit`"):
            train(env, policy, Loss(logger if is_field else None), algorithm=PPO(num_envs=2, num_steps=8))


class Unopenable(MemoryBackend):
    def open(self, name):
        raise OSError("no room")


def test_with_strict_a_backend_that_does_not_open_is_an_error():
    other = MemoryBackend()
    with pytest.raises(BackendError, match="Unopenable: not opened.*no room"):
        LoggingCallback([other, Unopenable()], name="run", strict=True)
    assert other.closed, "the backends that did open are closed again"


def test_without_strict_it_is_one_warning():
    with pytest.warns(RuntimeWarning, match="Unopenable: not opened.*no room") as caught:
        logger = LoggingCallback(Unopenable(), name="run")
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        logger.close()


@pytest.mark.parametrize("name", ["../out", "a/b", "", ".hidden", "x" * 300])
def test_a_name_that_could_leave_its_folder_is_refused(name):
    """P8."""
    with pytest.raises(ValueError, match="not a run's name"):
        LoggingCallback(MemoryBackend(), name=name)
