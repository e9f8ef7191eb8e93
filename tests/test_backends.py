"""What the backends write, read back by others: TensorBoard's own reader, and json."""

import json
import math

import jax
import numpy as np
import pytest
from jax import random as jr
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2
from toys import log_groups

from lerax.callback import JSONLBackend, LoggingCallback, MemoryBackend, TensorBoardBackend

LOSSES = (
    "approx_kl loss policy_loss value_loss entropy_loss explained_variance clip_fraction grad_norm".split()
)
TAGS = {
    "episode/return",
    "episode/length",
    *(f"train/{name}" for name in [*LOSSES, "learning_rate"]),
    "time/steps_per_second",
    "time/elapsed",
}


@pytest.fixture(scope="module")
def run(algorithm, env, policy, tmp_path_factory):
    """The directory of a run and what a MemoryBackend remembers of it."""
    logs = tmp_path_factory.mktemp("logs")
    memory = MemoryBackend()
    backends = [memory, TensorBoardBackend(logs), JSONLBackend(str(logs))]
    with LoggingCallback(backends, name="run", hparams={"note": "a | b", "layers": (8, 8)}) as logger:
        algorithm.learn(env, policy, 12 * 64, key=jr.key(0), callback=logger)
    return logs / "run", memory


@pytest.fixture(scope="module")
def events(run):
    return EventAccumulator(str(run[0])).Reload()


def test_every_documented_tag_is_there(run, events):
    assert set(events.Tags()["scalars"]) == TAGS
    assert set(run[1].records[-1][1]) == TAGS


@pytest.mark.parametrize("tag", sorted(TAGS))
def test_event_files_hold_the_values_at_their_environment_steps(run, events, tag):
    expected = [(step, scalars[tag]) for step, scalars in run[1].records if tag in scalars]
    found = [(event.step, event.value) for event in events.Scalars(tag)]
    assert found == [(step, float(np.float32(value))) for step, value in expected]
    assert len(found) > 6 and {step % 64 for step, _ in found} == {0}


def test_one_event_holds_all_scalars_of_an_iteration(run, events):
    times = {tag: {event.step: event.wall_time for event in events.Scalars(tag)} for tag in TAGS}
    for step, scalars in run[1].records:
        assert len({times[tag][step] for tag in scalars}) == 1


def session(events):
    """The hyperparameters that TensorBoard's HPARAMS tab shows."""
    content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    info = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in info.hparams.items()}


def test_the_hparams_plugin_finds_all_hyperparameters(run, events):
    """TensorBoard keeps only the first session of a run: a second one would never be seen."""
    shown = session(events)
    for name, value in run[1].hparams.items():
        assert shown[name] == (value if isinstance(value, bool | int | float | str) else str(value)), name
    assert {"algorithm", "gamma", "num_envs", "note", "layers"} <= shown.keys()


def test_hyperparameters_are_also_a_table(events):
    table = events.Tensors("hparams/text_summary")[-1].tensor_proto.string_val[0].decode().splitlines()
    assert {"| algorithm | PPO |", "| gamma | 0.99 |", "| num_envs | 4 |"} <= set(table)


def test_the_file_is_complete_after_closing(run):
    (path,) = run[0].glob("events.out.tfevents.*")
    events = EventAccumulator(str(path)).Reload()
    assert len(events.Scalars("train/loss")) == 12


def test_two_runs_of_one_process_have_a_file_each(tmp_path):
    for _ in range(2):
        backend = TensorBoardBackend(tmp_path)
        backend.open("run")
        backend.log_scalars({"x": 1.0}, 1)
        backend.close()
    assert len(list((tmp_path / "run").iterdir())) == 2


def test_event_files_keep_what_is_not_finite(tmp_path):
    backend = TensorBoardBackend(tmp_path)
    backend.open("run")
    backend.log_scalars({"nan": math.nan, "inf": -math.inf, "huge": 1e300}, 3)
    backend.close()
    events = EventAccumulator(str(tmp_path / "run")).Reload()
    values = {tag: events.Scalars(tag)[0].value for tag in ("nan", "inf", "huge")}
    assert math.isnan(values["nan"]) and values["inf"] == -math.inf and values["huge"] == math.inf


def test_what_was_flushed_can_be_read_while_the_run_goes_on(tmp_path):
    backends = [TensorBoardBackend(tmp_path), JSONLBackend(tmp_path)]
    for backend in backends:
        backend.open("run")
        backend.log_scalars({"x": 1.0}, 7)
        backend.flush()
    assert EventAccumulator(str(tmp_path / "run")).Reload().Scalars("x")[0].step == 7
    assert json.loads((tmp_path / "run" / "metrics.jsonl").read_text()) == {"step": 7, "x": 1.0}
    for backend in backends:
        backend.close()


def lines(path):
    refuse = lambda word: pytest.fail(f"{word} is not JSON")
    return [json.loads(line, parse_constant=refuse) for line in path.read_text().splitlines()]


def test_jsonl_has_one_object_per_iteration(run):
    expected = [{"step": step} | scalars for step, scalars in run[1].records]
    assert lines(run[0] / "metrics.jsonl") == expected


def test_jsonl_writes_null_for_what_is_not_finite(tmp_path):
    backend = JSONLBackend(tmp_path)
    backend.open("run")
    backend.log_scalars({"a": math.nan, "b": math.inf, "c": -math.inf, "d": 0.5}, 1)
    backend.close()
    assert lines(tmp_path / "run" / "metrics.jsonl") == [
        {"step": 1, "a": None, "b": None, "c": None, "d": 0.5}
    ]


def write_jsonl(folder, *groups):
    """The records that the file holds after groups of `(step, scalars)`."""
    log_groups(JSONLBackend(folder), *groups)
    return lines(folder / "run" / "metrics.jsonl")


@pytest.mark.parametrize("grouped", [True, False], ids=["in one group", "in a group each"])
def test_jsonl_has_one_line_for_what_is_logged_of_one_step(tmp_path, grouped):
    """An evaluation, or a user's own values, after the iteration's; the later value of a tag counts."""
    records = [(1, {"a": 1.0}), (2, {"a": 12345.678}), (2, {"eval": 9.0, "a": 5.0}), (3, {"a": 6.0})]
    expected = [{"step": 1, "a": 1.0}, {"step": 2, "a": 5.0, "eval": 9.0}, {"step": 3, "a": 6.0}]
    assert write_jsonl(tmp_path, *([records] if grouped else [[record] for record in records])) == expected


def test_jsonl_goes_on_in_the_last_line_of_the_process_before(tmp_path):
    write_jsonl(tmp_path, [(1, {"a": 1.0}), (2, {"a": math.nan})])
    found = write_jsonl(tmp_path, [(2, {"b": 3.0})], [(3, {"a": 4.0})])
    assert found == [{"step": 1, "a": 1.0}, {"step": 2, "a": None, "b": 3.0}, {"step": 3, "a": 4.0}]


@pytest.mark.parametrize("kept", [0, 1, 5, 15])
def test_a_line_that_a_kill_has_torn_is_dropped(tmp_path, kept):
    write_jsonl(tmp_path, [(1, {"a": 1.0}), (2, {"a": 2.0})])
    path = tmp_path / "run" / "metrics.jsonl"
    path.write_bytes(path.read_bytes()[: path.read_bytes().index(b"\n") + 1 + kept])
    assert write_jsonl(tmp_path, [(2, {"a": 3.0})]) == [{"step": 1, "a": 1.0}, {"step": 2, "a": 3.0}]


@pytest.mark.parametrize("text", [b"[]\n", b"no JSON\n", b'{"epoch": 1}\n', b"\n"])
def test_a_line_that_somebody_else_wrote_stays_as_it_is(tmp_path, text):
    path = tmp_path / "run" / "metrics.jsonl"
    path.parent.mkdir()
    path.write_bytes(text)
    backend = JSONLBackend(tmp_path)
    backend.open("run")
    backend.log_scalars({"a": 1.0}, 1)
    backend.close()
    assert path.read_bytes() == text + b'{"step": 1, "a": 1.0}\n'


def test_nothing_is_written_before_a_run_begins(tmp_path):
    TensorBoardBackend(tmp_path / "logs"), JSONLBackend(tmp_path / "logs")
    assert not (tmp_path / "logs").exists()


def test_backends_can_be_closed_without_being_opened():
    TensorBoardBackend().close(), JSONLBackend().close(), MemoryBackend().close()


def test_the_memory_backend_remembers_the_training(run):
    memory = run[1]
    assert (memory.name, memory.closed, memory.total_timesteps) == ("run", True, 768)
    assert [step for step, _ in memory.records] == list(range(64, 769, 64))
    assert all(type(value) is float for _, scalars in memory.records for value in scalars.values())
    assert not any(isinstance(value, jax.Array) for value in memory.hparams.values())
