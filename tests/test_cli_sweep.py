"""`lerax sweep`: a sweep from its first trial to the winner, joined, taken over, stopped and refused."""

import json
import re
import shutil
import signal
import tomllib
from pathlib import Path

import in_process
import numpy as np
import pytest
import terminal
from test_cli_inputs import refuse
from test_cli_resume import check_same, saved

from lerax import runs
from lerax.study.statistics import interval, iqm
from lerax.sweep.ranking import counts
from lerax.sweep.study import Sweep
from lerax_cli import sweep as command

TRAIN = ("CartPole-v1", "--preset", "none", "--steps", "2048")
GRID = ("sweep", *TRAIN, "--try", "gamma=0.9,0.99", "--sampler", "grid")
STEPS = 20_480
LONG = ("sweep", "CartPole-v1", "--preset", "none", "--steps", str(STEPS), "--save-every", "2048")
LONG = (*LONG, "--try", "gamma=0.9,0.99", "--sampler", "grid", "--name", "long")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a grid of two trials of two seeds each."""
    folder = tmp_path_factory.mktemp("sweep")
    done = terminal.warm(*GRID, "--seeds", "2", "--name", "grid", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "outcome.json").write_text(done.stdout)
    return folder


def test_trials_are_ordinary_runs(folder: Path):
    grid = folder / "logs" / "grid"
    names = ["best.toml", "journal.log", "sweep.lock", "sweep.toml", "trial_0000", "trial_0001"]
    assert sorted(path.name for path in grid.iterdir()) == names
    trained = [
        runs.load_run(grid / f"trial_000{trial}" / f"seed_{seed}") for trial in (0, 1) for seed in (0, 1)
    ]
    assert [run.config["algorithm"]["gamma"] for run in trained] == [0.9, 0.9, 0.99, 0.99]
    solo = ("train", *TRAIN, "--set", "gamma=0.99", "--seed", "1", "--name", "solo", "--progress", "off")
    assert terminal.warm(*solo, cwd=folder).returncode == 0
    check_same(grid / "trial_0001" / "seed_1", folder / "logs" / "solo")
    listed = json.loads(in_process.run("runs", "--out", "logs/grid", "--json", cwd=folder).stdout)
    assert len(listed) == 4


def test_the_outcome_ranks_by_the_seeds(folder: Path):
    found = json.loads((folder / "outcome.json").read_text())
    assert (found["sweep"], found["status"]) == ("logs/grid", "finished")
    assert found["trials"] == {"complete": 2, "running": 0, "pruned": 0, "failed": 0, "left": 0}
    scores = {}
    for row in found["ranking"]:
        ends = runs.seeds_of(folder / "logs" / "grid" / f"trial_{row['trial']:04d}")
        scores[row["trial"]] = [run.score for run in ends]
        assert row["scores"] == {"0": ends[0].score, "1": ends[1].score}
        assert row["score"] == pytest.approx(float(iqm([scores[row["trial"]]])))
        assert row["interval"] == pytest.approx(list(interval(iqm, [scores[row["trial"]]])))
        assert row["settings"] == {"gamma": (0.9, 0.99)[row["trial"]]}
    assert found["ranking"][0]["trial"] == max(scores, key=lambda trial: np.mean(scores[trial]))


def test_the_winner_is_a_preset_that_trains(folder: Path):
    best = json.loads((folder / "outcome.json").read_text())["ranking"][0]
    line = "lerax train CartPole-v1 --preset logs/grid/best.toml"
    shown = in_process.run("sweep", "show", "grid", cwd=folder)
    assert shown.stderr.splitlines()[-1] == f"train       {line}"
    head, first, *_ = shown.stdout.splitlines()
    assert head.split() == ["TRIAL", "SCORE", "95", "%", "INTERVAL", "SEEDS", "gamma", "STATE"]
    assert first.split()[:2] == [str(best["trial"]), f"{best['score']:.1f}"]
    done = terminal.warm(*line.split()[1:], "--seed", "0", "--name", "again", "--progress", "off", cwd=folder)
    assert done.returncode == 0, done.stderr
    check_same(folder / "logs" / "again", folder / "logs" / "grid" / f"trial_{best['trial']:04d}" / "seed_0")


def test_what_is_complete_trains_nothing_more(folder: Path):
    before = sorted((path, path.stat().st_mtime_ns) for path in (folder / "logs" / "grid").rglob("*.eqx"))
    for line in (("grid",), ("logs/grid/sweep.toml",), (*GRID[1:], "--seeds", "2", "--name", "grid")):
        done = terminal.warm("sweep", *line, cwd=folder)
        assert (done.returncode, done.stdout) == (0, "logs/grid\n"), done.stderr
    assert before == sorted(
        (path, path.stat().st_mtime_ns) for path in (folder / "logs" / "grid").rglob("*.eqx")
    )
    told = json.loads(in_process.run("sweep", "show", "grid", "--json", cwd=folder).stdout)
    assert told["ranking"] == json.loads((folder / "outcome.json").read_text())["ranking"]


def test_a_file_says_the_same_as_options_and_the_same_line_joins(tmp_path: Path):
    """Without a name it is called by what is swept. More trials go on; what cannot be trained is marked."""
    table = '[sweep]\ntrials = 1\nsampler = "grid"\n[sweep.try]\nnum_steps = [128, 100]\n'
    (tmp_path / "mine.toml").write_text(f'env = "CartPole-v1"\npreset = "none"\nsteps = 2048\n{table}')
    own = ("--set", "num_batches=32", "--progress", "plain")
    done = terminal.warm("sweep", "mine.toml", *own, cwd=tmp_path)
    assert (done.returncode, done.stdout[:27]) == (0, "logs/ppo_CartPole-v1_sweep_"), done.stderr
    options = ("--try", "num_steps=128,100", "--sampler", "grid", "--trials", "2")
    again = terminal.warm("sweep", *TRAIN, *options, *own, cwd=tmp_path)
    assert (again.returncode, again.stdout) == (0, done.stdout), again.stderr
    assert "trial 1 has failed: " in again.stderr and "num_envs * num_steps = 400" in again.stderr
    sweep = Sweep(tmp_path / done.stdout.strip())
    assert counts(sweep.trials()) == {"complete": 1, "running": 0, "pruned": 0, "failed": 1}
    assert tomllib.loads((sweep.path / "sweep.toml").read_text())["sweep"]["trials"] == 2


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["killed", "ended"])
def test_a_trial_goes_on_bitwise_in_another_worker(tmp_path: Path, number: int):
    first = tmp_path / "logs" / "long" / "trial_0000" / "seed_0"
    with terminal.started(terminal.LERAX, *LONG, cwd=tmp_path) as process:
        terminal.wait_for(lambda: saved(first)[-1:] > [0], process)
        process.send_signal(number)
        code = process.wait()
    assert code == (-number if number == signal.SIGKILL else 128 + number)
    assert runs.read(first).status == ("died" if number == signal.SIGKILL else "interrupted")
    shown = in_process.run("sweep", "show", "long", cwd=tmp_path)
    assert "long: 1 left" in shown.stderr and shown.stdout.splitlines()[1].split()[-1] == "left"
    done = terminal.run("sweep", "long", "--trials", "1", "--progress", "plain", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "trial=0 phase=going-on gamma=0.9" in done.stderr
    whole = ("train", "--config", str(first / "config.toml"), "--name", "whole", "--progress", "off")
    assert terminal.warm(*whole, cwd=tmp_path).returncode == 0
    check_same(first, tmp_path / "logs" / "whole")
    assert len(terminal.facts(first)["sessions"]) == 1


def test_a_time_limit_leaves_a_trial_to_the_next_worker(tmp_path: Path):
    done = terminal.warm(*LONG, "--time-limit", "0.001s", "--progress", "plain", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "logs/long\n")
    assert "go on       lerax sweep logs/long" in done.stderr


def test_a_worker_ends_after_as_many_trials_as_it_was_told(tmp_path: Path):
    for count, state in (("0", "no trial yet"), ("1", "1 complete"), ("1", "2 complete")):
        done = terminal.warm(*GRID, "--name", "few", "--count", count, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, "logs/few\n"), done.stderr
        assert f"few: {state}, of 2 trials" in done.stderr
        assert ("go on       lerax sweep logs/few" in done.stderr) == (state != "2 complete")


def test_a_trial_without_an_update_says_so(tmp_path: Path):
    line = ("sweep", "CartPole-v1", "--algo", "dqn", "--preset", "none", "--steps", "256")
    done = terminal.warm(*line, "--try", "learning_starts=5000", "--sampler", "grid", cwd=tmp_path)
    assert "warning: trial 0: no update is made in 256 steps: learning_starts = 5000" in done.stderr


def test_a_trial_that_diverges_is_marked_and_the_next_one_begins(tmp_path: Path):
    line = ("sweep", *TRAIN, "--try", "learning_rate=1e30,1e-3", "--sampler", "grid", "--name", "wild")
    done = terminal.warm(*line, "--progress", "plain", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "trial 0 has failed: seed 0: diverged at iteration" in done.stderr
    shown = in_process.run("sweep", "show", "wild", cwd=tmp_path).stdout.splitlines()
    assert shown[1].split()[0] == "1" and "failed: seed 0: diverged at iteration" in shown[2]


WRONG = [
    ((), ["--try", "missing", "learning_rate=log:1e-4..1e-2"]),
    (("--try", "gama=0.9,0.99"), ["--try", "gama", "did you mean gamma"]),
    (("--try", "gamma"), ["--try", "KEY=VALUES", "'gamma'"]),
    (("--try", "gamma=0.9..1.5"), ["--try: gamma", "1.5", "at most 1"]),
    (("--try", "policy.activation=relu,tan"), ["policy.activation", "'tan'", "relu"]),
    (("--try", "foo.bar=1,2"), ["--try", "'foo'", "env, algorithm, policy"]),
    (("--try", "gamma=0.9,0.99", "--set", "gamma=0.9"), ["--set", "gamma is tried"]),
    (("--try", "gamma=0.9..0.99", "--sampler", "grid"), ["--sampler", "gamma is a range"]),
    (("--try", "gamma=0.9,0.99", "--sampler", "grid", "--trials", "3"), ["--trials", "at most 2"]),
    (("--try", "gamma=0.9,0.99", "--trials", "3"), ["--trials", "at most 2"]),  # a grid by itself
    (("--try", "gamma=0.9,0.99", "--try", "gamma=0.8"), ["--try", "gamma: given twice", "0.8"]),
    (("--try", "gamma=0.9,0.99", "--sampler", "cma"), ["--sampler", "'cma'", "tpe, random, grid"]),
    (("--try", "gamma=0.9,0.99", "--pruner", "x"), ["--pruner", "'x'", "hyperband"]),
    (("--try", "gamma=0.9,0.99", "--goal", "x"), ["--goal", "'x'", "iqm, mean"]),
    (("--try", "gamma=0.9,0.99", "--trials", "0"), ["--trials", "at least 1"]),
    (("--try", "gamma=0.9,0.99", "--count", "-1"), ["--count", "at least 0"]),
    (("--try", "gamma=0.9,0.99", "--name", "a/b"), ["--name", "a/b"]),
]


@pytest.mark.parametrize(("words", "said"), WRONG, ids=[" ".join(words) or "nothing" for words, _ in WRONG])
def test_what_is_wrong_is_refused_at_once(tmp_path: Path, words: tuple[str, ...], said: list[str]):
    refuse(in_process.run("sweep", "CartPole-v1", *words, cwd=tmp_path), 2, said)
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nope.toml",), ["SWEEP", "nope.toml"]),
        (("show", "nope"), ["SWEEP", "no sweep", "'nope'"]),
        (("show",), ["SWEEP", "missing", "there is grid"]),
        (("CartPole-v1", "more", "--try", "gamma=0.9,0.99"), ["one argument", "show SWEEP"]),
        (("grid", "--name", "other"), ["--name", "grid", "'other'"]),
        (("gird",), ["ENV|FILE.toml|SWEEP", "'gird'"]),
        (("CartPole", "--try", "gamma=0.9,0.99"), ["ENV", "did you mean CartPole-v1"]),
    ],
)
def test_a_sweep_that_there_is_not(folder: Path, words: tuple[str, ...], said: list[str]):
    refuse(in_process.run("sweep", *words, cwd=folder), 2, said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("trails = 3", ["sweep.trails", "did you mean trials"]),
        ("trials = 0", ["sweep.trials", "at least 1"]),
        ("try = 3", ["[sweep.try]"]),
        ("[sweep.try]\ngamma = 2.0", ["sweep.try: gamma", "at most 1"]),
        ("[sweep.try]", ["--try", "missing"]),
    ],
)
def test_a_file_that_is_wrong(tmp_path: Path, text: str, said: list[str]):
    (tmp_path / "mine.toml").write_text(f'env = "CartPole-v1"\n[sweep]\n{text}\n')
    refuse(in_process.run("sweep", "mine.toml", cwd=tmp_path), 2, said)


def test_another_sweep_of_the_name(folder: Path, tmp_path: Path):
    shutil.copytree(folder / "logs" / "grid", tmp_path / "logs" / "grid")
    for more, said in (("--set", "num_envs=2"), "algorithm.num_envs"), (("--goal", "mean"), "sweep.goal"):
        done = terminal.warm(*GRID, "--seeds", "2", "--name", "grid", *more, cwd=tmp_path)
        refuse(done, 2, ["--name", said])
    (tmp_path / "logs" / "other").mkdir()
    (tmp_path / "logs" / "other" / "mine.txt").touch()
    refuse(terminal.warm(*GRID, "--name", "other", cwd=tmp_path), 2, ["--name", "no sweep", "mine.txt"])


def test_a_journal_that_is_damaged(folder: Path, tmp_path: Path):
    shutil.copytree(folder / "logs" / "grid", tmp_path / "logs" / "grid")
    journal = tmp_path / "logs" / "grid" / "journal.log"
    first, *rest = journal.read_bytes().splitlines(keepends=True)
    for text in (b"x" + first, b'{"op_code": 77}\n', b"[]\n", b'{"op_code": 5}\n'):
        journal.write_bytes(text + b"".join(rest))
        refuse(in_process.run("sweep", "show", "grid", cwd=tmp_path), 1, ["SWEEP", "journal.log is damaged"])
    refuse(terminal.warm("sweep", "grid", cwd=tmp_path), 1, ["SWEEP", "journal.log is damaged"])


def test_without_optuna_one_line_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None)
    refuse(in_process.run(*GRID, cwd=tmp_path), 1, ["Optuna", "pip install 'lerax[sweep]'"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("steps = 3", ["--preset", "'steps'", "[ppo]"]),
        ("[dqn]\nsteps = 3", ["--preset", "mine.toml has none for ppo", "dqn"]),
        ("env = 3", ["--preset", "env"]),
        ("[ppo.algorithm]\ngama = 0.9", ["gama", "did you mean gamma"]),
    ],
)
def test_a_preset_of_ones_own_that_is_wrong(tmp_path: Path, text: str, said: list[str]):
    (tmp_path / "mine.toml").write_text(text)
    words = ("CartPole-v1", "--algo", "ppo", "--preset", "mine.toml")
    refuse(in_process.run("train", *words, cwd=tmp_path), 2, said)


def test_the_table_in_a_terminal(tmp_path: Path):
    """Counts, and the best trials with their settings; below them what one would do next."""
    line = ("sweep", *TRAIN, "--try", "gamma=0.9,0.99", "--sampler", "grid", "--name", "seen")
    with terminal.Terminal(*line, cwd=tmp_path, size=(80, 24)) as shown:
        assert shown.finish() == 0
        lines = [line.split() for line in shown.text().splitlines()]
    assert ["trial", "score", "95", "%", "interval", "gamma"] in lines
    assert ["trials", "2", "complete"] in lines
    assert ["train", "lerax", "train", "CartPole-v1", "--preset", "logs/seen/best.toml"] in lines


def test_what_is_trained_now_in_a_terminal(tmp_path: Path):
    line = ("sweep", *terminal.ENDLESS, "--try", "gamma=0.9,0.99", "--sampler", "grid", "--name", "seen")
    with terminal.Terminal(*line, cwd=tmp_path, size=(80, 24)) as shown:
        shown.wait_for(
            lambda: re.search(r"trials  1 running[^$]*\n +0 +\d[\d.]* +training 0% +0.9\n", shown.text())
        )
        assert shown.interrupt() == 130
        assert "go on       lerax sweep logs/seen" in shown.text()
