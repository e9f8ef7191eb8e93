"""`lerax sweep --ray`: with Ray itself where it is installed, its two sides without it everywhere."""

import importlib
import importlib.util
import json
import os
import sys
import types
from pathlib import Path
from types import SimpleNamespace

import in_process
import pytest
import terminal
from test_cli_inputs import refuse

from lerax.sweep.plan import SweepPlan
from lerax.sweep.space import Range
from lerax.sweep.study import Sweep
from lerax.sweep.trial import COMPLETE, FAILED, Verdict
from lerax_cli import by_ray, followed, report
from lerax_cli import sweep as command
from lerax_cli.parsing import without

LINE = (
    "sweep",
    "CartPole-v1",
    "--preset",
    "none",
    "--steps",
    "2048",
    "--try",
    "learning_rate=log:1e-4..1e-2",
)
HAS_RAY = importlib.util.find_spec("ray") is not None


@pytest.mark.skipif(not HAS_RAY, reason="Ray is not installed: pip install 'lerax[ray]'")
def test_ray_trains_a_sweep(tmp_path: Path):
    """The journal has each trial once, Tune its score; nothing but the result is on standard output."""
    home = tmp_path / "home"
    home.mkdir()
    line = (*LINE, "--trials", "3", "--name", "s", "--ray", "local", "--progress", "plain", "--json")
    done = terminal.whole(*line, cwd=tmp_path, HOME=str(home), RAY_AUTH_TOKEN=None, RAY_AUTH_MODE=None)
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["status"] == "finished"
    assert outcome["trials"] == {"complete": 3, "running": 0, "pruned": 0, "failed": 0, "left": 0}
    shown = json.loads(in_process.run("sweep", "show", "s", "--json", cwd=tmp_path).stdout)
    assert shown["ranking"] == outcome["ranking"]
    assert done.stderr.count("state=complete score=") == 3 and "trial=2 phase=training" in done.stderr
    ends = [
        json.loads(path.read_text().splitlines()[-1])
        for path in tmp_path.glob("logs/s/ray/*/Placed_*/result.json")
    ]
    found = {end["trial"]: (end["score"], end["settings"]) for end in ends}
    assert found == {row["trial"]: (row["score"], row["settings"]) for row in outcome["ranking"]}
    assert [path.name for path in home.iterdir() if path.name.startswith((".ray", "ray"))] == []


@pytest.mark.parametrize("address", ["nope", "", "ray://host:1", "host:x", "os;x:1"])
def test_an_address_that_is_none(tmp_path: Path, address: str):
    refuse(in_process.run(*LINE, "--ray", address, cwd=tmp_path), 2, ["--ray", repr(address), "HOST:PORT"])


def test_without_ray_one_line_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None if name == "ray" else name)
    refuse(in_process.run(*LINE, "--ray", "auto", cwd=tmp_path), 1, ["--ray", "pip install 'lerax[ray]'"])


def test_what_is_wrong_with_a_sweep_is_said_before_ray_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(command, "OF_RAY", ())
    (tmp_path / "logs" / "mine").mkdir(parents=True)
    (tmp_path / "logs" / "mine" / "file.txt").touch()
    done = in_process.run(*LINE, "--ray", "local", "--name", "mine", cwd=tmp_path)
    refuse(done, 2, ["--name", "no sweep", "file.txt"])


def test_words_of_this_command_are_not_those_of_what_trains():
    words = ["--ray", "local", "CartPole-v1", "--device=gpu", "--json", "-q", "--try", "gamma=0.9,0.99"]
    assert without(words, by_ray.OWN, by_ray.OWN_FLAGS) == ["CartPole-v1", "--try", "gamma=0.9,0.99"]


def test_a_worker_ends_with_the_process_that_has_started_it(monkeypatch: pytest.MonkeyPatch):
    sent = []
    monkeypatch.setattr(followed.os, "kill", lambda *told: sent.append(told))
    followed.follow(os.getpid())  # which is not its parent
    assert sent == [(os.getpid(), followed.signal.SIGTERM)]


# The command's side, with a process that takes the place of Ray's.


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return Sweep(tmp_path, SweepPlan({"gamma": Range(0.9, 0.99)}, 4, (0,), "random"))


class Console:
    """Keeps what it is told."""

    def __init__(self):
        self.told = []

    def tell(self, facts):
        self.told.append(dict(facts))

    end_trial = tell

    def give_back(self):
        pass


def placing(sweep: Sweep, monkeypatch: pytest.MonkeyPatch, code: str, received=None):
    start = ([sys.executable, "-c", code], dict(os.environ))
    monkeypatch.setattr(by_ray, "python", lambda *words: start)
    monkeypatch.setattr(by_ray, "LOOK_SECONDS", 0.05)
    signals = SimpleNamespace(received=received, at_once=None)
    console, warned = Console(), report.Warnings()
    log = sweep.path / "ray.log"
    return by_ray.Placing(sweep, {}, log, console, signals, warned, None), console, warned  # type: ignore


CONNECTED = 'print(\'{"connected": "local"}\', flush=True)\n'


def test_trials_are_told_as_the_journal_has_them(sweep: Sweep, monkeypatch: pytest.MonkeyPatch):
    before = sweep.begin()
    assert before is not None
    placed, console, _ = placing(
        sweep, monkeypatch, CONNECTED + "import sys; print('noise', file=sys.stderr)"
    )
    sweep.finish(before, Verdict(COMPLETE, 2.0, {}))
    new = sweep.begin()
    assert new is not None
    sweep.finish(new, Verdict(FAILED, None, {"reason": "seed 0: diverged"}))
    assert placed.work() is None
    assert console.told == [
        {"trial": 0, "state": "complete", "score": 2.0},
        {"trial": 1, "phase": "training"} | new.settings,
        {"trial": 1, "state": "failed"},
    ]
    assert (sweep.path / "ray.log").read_text() == "noise\n"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (CONNECTED + "raise SystemExit(3)", "Ray's process has ended with exit code 3"),
        ("raise SystemExit(1)", "Ray's process has ended with exit code 1"),
        ('print(\'{"failure": "auto: no Ray"}\'); raise SystemExit(1)', "auto: no Ray"),
        ("import time; time.sleep(600)", "no Ray has answered within 0.3 s"),
    ],
)
def test_a_ray_that_fails_is_said(sweep: Sweep, monkeypatch: pytest.MonkeyPatch, code: str, said: str):
    monkeypatch.setattr(by_ray, "CONNECT_SECONDS", 0.3 if "sleep" in code else 60.0)
    assert placing(sweep, monkeypatch, code)[0].work() == said


@pytest.mark.parametrize("code", [CONNECTED + "import sys; sys.stdin.read()", "import time; time.sleep(600)"])
def test_a_signal_ends_it_whether_it_is_connected_or_not(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch, code: str
):
    assert placing(sweep, monkeypatch, code, received=15)[0].work() is None


# Ray's side, with as little of Ray as it takes to be imported.


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch):
    class Trainable:
        trial_id = "t"

    tune = types.ModuleType("ray.tune")
    vars(tune).update(Trainable=Trainable, Callback=object, Stopper=object)
    ray = types.ModuleType("ray")
    vars(ray).update(tune=tune, __file__="/nowhere/ray/__init__.py")
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setitem(sys.modules, "ray.tune", tune)
    monkeypatch.delitem(sys.modules, "lerax_cli.ray_trials", raising=False)
    module = importlib.import_module("lerax_cli.ray_trials")
    yield module
    sys.modules.pop("lerax_cli.ray_trials", None)


def job(trials, sweep: Sweep, most=None):
    (sweep.path / "stop").touch()
    path = str(sweep.path)
    return trials.Job("local", path, path, path, ["sweep"], 4, most, 1, 0, 2)


def placed(trials, sweep: Sweep, monkeypatch: pytest.MonkeyPatch, code: str):
    """A trial of Tune whose process is another one."""
    start = ([sys.executable, "-c", code], dict(os.environ) | {"PYTHONPATH": "/nowhere/ray/own"})
    monkeypatch.setattr(trials, "python", lambda *words: start)
    monkeypatch.setattr(trials, "REPORT_SECONDS", 30.0)
    one = trials.Placed()
    one.setup({}, job=job(trials, sweep))
    return one


WORKER = "import sys; print('trial=0 phase=training', file=sys.stderr, flush=True)\n"


def test_tune_is_told_what_the_journal_says(trials, sweep: Sweep, monkeypatch: pytest.MonkeyPatch):
    begun = sweep.begin()
    assert begun is not None
    sweep.finish(begun, Verdict(COMPLETE, 7.0, {"scores": {"0": 7.0}}))
    told = placed(trials, sweep, monkeypatch, WORKER).step()
    settings = {"trial": 0, "state": "complete", "settings": begun.settings, "score": 7.0}
    assert told == settings | {"steps": 0, "broken": False, "done": True}


def test_a_worker_that_finds_no_trial_is_done(trials, sweep: Sweep, monkeypatch: pytest.MonkeyPatch):
    assert placed(trials, sweep, monkeypatch, "pass").step() == {"done": True}


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (WORKER + "import os; os.kill(os.getpid(), 9)", "exit code -9"),
        ("raise SystemExit('lerax: error: disk: full')", "lerax: error: disk: full"),
    ],
)
def test_a_worker_that_is_lost_is_an_error_of_tunes(
    trials, sweep: Sweep, monkeypatch: pytest.MonkeyPatch, code: str, said: str
):
    begun = sweep.begin()
    with pytest.raises(RuntimeError, match=said):
        placed(trials, sweep, monkeypatch, code).step()
    assert begun is not None
    begun.release()


def test_when_all_is_to_stop_a_worker_is_ended_and_none_begins(
    trials, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
):
    one = placed(trials, sweep, monkeypatch, "import time; time.sleep(600)")
    (sweep.path / "stop").write_text("stop")
    assert one.step() == {"done": True}
    again = trials.Placed()
    again.setup({}, job=one._job)
    assert again.step() == {"done": True} and again._process is None


def test_what_is_missing_is_what_has_not_ended_and_nobody_trains(trials, sweep: Sweep):
    assert job(trials, sweep).missing() == 4
    ended, left = sweep.begin(), sweep.begin()
    assert ended is not None and left is not None
    sweep.finish(ended, Verdict(COMPLETE, 1.0, {}))
    left.release()
    assert job(trials, sweep).missing() == 3


def test_five_that_break_in_a_row_end_it(trials):
    said = []
    trials.Watch.tell = lambda **told: said.append(told)
    for broken in (True, True, True, True, False, True, True, True, True):
        trials.Watch.count(broken, "seed 0: no memory")
    assert not said and not trials.Watch.asked.is_set()
    trials.Watch.count(True, "seed 0: no memory")
    assert said == [{"failure": "5 trials in a row failed, the last one: seed 0: no memory"}]
    assert trials.Stop().stop_all()
