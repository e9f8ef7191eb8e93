"""Where a run began: held against git itself."""

import json
import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
import terminal

from lerax import provenance
from lerax.run import RunDirectory, read_facts

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")


def git(folder: Path, *words: str) -> str:
    """What git says."""
    name = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.com")
    done = subprocess.run(["git", *name, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in git with one file."""
    folder = tmp_path / "mine"
    (folder / "inside").mkdir(parents=True)
    (folder / "task.py").write_text("speed = 1\n")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


@needs_git
def test_a_commit_and_what_differs_from_it(folder: Path):
    head = git(folder, "rev-parse", "HEAD").strip()
    for place in (folder, folder / "inside"):
        assert provenance.Provenance(place).facts(60.0)["git"] == {"commit": head, "dirty": False}
    (folder / "task.py").write_text("speed = 2\n")
    found = provenance.Provenance(folder).facts(60.0)["git"]
    assert found == {"commit": head, "dirty": True, "diff": git(folder, "diff", "HEAD")}
    assert "-speed = 1\n+speed = 2\n" in found["diff"]
    git(folder, "add", ".")  # what is to be in the next commit is not in this one
    assert provenance.changes(folder)["dirty"]


@needs_git
def test_a_long_diff_is_cut_and_what_is_no_unicode_is_replaced(folder: Path):
    (folder / "task.py").write_bytes(b"\xff\n" + b"x\n" * 100_000)
    diff = provenance.changes(folder)["diff"]
    assert 2**16 - 10 < len(diff.encode()) < 2**16 + 10 and "\ufffd" in diff


@needs_git
def test_no_commit_yet_is_nothing(tmp_path: Path):
    git(tmp_path, "init", "-q")
    assert provenance.commit(tmp_path) == {}


def test_where_there_is_no_git_nothing_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(subprocess, "Popen", None)
    assert provenance.commit(tmp_path) == {}
    (tmp_path / ".git").mkdir()
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance.commit(tmp_path) == {} == provenance.changes(tmp_path)  # there is no program


def test_git_that_takes_long_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What it has said by then is known."""
    asked, answer = threading.Event(), threading.Event()
    monkeypatch.setattr(provenance, "commit", lambda _: {"commit": "c0ffee"})
    monkeypatch.setattr(provenance, "changes", lambda _: asked.set() or answer.wait(60) and {"dirty": False})
    found = provenance.Provenance(tmp_path)
    assert asked.wait(60) and found.facts(0.0)["git"] == {"commit": "c0ffee"}
    answer.set()
    assert found.facts(60.0)["git"] == {"commit": "c0ffee", "dirty": False}


def test_the_machine():
    found = provenance.machine()
    assert found["system"].startswith(os.uname().sysname) and found["cores"] == os.cpu_count()
    if "model name" in Path("/proc/cpuinfo").read_text():
        assert found["processor"] in Path("/proc/cpuinfo").read_text()


def test_a_run_that_goes_on_keeps_commits_and_not_every_diff(tmp_path: Path):
    for number in range(3):
        state = {"commit": f"{number}", "dirty": True, "diff": "+ a line\n" * 1000}
        RunDirectory(tmp_path, git=state).finish("paused", steps=1)
    facts = read_facts(tmp_path)
    assert facts["git"]["diff"].startswith("+ a line") and facts["git"]["commit"] == "2"
    assert [one["git"] for one in facts["sessions"]] == [
        {"commit": "0", "dirty": True},
        {"commit": "1", "dirty": True},
    ]


@needs_git
def test_a_training_says_where_it_began(folder: Path):
    """And `lerax runs show` how much was changed, not all of it."""
    (folder / "task.py").write_text("speed = 2\n")
    done = terminal.warm("train", *terminal.BRIEF, "-q", "--name", "mine", cwd=folder)
    assert done.returncode == 0, done.stderr
    facts = json.loads((folder / "logs/mine/run.json").read_text())
    assert facts["git"]["commit"] == git(folder, "rev-parse", "HEAD").strip()
    assert facts["git"]["diff"] == git(folder, "diff", "HEAD")
    assert facts["machine"]["cores"] == os.cpu_count()
    shown = terminal.warm("runs", "show", "mine", cwd=folder).stdout
    lines = len(facts["git"]["diff"].splitlines())
    assert f"dirty true, diff {lines} lines" in shown and "speed" not in shown
