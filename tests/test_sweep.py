"""Sweeps on disk: what is tried, whose a trial is, how many there are, and what came of them."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import optuna
import pytest
from made_runs import make
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from lerax.errors import SettingError
from lerax.kinds import Limits, Setting
from lerax.study.statistics import interval, iqm
from lerax.sweep.plan import SweepPlan
from lerax.sweep.ranking import counts, importances, preset, ranking
from lerax.sweep.space import Choices, Range, check, read_range
from lerax.sweep.study import JOURNAL, MOST_DEATHS, Sweep
from lerax.sweep.trial import COMPLETE, FAILED, PRUNED, Verdict, verdict

RATE = Setting("rate", 1e-3, "", Limits(above=0.0))
COUNT = Setting("count", 8, "", Limits(at_least=1, at_most=64))
WORD = Setting("word", "a", "", Limits(choices=("a", "b")))
TRIED = {
    "rate": Range(1e-4, 1e-2, log=True),
    "sizes": Choices(([64, 64], [32])),
    "count": Range(1, 8, whole=True),
}
WORKER = Path(__file__).with_name("sweep_worker.py")


def opened(path: Path, trials: int = 4, tried=TRIED, seeds=(0,), **how: str) -> Sweep:
    path.mkdir(exist_ok=True)
    return Sweep(path, SweepPlan(tried, trials, seeds, **how))


def complete(score: float) -> Verdict:
    return Verdict(COMPLETE, score, {"scores": {"0": score}})


@pytest.mark.parametrize(
    ("text", "setting", "wanted"),
    [
        ("1e-4..1e-2", RATE, Range(1e-4, 1e-2)),
        ("log:1e-4..1e-2", RATE, Range(1e-4, 1e-2, log=True)),
        ("2..8", COUNT, Range(2, 8, whole=True)),
        ("log: 1 .. 1e1", COUNT, Range(1, 10, log=True, whole=True)),
        ("1,2", COUNT, None),
        ("a", WORD, None),
    ],
)
def test_a_range_is_read_and_written(text: str, setting: Setting, wanted: Range | None):
    found = read_range(text, setting)
    assert found == wanted
    if found is not None:
        assert read_range(found.plain, setting) == found


@pytest.mark.parametrize(
    ("text", "setting", "said"),
    [
        ("2..1", COUNT, "empty"),
        ("1.5..3", COUNT, "whole"),
        ("log:0..1", RATE, "logarithm"),
        ("a..b", WORD, "no number"),
        ("x..1", RATE, "no numbers"),
        ("1..nan", RATE, "empty"),
        ("log:3", RATE, "without an end"),
    ],
)
def test_a_range_that_is_none_is_refused(text: str, setting: Setting, said: str):
    with pytest.raises(SettingError, match=said):
        read_range(text, setting)


def test_all_that_is_tried_is_held_against_the_setting():
    check(Choices(("a", "b")), WORD)
    for tried, setting in (
        (Choices(("a", "c")), WORD),
        (Range(0, 9, whole=True), COUNT),
        (Choices((1, 1)), COUNT),
    ):
        with pytest.raises(SettingError):
            check(tried, setting)


def test_settings_of_random_trials_depend_on_their_number_alone(tmp_path: Path):
    one, two = (opened(tmp_path / name, sampler="random") for name in ("one", "two"))
    other = opened(tmp_path / "two", sampler="random")  # a second worker
    mine = [one.begin() for _ in range(4)]
    theirs = [worker.begin() for worker in (two, other, other, two)]
    assert one.begin() is None and two.begin() is None
    settings = [trial.settings for trial in mine]
    assert settings == [trial.settings for trial in theirs]
    assert len({str(one) for one in settings}) == 4
    for found in settings:
        assert 1e-4 <= found["rate"] <= 1e-2 and found["sizes"] in ([64, 64], [32])
        assert isinstance(found["count"], int) and 1 <= found["count"] <= 8


def test_a_grid_has_each_combination_once(tmp_path: Path):
    tried = {"a": Choices((1, 2, 3)), "b": Choices(([64, 64], "none"))}
    workers = [opened(tmp_path / "grid", 6, tried, sampler="grid") for _ in range(2)]
    found = []
    while trial := workers[len(found) % 2].begin():
        found.append((trial.settings["a"], trial.settings["b"]))
    assert found == [(a, b) for a in (1, 2, 3) for b in ([64, 64], "none")]
    with pytest.raises(SettingError, match="at most 6"):
        SweepPlan(tried, 7, (0,), "grid")
    with pytest.raises(SettingError, match="range"):
        SweepPlan(TRIED, 1, (0,), "grid")


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_no_combination_is_tried_twice(tmp_path: Path, sampler: str):
    """Whatever is known by then, and whoever asks: a trial of the same would be the same, bit for bit."""
    tried = {"a": Choices((1, 2, 3, 4, 5)), "b": Choices(([64, 64], "none")), "c": Choices((True, False))}
    workers = [opened(tmp_path / "few", 20, tried, sampler=sampler) for _ in range(2)]
    found: list[tuple] = []
    while trial := workers[len(found) % 2].begin():
        found.append((trial.settings["a"], str(trial.settings["b"]), trial.settings["c"]))
        workers[0].finish(trial, complete(float(trial.settings["a"])))
    assert len(found) == len(set(found)) == 20
    with pytest.raises(SettingError, match="at most 20"):
        SweepPlan(tried, 21, (0,), sampler)


def test_a_trial_belongs_to_who_has_its_lock(tmp_path: Path):
    one, two = (opened(tmp_path / "shared") for _ in range(2))
    first, second = one.begin(), two.begin()
    assert (first.number, second.number) == (0, 1)
    first.release()  # as its process does when it ends
    again = two.begin()
    assert (again.number, again.taken_over, again.settings) == (0, True, first.settings)
    two.finish(again, complete(1.0))
    second.release()
    third = one.begin()
    assert (third.number, third.taken_over) == (1, True)
    one.finish(third, complete(2.0))
    assert [one.begin().number for _ in range(2)] == [2, 3]  # what has ended is not begun again
    assert one.begin() is None


def test_a_trial_that_somebody_goes_on_with_by_hand_is_left_alone(tmp_path: Path):
    sweep = opened(tmp_path / "hand")
    trial = sweep.begin()
    trial.release()
    alive = {"pid": os.getpid(), "boot": "elsewhere"}
    make(trial.path, "seed_0", status="running", process=alive)
    assert sweep.begin().number == 1


def test_more_trials_go_on_with_the_same_sweep(tmp_path: Path):
    sweep = opened(tmp_path / "more", 2)
    assert [sweep.begin().number for _ in range(2)] == [0, 1] and sweep.begin() is None
    assert opened(tmp_path / "more", 3).begin().number == 2


def test_what_the_dashboard_of_optuna_asks_for_is_tried_first_and_counts(tmp_path: Path):
    sweep = opened(tmp_path / "asked", 2, {"x": Range(0.0, 1.0)})
    sweep.begin()
    sweep.study.enqueue_trial({"x": 0.25})
    assert sweep.begin().settings == {"x": 0.25}
    sweep.study.enqueue_trial({"x": 0.5})
    assert sweep.begin() is None


def test_optuna_opens_the_same_file(tmp_path: Path):
    """By its own locks, as its dashboard does."""
    sweep = opened(tmp_path / "file")
    sweep.finish(sweep.begin(), complete(3.0))
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "file" / JOURNAL)))
    study = optuna.load_study(study_name="file", storage=storage)
    assert (study.best_value, study.best_trial.params) == (3.0, sweep.trials()[0].params)


def test_half_a_line_at_the_end_is_taken_away(tmp_path: Path):
    sweep = opened(tmp_path / "torn")
    sweep.finish(sweep.begin(), complete(1.0))
    with open(tmp_path / "torn" / JOURNAL, "a") as file:
        file.write('{"op_code":4,"wor')
    sweep.finish(sweep.begin(), complete(2.0))
    again = opened(tmp_path / "torn")
    assert [trial.value for trial in again.trials()] == [1.0, 2.0]


def test_a_trial_whose_process_dies_again_and_again_is_given_up(tmp_path: Path):
    sweep = opened(tmp_path / "dies")
    trial = sweep.begin()
    assert not any(sweep.count_death(trial, 5) for _ in range(MOST_DEATHS - 1))
    assert not sweep.count_death(trial, 6)  # it got on
    assert [sweep.count_death(trial, 6) for _ in range(MOST_DEATHS - 1)][-1]


@pytest.mark.parametrize("pruner", ["hyperband", "median"])
def test_what_does_badly_is_pruned(tmp_path: Path, pruner: str):
    sweep = opened(tmp_path / "pruned", 40, {"x": Range(0.0, 1.0)}, pruner=pruner)
    states = []
    for number in range(20):
        trial, score = sweep.begin(), 100.0 - number  # each worse than all before
        assert not sweep.is_pruned(trial, [], 0.5) and not sweep.is_pruned(trial, [score], 0.01)
        parts = (part / 27 for part in (1, 2, 3, 9, 26) for _ in range(2))
        pruned = any(sweep.is_pruned(trial, [score - 1, score + 1], part) for part in parts)
        sweep.finish(trial, Verdict(PRUNED, None, {}) if pruned else complete(score))
        states.append(pruned)
    assert not states[0] and any(states)
    assert counts(sweep.trials())["pruned"] == sum(states)
    assert set(sweep.trials()[0].intermediate_values) == {1, 3, 9}


def end(seed: int, status: str = "finished", score: float = 1.0, **more) -> dict:
    return {"seed": seed, "status": status, "evaluation": {"mean_return": score}, **more}


def test_a_score_is_that_of_the_study():
    scores = [1.0, 5.0, 2.0, 9.0]
    ends = [end(seed, score=score, seconds_training=1.5) for seed, score in enumerate(scores)]
    found = verdict(ends, range(4), "iqm")
    assert found.state == COMPLETE and found.score == pytest.approx(float(iqm([scores])))
    assert found.facts["interval"] == pytest.approx(list(interval(iqm, [scores])))
    assert found.facts["scores"] == dict(zip("0123", scores, strict=True)) and found.facts["seconds"] == 6.0
    assert verdict(ends, range(4), "mean").score == np.mean(scores)


@pytest.mark.parametrize(
    ("ends", "state", "reason"),
    [
        ([end(0), end(1, "diverged", diverged_at_iteration=7)], FAILED, "seed 1: diverged at iteration 7"),
        ([end(0, "failed", error="no room"), end(1, "running")], FAILED, "seed 0: no room"),
        ([end(0), end(1, "pruned")], PRUNED, None),
        ([end(0), end(1, score=float("nan"))], FAILED, "its evaluation gave no number"),
        ([end(0), end(1, "died")], None, None),
        ([end(0), end(1, "interrupted")], None, None),
        ([end(0)], None, None),
        ([], None, None),
    ],
)
def test_what_came_of_a_trial(ends: list[dict], state: str | None, reason: str | None):
    found = verdict(ends, (0, 1), "iqm")
    assert (found and found.state) == state
    assert (found.facts.get("reason") if found else None) == reason


def test_the_ranking_and_what_matters(tmp_path: Path):
    sweep = opened(
        tmp_path / "ranked", 30, {"x": Range(0.0, 1.0), "noise": Range(0.0, 1.0)}, sampler="random"
    )
    for number in range(29):
        trial = sweep.begin()
        failed = number == 3
        sweep.finish(
            trial, Verdict(FAILED, None, {"reason": "why"}) if failed else complete(trial.settings["x"])
        )
    sweep.begin()
    rows = ranking(sweep.trials())
    done = [row for row in rows if row.state == "complete"]
    assert [row.score for row in done] == sorted((row.settings["x"] for row in done), reverse=True)
    assert [(row.trial, row.state, row.reason) for row in rows[28:]] == [
        (29, "running", ""),
        (3, "failed", "why"),
    ]
    assert counts(sweep.trials()) == {"complete": 28, "running": 1, "pruned": 0, "failed": 1}
    found = importances(sweep)
    assert [*found] == ["x", "noise"] and found["x"] > 0.7


def test_a_config_as_a_preset():
    config = {
        "seed": 1,
        "steps": 9,
        "nan": "stop",
        "env": {"name": "E", "g": 1.0},
        "algorithm": {"name": "a", "lr": 0.1},
    }
    assert preset(config | {"policy": {"name": "P", "h": [1]}}) == {
        "env": "E",
        "a": {"steps": 9, "env": {"g": 1.0}, "algorithm": {"lr": 0.1}, "policy": {"name": "P", "h": [1]}},
    }


def test_workers_that_are_killed_lose_nothing_and_begin_no_trial_too_many(tmp_path: Path):
    """Three that are killed at random and started again: each trial comes to its end, once."""
    folder, trials, kills = tmp_path / "killed", 60, 12
    folder.mkdir()
    start = lambda: subprocess.Popen([sys.executable, WORKER, folder, str(trials), "0.1"])
    workers, chance = [start() for _ in range(3)], random.Random(1)
    for _ in range(kills):
        time.sleep(0.2 + 0.4 * chance.random())
        place = chance.randrange(3)
        workers[place].send_signal(signal.SIGKILL)
        workers[place].wait()
        workers[place] = start()
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    last = start()  # for what the very last kill has left
    assert last.wait() == 0
    sweep = Sweep(folder)
    assert counts(sweep.trials()) == {"complete": trials, "running": 0, "pruned": 0, "failed": 0}
    ended = Counter(line.split()[1] for line in (folder / "notes").read_text().splitlines() if line[0] == "e")
    assert set(ended.values()) == {1}
    assert len(ended) >= trials - kills  # a kill can come between the end of a trial and its note
