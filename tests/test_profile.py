"""`ProfileCallback` and `lerax train --profile`: a trace for Perfetto, of a training that stays as it is."""

import gzip
import json
from pathlib import Path
from typing import Any

import jax
import pytest
import terminal
from jax import random as jr
from test_cli_inputs import refuse
from toys import assert_bitwise_equal

from lerax import verify
from lerax.archive import Archive
from lerax.callback import AbstractCallback, ProfileCallback
from lerax.callback import profile as module
from lerax.errors import LeraxWarning
from lerax.runs import find

SHORT = ("train", *terminal.BRIEF, "--progress", "off")


def events(path: Path) -> list[dict[str, Any]]:
    """The events of a trace, read by the form that Perfetto reads: Trace Event Format, zipped."""
    trace = json.loads(gzip.decompress(path.read_bytes()))
    return [one for one in trace["traceEvents"] if one]


def of_programs(path: Path) -> set[str]:
    """The programs whose operations are in a trace, each with a begin and a length."""
    found = [one for one in events(path) if "hlo_module" in one.get("args", {})]
    assert all(one["ph"] == "X" and one["dur"] >= 0 and one["ts"] >= 0 for one in found)
    return {one["args"]["hlo_module"] for one in found}


def runs_of(path: Path) -> int:
    """How often a program was called in a trace."""
    return len({one["args"]["run_id"] for one in events(path) if "run_id" in one.get("args", {})})


@pytest.fixture(scope="module")
def state(algorithm: Any, env: Any, policy: Any):
    return algorithm.init(env, policy, key=jr.key(3))


@pytest.fixture(scope="module")
def traced(algorithm: Any, state: Any, tmp_path_factory: pytest.TempPathFactory):
    """A training of eight iterations, of which some are traced, and its callback."""
    callback = ProfileCallback(tmp_path_factory.mktemp("traced") / "profile", num_iterations=2)
    return algorithm.run(state, 8 * algorithm.steps_per_iteration, callback=callback), callback


def test_a_trace_has_the_operations_of_the_loop(traced: Any):
    """Of the second iteration and the one after it: no more calls of the loop's program than that."""
    path = traced[1].path
    assert path.name == "from_iteration_2.json.gz"
    assert of_programs(path) == {"jit_chunk"} and 1 <= runs_of(path) <= 2
    assert [one.name for one in path.parent.iterdir()] == [path.name], "and nothing else is left"
    assert path.stat().st_size < 2**21


def test_training_is_the_same_with_it(algorithm: Any, state: Any, traced: Any):
    """Bit for bit."""
    plain = algorithm.run(state, 8 * algorithm.steps_per_iteration)
    assert_bitwise_equal(traced[0].learner, plain.learner)
    assert_bitwise_equal(traced[0].standing, plain.standing)


def test_a_training_that_goes_on_is_traced_anew(algorithm: Any, traced: Any):
    """From the iteration after the one that it begins with."""
    after, callback = traced
    algorithm.run(after, 12 * algorithm.steps_per_iteration, callback=callback)
    assert callback.path.name == "from_iteration_10.json.gz"
    assert sorted(one.name for one in callback.path.parent.iterdir())[-1] == "from_iteration_2.json.gz"


class Ends(AbstractCallback):
    """Ends training after three iterations, as a signal does: between two chunks."""

    def next_due(self, iteration: int) -> int | None:
        return 3 if iteration < 3 else None

    def on_host(self, state: Any, own: Any, iteration: int) -> None:
        ENDED.append(iteration)

    def stop_requested(self) -> bool:
        return bool(ENDED)


ENDED: list[int] = []


def test_a_trace_is_whole_where_training_ends_in_the_middle_of_it(algorithm: Any, state: Any, tmp_path: Path):
    """It has what was done until then."""
    callback = ProfileCallback(tmp_path, num_iterations=50)
    last = algorithm.run(state, 8 * algorithm.steps_per_iteration, callback=[callback, Ends()])
    assert int(last.iteration_count) == 3
    assert of_programs(callback.path) == {"jit_chunk"} and 1 <= runs_of(callback.path) <= 2


def test_there_is_no_trace_of_nothing(algorithm: Any, state: Any, tmp_path: Path):
    """Where the second iteration is not begun."""
    callback = ProfileCallback(tmp_path)
    algorithm.run(state, algorithm.steps_per_iteration, callback=callback)
    assert callback.path is None and not list(tmp_path.iterdir())


class Fails(AbstractCallback):
    """Raises after three iterations."""

    def next_due(self, iteration: int) -> int | None:
        return 3 if iteration < 3 else None

    def on_host(self, state: Any, own: Any, iteration: int) -> None:
        raise KeyError("in the middle")


def test_a_trace_is_written_where_training_raises(algorithm: Any, state: Any, tmp_path: Path):
    """By `close`; and the next training is traced as if nothing had been."""
    callback = ProfileCallback(tmp_path, num_iterations=50)
    with pytest.raises(KeyError, match="in the middle"):
        algorithm.run(state, 8 * algorithm.steps_per_iteration, callback=[callback, Fails()])
    callback.close()
    callback.close()
    assert callback.path is not None and of_programs(callback.path) == {"jit_chunk"}


def test_a_long_iteration_is_cut(algorithm: Any, state: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """After some time the trace ends by itself: here at once, long before its iterations are over."""
    ended = []

    class Timer:
        daemon = False

        def __init__(self, seconds: float, end: Any):
            assert seconds == module.LONGEST_SECONDS
            self._end = end

        def start(self) -> None:
            self._end()
            ended.append(callback.path)

        def cancel(self) -> None:
            pass

    monkeypatch.setattr(module.threading, "Timer", Timer)
    callback = ProfileCallback(tmp_path, num_iterations=5)
    algorithm.run(state, 8 * algorithm.steps_per_iteration, callback=callback)
    assert ended == [callback.path] and callback.path.exists()


def test_what_hinders_it_is_a_warning(algorithm: Any, state: Any, tmp_path: Path):
    """P1: somebody else traces; the file cannot be written. Training goes on to its end."""
    jax.profiler.start_trace(str(tmp_path / "theirs"))
    try:
        callback = ProfileCallback(tmp_path / "ours")
        with pytest.warns(LeraxWarning, match="no profile: RuntimeError: Profile has already been started"):
            last = algorithm.run(state, 8 * algorithm.steps_per_iteration, callback=callback)
    finally:
        jax.profiler.stop_trace()
    assert int(last.iteration_count) == 8 and callback.path is None
    (tmp_path / "file").touch()
    callback = ProfileCallback(tmp_path / "file")
    with pytest.warns(LeraxWarning, match="no profile: FileExistsError"):
        last = algorithm.run(state, 8 * algorithm.steps_per_iteration, callback=callback)
    assert int(last.iteration_count) == 8 and callback.path is None


def test_a_wrong_number_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="num_iterations"):
        ProfileCallback(tmp_path, num_iterations=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs alike, one of which was traced; what the commands said is beside them."""
    folder = tmp_path_factory.mktemp("profile")
    one = terminal.warm(*SHORT, "--name", "plain", cwd=folder)
    two = terminal.run(*SHORT, "--name", "traced", "--profile", cwd=folder)
    assert (one.returncode, two.returncode) == (0, 0), two.stderr
    (folder / "said").write_text(two.stderr)
    return folder


def test_the_command_says_where_its_trace_is(folder: Path):
    """In run.json, in its summary with what opens it, and `verify` knows the file."""
    run = folder / "logs" / "traced"
    facts = terminal.facts(run)
    assert facts["profile"] == "profile/from_iteration_2.json.gz"
    assert of_programs(run / facts["profile"]) == {"jit_chunk"}
    assert f"logs/traced/{facts['profile']}" in (said := (folder / "said").read_text())
    assert "ui.perfetto.dev" in said
    (found,) = [one for one in verify.check(find(str(run))) if one.name == facts["profile"]]
    assert not found.wrong and "events" in found.said


def test_a_damaged_trace_is_found(folder: Path, tmp_path: Path):
    """Cut, of something else, or without events."""
    trace = tmp_path / "x.json.gz"
    checks = verify._Check.__new__(verify._Check)
    whole = (folder / "logs" / "traced" / "profile" / "from_iteration_2.json.gz").read_bytes()
    for data, words in (
        (whole[:1000], "no whole"),
        (b"{}", "no whole"),
        (gzip.compress(b"{}"), "traceEvents"),
    ):
        trace.write_bytes(data)
        with pytest.raises(ValueError, match=words):
            checks._trace(trace)


def test_the_command_trains_the_same_with_it(folder: Path):
    """Policies and checkpoints, of which each can go on with or without."""
    for name in ("policy.eqx", "checkpoints/000000002048.lerax"):
        one, two = (archive_of(folder / "logs" / run / name) for run in ("plain", "traced"))
        assert one == two
    assert "profile" not in terminal.facts(folder / "logs" / "plain")


def archive_of(path: Path) -> dict[str, bytes]:
    """The arrays of a file by name, as bytes."""
    with Archive(path) as file:
        found = {entry.name: bytearray(entry.size or 0) for entry in file.entries}
        file.read({name: memoryview(data) for name, data in found.items()})
    return {name: bytes(data) for name, data in found.items()}


def test_a_run_goes_on_with_it(folder: Path):
    """Where it was begun without; the steps since then are traced."""
    done = terminal.run(
        "resume", "plain", "--steps", "+2048", "--profile", "--json", "--progress", "off", cwd=folder
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["profile"] == "profile/from_iteration_6.json.gz"


def test_a_training_too_short_for_it_says_so(tmp_path: Path):
    """There is a second iteration in none of 512 steps."""
    done = terminal.run(
        *SHORT[:2], "--preset", "none", "--steps", "512", "--seed", "1", "--profile", "-q", cwd=tmp_path
    )
    assert done.returncode == 0 and "warning: --profile: no trace" in done.stderr
    assert "profile" not in terminal.facts(terminal.only_run(tmp_path / "logs"))


def test_several_seeds_are_refused(tmp_path: Path):
    """In one line, before anything is made."""
    refuse(
        terminal.run(*SHORT[:2], "--seeds", "3,4", "--profile", cwd=tmp_path), 2, ["--profile", "--seed 3"]
    )
    assert not list(tmp_path.iterdir())
