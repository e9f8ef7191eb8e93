"""Several processes that want one run, of which one trains; and runs that go on without a home."""

import contextlib
import re
import shutil
from pathlib import Path

import pytest
import terminal
from faults import count
from test_cli_resume import check_same

WORDS = ("CartPole-v1", "--preset", "none", "--steps", "20480", "--save-every", "2048", "--seed", "1")
TRAIN = ("train", *WORDS, "--progress", "off")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that is whole, and one that was paused."""
    folder = tmp_path_factory.mktemp("together")
    for name, more in (("whole", ()), ("paused", ("--time-limit", "0.001s"))):
        done = terminal.run(*TRAIN, "--name", name, *more, cwd=folder)
        assert done.returncode == 0, done.stderr
    return folder


def at_once(number: int, *words: str, cwd: Path) -> list[tuple[int, str]]:
    """Exit codes and errors of the same command, started so many times within a second."""
    with contextlib.ExitStack() as stack:
        started = [
            stack.enter_context(terminal.started(terminal.LERAX, *words, cwd=cwd)) for _ in range(number)
        ]
        errors = [process.communicate(timeout=terminal.SECONDS)[1] for process in started]
        return [(process.returncode, error) for process, error in zip(started, errors, strict=True)]


def check_one_trained(ended: list[tuple[int, str]]) -> None:
    """It may have ended before another one asks: to that one the run is complete."""
    trained = [error for code, error in ended if code == 0 and "finished after" in error]
    complete = [error for code, error in ended if code == 0 and "is complete after" in error]
    refused = [error for code, error in ended if code in (1, 2)]
    assert len(trained) == 1 and len(trained + complete + refused) == len(ended), ended
    for error in refused:
        assert re.fullmatch(r"lerax: error: .*(is being trained by |exists|begins it).*\n", error), ended


def test_of_two_resumes_one_trains(folder: Path):
    shutil.copytree(folder / "logs" / "paused", folder / "logs" / "twice")
    check_one_trained(at_once(2, "resume", "twice", "--progress", "off", cwd=folder))
    check_same(folder / "logs" / "twice", folder / "logs" / "whole")
    assert len(terminal.facts(folder / "logs" / "twice")["sessions"]) == 1


@pytest.mark.parametrize("number", count(5, 0))
def test_of_eight_that_begin_a_run_one_trains(folder: Path, number: int):
    """As a scheduler does that starts a job again before it is sure that the last one is gone."""
    name = f"eight-{number}"
    check_one_trained(at_once(8, *TRAIN, "--name", name, "--resume", "auto", cwd=folder))
    check_same(folder / "logs" / name, folder / "logs" / "whole")


@pytest.mark.parametrize("number", count(1, 0))
def test_eight_runs_of_one_second(folder: Path, number: int):
    """Each has a directory of its own, and learns the same."""
    ended = at_once(8, *TRAIN, "--out", f"own-{number}", cwd=folder)
    assert [code for code, _ in ended] == [0] * 8, ended
    runs = [*(folder / f"own-{number}").iterdir()]
    assert len(runs) == 8
    for run in runs:
        check_same(run, folder / "logs" / "whole")


@pytest.mark.parametrize(
    "changes",
    [
        {"HOME": None, "LC_ALL": "C", "TERM": "dumb", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"HOME": "/proc/1", "XDG_CACHE_HOME": None, "JAX_COMPILATION_CACHE_DIR": None, "LC_ALL": "POSIX"},
    ][: len(count(2, 1))],
    ids=["no home", "a home that cannot be written"][: len(count(2, 1))],
)
def test_a_resume_needs_no_home(folder: Path, tmp_path: Path, changes: dict[str, str | None]):
    """Nor a locale, in a folder whose name is not ASCII."""
    place = tmp_path / "läufe"
    shutil.copytree(folder / "logs" / "paused", place / "paused")
    done = terminal.whole("resume", "paused", "--out", "läufe", cwd=tmp_path, **changes)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    check_same(place / "paused", folder / "logs" / "whole")
