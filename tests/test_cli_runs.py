"""`lerax runs`, on directories made by hand: the list, all of one run, and what is removed."""

import json
import os
import re
import sys
from pathlib import Path

import pytest
import terminal
from in_process import run as lerax
from made_runs import make
from test_cli_inputs import refuse

from lerax_cli import report

ENDED = ("alpha", "beta", "gone", "pole")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Runs of two environments in `logs`, one of which lives and one has died."""
    logs = tmp_path / "logs"
    make(logs, "alpha", day=1, score=100.0)
    make(logs, "beta", day=2, score=200.25)
    make(logs, "pole", day=3, env="Pendulum-v1", status="interrupted")
    make(logs, "gone", day=4, status="running", silent=600.0, rows=({"step": 64, "episode/return": 9.0},))
    make(logs, "lives", day=5, status="running", rows=({"step": 1024},))
    return tmp_path


def listed(*options: str, cwd: Path) -> list[str]:
    return [row["name"] for row in json.loads(lerax("runs", "--json", *options, cwd=cwd).stdout)]


def test_the_list_is_a_table(folder: Path):
    """A line for each run, in the order in which they began."""
    done = lerax("runs", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    head, *cells = [re.split(r"\s{2,}", line) for line in done.stdout.splitlines()]
    assert head == ["NAME", "ENV", "ALGO", "STATUS", "STEPS", "SCORE", "AGE", "SIZE"]
    assert cells[0][:6] == ["alpha", "CartPole-v1", "ppo", "finished", "2,048 of 10,000", "100.0"]
    assert [row[0] for row in cells] == ["alpha", "beta", "pole", "gone", "lives"]
    assert [row[3] for row in cells] == ["finished", "finished", "interrupted", "died", "running"]
    assert cells[3][4:6] == ["64 of 10,000", "9.0"] and all(row[-1].endswith("kB") for row in cells)


def test_the_list_can_be_narrowed(folder: Path):
    assert listed("--status", "died,interrupted", cwd=folder) == ["pole", "gone"]
    assert listed("--env", "pendulum-v1", cwd=folder) == ["pole"]
    assert listed(
        "--out", "elsewhere/../logs", "--status", "running", cwd=make(folder, "elsewhere").parent
    ) == ["lives"]
    done = lerax("runs", "--status", "failed", cwd=folder)
    assert (done.returncode, done.stdout) == (0, "") and "no such run in logs" in done.stderr


def test_the_list_as_json(folder: Path):
    (beta,) = [row for row in json.loads(lerax("runs", "--json", cwd=folder).stdout) if row["name"] == "beta"]
    age, size = beta.pop("age_seconds"), beta.pop("bytes")
    assert beta == {
        "name": "beta",
        "path": "logs/beta",
        "env": "CartPole-v1",
        "algo": "ppo",
        "status": "finished",
        "problem": None,
        "steps": 2048,
        "total": 10_000,
        "score": 200.25,
        "started": "2026-01-02T12:00:00+00:00",
    }
    assert age > 0 and size > 0


def test_all_that_is_known_of_a_run(folder: Path):
    """Facts, settings beside the usual ones, checkpoints, files, and what can be done."""
    run = make(folder / "logs", "other", status="interrupted", versions={"jax": "1.2.3"})
    (run / "policy.eqx").touch()
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "000000001024.lerax").write_text("damaged")
    done = lerax("runs", "show", "other", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    for words in (
        "ppo on CartPole-v1",
        "interrupted",
        "2,048 of 10,000",
        "2026-01-01T12:00:00",
        "jax 1.2.3",
        "0.5 (preset 0.98)",
        "000000001024.lerax",
        "not a file of lerax",
        "config.toml",
        "lerax record-video other",
        "lerax train --config logs/other/config.toml",
    ):
        assert words in done.stdout
    told = json.loads(lerax("runs", "show", "other", "--json", cwd=folder).stdout)
    assert told["settings"] == {"gamma": {"value": 0.5, "preset": 0.98}}
    assert told["facts"]["versions"] == {"jax": "1.2.3"} and told["files"].keys() >= {
        "config.toml",
        "run.json",
    }


def test_what_diverged_is_looked_into_and_not_gone_on_with(folder: Path):
    """It would diverge again."""
    make(folder / "logs", "nans", status="diverged")
    told = json.loads(lerax("runs", "show", "nans", "--json", cwd=folder).stdout)
    assert told["go_on"] == ["lerax replay nans", "lerax train --config logs/nans/config.toml"]
    ended = lerax("watch", "nans", "--once", cwd=folder).stderr.splitlines()[-1]
    assert ended.endswith("; `lerax replay nans` tells why")


def test_ways_on_name_classes_of_ones_own(folder: Path):
    """Typed as they are printed, they would be refused without."""
    run = make(folder / "logs", "own", status="paused", env="mine:Cart")
    (run / "policy.eqx").touch()
    told = json.loads(lerax("runs", "show", "own", "--json", cwd=folder).stdout)
    assert told["go_on"] == [
        "lerax resume own --trust mine:Cart",
        "lerax eval own --trust mine:Cart",
        "lerax record-video own --trust mine:Cart",
        "lerax train mine:Cart --config logs/own/config.toml",
    ]


@pytest.mark.parametrize(
    "text", ["", "{", "[[1]]", '{"status": "running", "process": [], "steps": {}}', "\xff"]
)
def test_a_damaged_run_is_shown_all_the_same(folder: Path, text: str):
    """Whatever stands in its files."""
    for name in ("run.json", "config.toml", "metrics.jsonl"):
        (folder / "logs" / "alpha" / name).write_bytes(text.encode("latin-1"))
    for words in (["runs"], ["runs", "show", "alpha"], ["runs", "show", "alpha", "--json"]):
        done = lerax(*words, cwd=folder)
        assert (done.returncode, done.stderr) == (0, "") and "alpha" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--status", "ended"], ["--status", "'ended'", "finished"]),
        (["--out", "nowhere"], ["--out", "'nowhere'"]),
        (["show"], ["RUN"]),
        (["show", "alpah"], ["RUN", "did you mean alpha"]),
        (["shwo", "alpha"], ["shwo"]),
        (["prune"], ["--keep-best", "--older-than", "--status"]),
        (["prune", "--status", "running", "--yes"], ["--status", "lives"]),
        (["prune", "--older-than", "soon", "--yes"], ["--older-than", "'soon'", "30d"]),
        (["prune", "--keep-best", "0", "--yes"], ["--keep-best", "at least 1"]),
        (["prune", "--keep-best", "1"], ["--yes", "no terminal"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_what_cannot_be_is_refused(folder: Path, arguments: list[str], words: list[str]):
    refuse(lerax("runs", *arguments, cwd=folder), 2, words)
    assert {path.name for path in (folder / "logs").iterdir()} == {*ENDED, "lives"}


@pytest.mark.parametrize(
    ("options", "gone"),
    [
        (["--status", "died"], {"gone"}),
        (["--status", "died,interrupted"], {"gone", "pole"}),
        (["--keep-best", "1"], {"alpha"}),
        (["--keep-best", "1", "--status", "finished,died,interrupted"], {"alpha", "gone", "pole"}),
        (["--older-than", "5m"], set()),
        (["--older-than", "5m", "--status", "died"], {"gone"}),
        (["--older-than", "1h"], set()),
    ],
    ids=lambda value: " ".join(value if isinstance(value, list) else sorted(value)),
)
def test_prune_removes_what_can_go(folder: Path, options: list[str], gone: set[str]):
    """A dry run says the same and removes nothing; a run that lives stays in any case."""
    there = lambda: {path.name for path in (folder / "logs").iterdir()}
    tried = lerax("runs", "prune", *options, "--dry-run", cwd=folder)
    assert tried.returncode == 0 and there() == {*ENDED, "lives"}
    done = lerax("runs", "prune", *options, "--yes", cwd=folder)
    assert done.returncode == 0 and done.stdout == tried.stdout
    assert {line.split()[0] for line in done.stdout.splitlines()[1:]} == gone
    assert there() == {*ENDED, "lives"} - gone
    assert not gone or f"removed {len(gone)} run" in done.stderr and "kB are free again" in done.stderr


@pytest.mark.parametrize(
    ("answer", "left"), [("y", {"lives"}), ("n", {*ENDED, "lives"}), ("", {*ENDED, "lives"})]
)
def test_prune_asks_on_a_terminal(folder: Path, answer: str, left: set[str]):
    words = ("runs", "prune", "--status", "finished,interrupted,died")
    with terminal.Terminal(*words, cwd=folder, size=(80, 24)) as shown:
        shown.wait_for(lambda: "[y/N]" in shown.text())
        assert "Remove 4 of 5 runs in logs" in shown.text()
        shown.type(f"{answer}\n")
        assert shown.finish() == 0
    assert {path.name for path in (folder / "logs").iterdir()} == left


def test_prune_is_left_with_ctrl_c(folder: Path):
    """One line, the exit code of the signal, and nothing is removed."""
    with terminal.Terminal("runs", "prune", "--status", "died", cwd=folder, size=(80, 24)) as shown:
        shown.wait_for(lambda: "[y/N]" in shown.text())
        assert shown.interrupt() == 130
        assert shown.text().split("[y/N]")[1].split() == "lerax: nothing was removed".split()
    assert {path.name for path in (folder / "logs").iterdir()} == {*ENDED, "lives"}


@pytest.mark.parametrize(
    ("width", "heads"),
    [
        (100, "NAME ENV ALGO STATUS STEPS SCORE AGE SIZE"),
        (90, "NAME ENV STATUS STEPS SCORE AGE"),
        (80, "NAME ENV STATUS STEPS SCORE"),
        (70, "NAME STATUS STEPS SCORE"),
        (60, "NAME STATUS STEPS SCORE"),
        (20, "NAME STATUS STEPS SCORE"),
    ],
)
def test_the_list_fits_a_narrow_terminal(
    folder: Path, monkeypatch: pytest.MonkeyPatch, width: int, heads: str
):
    """Down to where names would be no names any more."""
    name = "a-run-of-a-name-that-is-long"
    make(folder / "logs", name, day=6, score=1.0)
    monkeypatch.setattr(report, "_width", lambda stream: width)
    lines = lerax("runs", cwd=folder).stdout.splitlines()
    assert lines[0].split() == heads.split()
    assert max(map(len, lines)) <= max(width, 49)
    shown = {60: "a-run-of-a-name-that...", 20: "a-run-of-..."}.get(width, name)
    assert lines[-1].split()[0] == shown


def test_settings_whose_defaults_nobody_knows_are_not_called_unusual(folder: Path):
    run = make(folder / "logs", "own", env="mine:Cart")
    text = (run / "config.toml").read_text()
    (run / "config.toml").write_text(text.replace('"mine:Cart"\n', '"mine:Cart"\nlength = 2.0\n'))
    shown = lerax("runs", "show", "own", cwd=folder).stdout
    known, unknown = shown.split("Settings of classes whose defaults are not known here:")
    assert "not the preset's or the defaults:\n  gamma  0.5 (default 0.99)" in known
    assert unknown.split("\n\n")[0].split() == ["env.length", "2.0"]


def test_a_config_that_is_refused_is_not_offered(folder: Path):
    for old, new in (("steps = 10000", "steps = 0"), ("gamma = 0.5", "gamma = 5")):
        run = make(folder / "logs", f"broken {new}", status="paused")
        text = (run / "config.toml").read_text()
        assert old in text
        (run / "config.toml").write_text(text.replace(old, new))
        told = json.loads(lerax("runs", "show", run.name, "--json", cwd=folder).stdout)
        assert told["go_on"] == []


def test_totals_are_those_of_whole_iterations(folder: Path):
    """Where run.json says them; a run of an older version is asked what it was told."""
    make(folder / "logs", "filled", total_steps=10_240)
    lines = lerax("runs", cwd=folder).stdout.splitlines()
    assert "2,048 of 10,240" in "".join(line for line in lines if line.startswith("filled"))
    assert json.loads(lerax("runs", "show", "filled", "--json", cwd=folder).stdout)["total"] == 10_240


def test_a_thousand_runs_are_listed_without_jax(tmp_path: Path):
    """In a process of its own, in less CPU time than an import of JAX takes."""
    for number in range(1000):
        make(tmp_path / "logs", f"run-{number}", day=number % 28 + 1, status="running", silent=600.0)
    program = "import sys; from lerax_cli.app import run; run(['runs']); sys.exit('jax' in sys.modules)"
    before = os.times()
    done = terminal.finish([sys.executable, "-c", program], tmp_path, {})
    after = os.times()
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 1001
    assert after.children_user + after.children_system < before.children_user + before.children_system + 10.0
