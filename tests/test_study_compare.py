"""Runs put together by their settings, and compared by their scores."""

import json
from pathlib import Path

import numpy as np
import pytest
from made_studies import group, trained
from scipy import stats

from lerax.errors import SettingError
from lerax.runs import UnknownRun, find_all, read
from lerax.study.compare import compare
from lerax.study.groups import VARIOUS, Group, contestants, labels, settings_of
from lerax.study.groups import group as put_together

FAST, SLOW = [9.0, 8.0, 10.0, 9.5], [5.0, 6.0, 7.0, 8.5]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two trainings of four seeds each, and single runs of an algorithm with two settings."""
    group(tmp_path, "fast", FAST, settings={"gamma": 0.99, "num_envs": 8})
    group(tmp_path, "slow", SLOW, settings={"gamma": 0.9, "num_envs": 8})
    for seed, rate in ((1, 0.001), (1, 0.01), (2, 0.001)):
        options = {"algo": "sac", "settings": {"gamma": 0.99, "learning_rate": rate}}
        trained(tmp_path, f"single-{rate}-{seed}", seed=seed, score=float(seed), **options)
    return tmp_path


def of(found: dict, name: str) -> dict:
    (one,) = [one for one in found["contestants"] if one["name"] == name]
    return one


def scores(found: dict) -> dict[str, list[float]]:
    return {one["name"]: [run["score"] for run in one["runs"]] for one in found["contestants"]}


def test_settings_have_the_names_of_the_command_line(tmp_path: Path):
    run = trained(tmp_path, "run", settings={"gamma": 0.5}, of_env={"length": 2.0})
    told = {"algo": "ppo", "env": "CartPole-v1", "policy": "MLPActorCriticPolicy", "steps": 10_000}
    assert settings_of(read(run)) == told | {"gamma": 0.5, "env.length": 2.0}


def test_single_runs_that_differ_in_their_seed_alone_are_one(folder: Path):
    names = ["single-0.001-1", "single-0.01-1", "single-0.001-2"]
    found, left_out = contestants(names, folder)
    assert [[run.name for run in one.runs] for one in found] == [[names[0], names[2]], [names[1]]]
    assert [one.name for one in found] == ["learning_rate 0.001", names[1]] and left_out == []


def test_a_training_of_several_seeds_is_a_contestant_by_its_name(folder: Path):
    found, _ = contestants(["single-0.01-1", str(folder / "slow"), "fast"], folder)
    assert [(one.name, len(one.runs)) for one in found] == [("single-0.01-1", 1), ("slow", 4), ("fast", 4)]
    assert found[1].settings["gamma"] == 0.9 and "seed" not in found[1].settings


def test_runs_can_be_put_together_by_what_one_likes(folder: Path):
    everything = ["fast", "slow", "single-0.001-1", "single-0.01-1", "single-0.001-2"]
    found, _ = contestants(everything, folder, ["algo"])
    assert [(one.name, len(one.runs)) for one in found] == [("ppo", 8), ("sac", 3)]
    assert found[0].settings["gamma"] == VARIOUS and found[1].settings["gamma"] == 0.99
    found, _ = contestants(everything, folder, ["algo", "gamma"])
    assert [one.name for one in found] == ["ppo, gamma 0.99", "ppo, gamma 0.9", "sac, gamma 0.99"]
    with pytest.raises(SettingError, match="did you mean gamma"):
        contestants(everything, folder, ["gama"])


def test_what_is_named_wrong_is_refused(folder: Path):
    with pytest.raises(UnknownRun):
        contestants(["nobody"], folder)
    for texts in (["fast", "fast/seed_0"], ["single-0.01-1", str(folder / "single-0.01-1")], ["fast"] * 2):
        with pytest.raises(SettingError, match="named twice"):
            contestants(texts, folder)
    (folder / "empty").mkdir()
    (folder / "empty" / "seeds.json").touch()
    with pytest.raises(SettingError, match="no seed has begun"):
        contestants(["empty"], folder)


def test_damaged_runs_are_left_out_and_named(folder: Path):
    (folder / "fast" / "seed_0" / "config.toml").write_text("gamma = ")
    (folder / "fast" / "seed_1" / "run.json").write_text("{")
    (folder / "fast" / "seed_2" / "config.toml").unlink()
    ((one,), left_out) = contestants(["fast"], folder)
    assert [run.name for run in one.runs] == ["fast/seed_3"]
    assert sorted(left_out) == [
        "fast/seed_0 is left out: config.toml is damaged",
        "fast/seed_1 is left out: run.json is damaged",
        "fast/seed_2 is left out: config.toml cannot be read (No such file or directory)",
    ]


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ([{"algo": "ppo", "gamma": 0.9}], ["ppo"]),
        ([{}], ["default"]),
        ([{"algo": "ppo", "clip": 0.2, "gamma": 1}, {"algo": "sac", "tau": 0.1, "gamma": 2}], ["ppo", "sac"]),
        ([{"algo": "ppo", "gamma": 0.9}, {"algo": "ppo", "gamma": 0.99}], ["gamma 0.9", "gamma 0.99"]),
        ([{"wrap": [{"name": "clip"}]}, {}], ['wrap [{"name": "clip"}]', "default"]),
        (
            [{"algo": "ppo", "a": 1, "b": 1}, {"algo": "ppo", "a": 2, "b": 1}, {"algo": "sac", "b": 2}],
            ["ppo, a 1", "ppo, a 2", "sac"],
        ),
        (
            [{"a": 1, "b": 1, "c": 1}, {"a": 1, "b": 2, "c": 2}, {"a": 2, "b": 3, "c": 2}],  # b alone tells
            ["b 1", "b 2", "b 3"],
        ),
        ([{"steps": 5, "a": 1e-05}, {"steps": 6, "a": 1e-05}], ["steps 5", "steps 6"]),
    ],
)
def test_labels_say_no_more_than_what_tells_apart(settings: list[dict], names: list[str]):
    assert labels(settings) == names


def test_long_names_give_way_to_what_tells_apart(tmp_path: Path):
    """Unless that is nothing."""
    for name in ("sac_of_a_name_that_is_generated", "ppo_of_a_name_that_is_generated"):
        group(tmp_path, name, [1.0], algo=name[:3])
    long = sorted(path.name for path in tmp_path.iterdir())
    assert [one.name for one in contestants(long, tmp_path)[0]] == ["ppo", "sac"]
    for path in ("elsewhere", "here"):
        group(tmp_path / path, "same", [1.0])
    same = [str(tmp_path / path / "same") for path in ("here", "elsewhere")]
    assert [one.name for one in contestants(same, tmp_path)[0]] == ["same (1)", "same (2)"]
    group(tmp_path, long[0] + "_again", [1.0])
    assert [one.name for one in contestants([long[0], long[0] + "_again"], tmp_path)[0]] == [
        long[0],
        long[0] + "_again",
    ]


def test_two_trainings_compared(folder: Path):
    """Against SciPy: means of the middle half, Mann and Whitney's, Welch's."""
    found = compare(contestants(["fast", "slow"], folder)[0])
    assert scores(found) == {"fast": FAST, "slow": SLOW} and found["score"] == "evaluation"
    iqm = of(found, "slow")["on"]["CartPole-v1"]["iqm"]
    assert iqm["value"] == stats.trim_mean(SLOW, 0.25) and 5.0 <= iqm["low"] < 6.5 < iqm["high"] <= 8.5
    (pair,) = found["pairs"]
    assert pair["improvement"]["value"] == stats.mannwhitneyu(FAST, SLOW).statistic / 16
    assert pair["p"] == pytest.approx(stats.ttest_ind(FAST, SLOW, equal_var=False).pvalue)
    assert pair["told_apart"] == (pair["p"] < 0.05) and pair["difference"] == np.mean(FAST) - np.mean(SLOW)
    assert found["settings"] == {"gamma": {"fast": 0.99, "slow": 0.9}}
    profile = found["profile"]
    assert profile["above"] == [5.0, 6.0, 7.0, 8.0, 9.0]
    assert profile["of"]["slow"]["fraction"] == [0.75, 0.5, 0.25, 0.25, 0.0]
    assert profile["of"]["fast"]["low"][:3] == profile["of"]["fast"]["high"][:3] == [1.0] * 3
    assert found["scaled"] is None and found["warnings"] == [] and json.dumps(found, allow_nan=False)


def test_how_many_more_seeds_are_counted_for_each(tmp_path: Path):
    """Half a deviation apart, as tables have it: 64 of each, 61 and 60 more."""
    group(tmp_path, "a", [-1.0, 0.0, 1.0])
    group(tmp_path, "b", [x + 0.5 for x in (-1.224744871391589, 0.0, 0.0, 1.224744871391589)], algo="sac")
    (pair,) = compare(contestants(["a", "b"], tmp_path)[0])["pairs"]
    assert not pair["told_apart"] and pair["runs_needed"] == 64 and pair["more_runs"] == {"a": 61, "b": 60}


def test_scores_are_of_one_kind(folder: Path):
    """The last episodes' return of all, where one has no evaluation."""
    row = json.dumps({"step": 1, "episode/return": 3.5}) + "\n"
    for name in ("fast", "slow"):
        for seed in range(4):
            (folder / name / f"seed_{seed}" / "metrics.jsonl").write_text(row)
    facts = json.loads((folder / "fast" / "seed_1" / "run.json").read_text())
    del facts["evaluation"]
    (folder / "fast" / "seed_1" / "run.json").write_text(json.dumps(facts))
    found = compare(contestants(["fast", "slow"], folder)[0])
    assert scores(found) == {"fast": [3.5] * 4, "slow": [3.5] * 4} and found["score"] == "episode/return"
    assert found["warnings"] == ["scores are the last episodes' returns: no evaluation of fast/seed_1"]
    (pair,) = found["pairs"]
    assert pair["improvement"]["value"] == 0.5 and pair["told_apart"] is False and pair["runs_needed"] is None
    for seed in range(4):
        (folder / "slow" / f"seed_{seed}" / "metrics.jsonl").write_text("")
    (folder / "fast" / "seed_1" / "metrics.jsonl").write_text("")
    found = compare(contestants(["fast", "slow"], folder)[0])
    assert scores(found) == {"fast": [FAST[0], *FAST[2:]], "slow": SLOW}
    assert found["warnings"] == ["fast/seed_1 is left out: it has no score (finished)"]


def test_without_scores_there_is_nothing_to_compare(tmp_path: Path):
    group(tmp_path, "none", [None, None])
    with pytest.raises(SettingError, match="none has a score"):
        compare(contestants(["none"], tmp_path)[0])


def test_several_environments_are_scaled_and_weigh_the_same(tmp_path: Path):
    """The score is the mean of the two; the probability the mean of what it is on each."""
    scores = {
        ("ppo", "A"): [0.0, 10.0],
        ("ppo", "B"): [300.0, 400.0],
        ("sac", "A"): [5.0, 6.0],
        ("sac", "B"): [200.0],
    }
    for (algo, env), values in scores.items():
        for seed, score in enumerate(values):
            trained(tmp_path, f"{algo}-{env}-{seed}", algo=algo, env=env, seed=seed, score=score)
    names = sorted(path.name for path in tmp_path.iterdir())
    found = compare(contestants(names, tmp_path, ["algo"])[0])
    assert found["environments"] == ["A", "B"] and found["scaled"] == {"A": [0.0, 10.0], "B": [200.0, 400.0]}
    ppo, sac = found["contestants"]
    assert ppo["scaled"]["mean"]["value"] == pytest.approx((0.5 + 0.75) / 2)
    assert sac["scaled"]["mean"]["value"] == pytest.approx((0.55 + 0.0) / 2)
    assert ppo["on"]["B"]["mean"]["value"] == 350.0 and sac["on"]["B"]["mean"]["low"] is None
    (pair,) = found["pairs"]
    assert pair["improvement"]["value"] == (0.5 + 1.0) / 2 and pair["told_apart"] is None
    assert found["warnings"] == ["fewer than 3 seeds tell little: ppo, sac"]
    other = trained(tmp_path, "ppo-C", env="C", score=1.0)
    found = compare(contestants([*names, other.name], tmp_path, ["algo"])[0])
    assert found["environments"] == ["A", "B"]
    assert found["warnings"][0] == "not all were trained on C: it does not count between them"


def test_what_is_not_fair_is_said_in_a_line_each(tmp_path: Path):
    versions = {"lerax": "0.1.0", "jax": "0.12.0"}
    group(tmp_path, "a", [1.0, 2.0, 3.0])
    group(tmp_path, "b", [1.0, 2.0, 4.0], steps=20_000, of_env={"length": 2.0}, versions=versions)
    trained(
        tmp_path / "b", "seed_3", seed=2, steps=12_000, of_env={"length": 2.0}, score=1.0, versions=versions
    )
    trained(
        tmp_path / "b", "seed_4", seed=4, steps=12_000, of_env={"length": 2.0}, score=1.0, status="paused"
    )
    assert compare(contestants(["a", "b"], tmp_path)[0])["warnings"] == [
        "environments differ in env.length: a none, b 2",
        "steps differ: a 10,000, b 12,000 to 20,000",
        "not finished (paused): b/seed_4",
        "versions of jax differ: 0.10.2, 0.12.0",
        "b has a seed more than once (2): that tells nothing more",
    ]


def test_other_environments_are_not_compared(tmp_path: Path):
    group(tmp_path, "a", [1.0, 2.0, 3.0])
    group(tmp_path, "b", [1.0, 2.0, 4.0], env="Pendulum-v1")
    found = compare(contestants(["a", "b"], tmp_path)[0])
    assert (found["environments"], found["pairs"], found["profile"]) == ([], [], None)
    assert found["warnings"] == ["environments differ, and nothing is compared: a CartPole-v1, b Pendulum-v1"]


def test_the_order_of_runs_is_that_of_their_names(folder: Path):
    runs = find_all(["slow", "fast"], folder)
    found, _ = put_together(runs)
    assert found == [
        Group("gamma 0.9", tuple(runs[:4]), settings_of(runs[0])),
        Group("gamma 0.99", tuple(runs[4:]), settings_of(runs[4])),
    ]
