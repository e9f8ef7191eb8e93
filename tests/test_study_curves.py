"""Curves of groups of runs: points, grids, smoothing and bands, against NumPy and slow code."""

import json
from pathlib import Path

import numpy as np
import pytest
from made_studies import group, trained
from scipy import stats

from lerax.errors import SettingError
from lerax.study import curves as module
from lerax.study.axis import Axis, axis_of, label_of, ticks
from lerax.study.curves import EVERY_ENV, Curve, Curves, Smoothing, curves, read_smoothing, smoothed
from lerax.study.groups import contestants

RETURN = "episode/return"


def log(
    path: Path, values, *, every: int = 100, tag: str = RETURN, seconds: float = 1.0, begins: int = 1
) -> None:
    """Lines of `metrics.jsonl`, one each `every` steps and `seconds`."""
    rows = [
        {"step": every * (i + begins), tag: value, "time/elapsed": seconds * (i + begins)}
        for i, value in enumerate(values)
    ]
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def drawn(folder: Path, *names: str, by: tuple[str, ...] = (), **options) -> Curves:
    return curves(contestants(names, folder, by)[0], by=by, **options)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A training of five seeds that logs ten times, and one of two."""
    group(tmp_path, "five", [1.0] * 5)
    group(tmp_path, "two", [1.0] * 2, settings={"gamma": 0.5})
    random = np.random.default_rng(0)
    for name, seeds in (("five", 5), ("two", 2)):
        for seed in range(seeds):
            log(tmp_path / name / f"seed_{seed}", random.normal(size=10).tolist())
    return tmp_path


def values(folder: Path, name: str, seeds: int) -> np.ndarray:
    lines = [
        (folder / name / f"seed_{seed}" / "metrics.jsonl").read_text().splitlines() for seed in range(seeds)
    ]
    return np.array([[json.loads(line)[RETURN] for line in rows] for rows in lines])


def test_lines_are_interquartile_means_and_bands_hold_them(folder: Path):
    found = drawn(folder, "five", "two")
    assert (found.tag, found.axis, [*found.panels], found.problems) == (RETURN, "steps", ["CartPole-v1"], [])
    five, two = found.panels["CartPole-v1"]
    assert (five.name, five.runs, two.name, two.runs) == ("five", 5, "two", 2)
    np.testing.assert_array_equal(five.x, 100.0 * np.arange(1, 11))
    np.testing.assert_allclose(five.value, stats.trim_mean(values(folder, "five", 5), 0.25, axis=0))
    np.testing.assert_allclose(two.value, values(folder, "two", 2).mean(axis=0))
    assert (five.low < five.value).all() and (five.value < five.high).all()
    assert (values(folder, "five", 5).min(axis=0) <= five.low).all()
    assert np.isnan(two.low).all() and (five.count == 5).all()
    assert found.caption() == (
        "2 to 5 seeds; line: interquartile mean; band: 95 %, of at least 3 seeds, "
        "by the bootstrap over seeds; smoothing: none"
    )


def test_runs_of_different_steps_meet_on_straight_lines(tmp_path: Path):
    for seed, (every, rows) in enumerate([(100, 10), (250, 4)]):
        path = trained(tmp_path, f"run-{seed}", seed=seed)
        log(path, [every * (i + 1) * 2.0 for i in range(rows)], every=every)
    (curve,) = drawn(tmp_path, "run-0", "run-1").panels["CartPole-v1"]
    assert curve.name == "ppo" and {100.0, 250.0, 300.0, 1000.0} <= {*curve.x}
    np.testing.assert_allclose(curve.value, 2 * curve.x)
    assert (curve.count == np.where(curve.x < 250, 1, 2)).all()


def test_long_runs_are_looked_at_evenly(tmp_path: Path):
    log(trained(tmp_path, "run"), [*range(5000)], every=1, begins=0)
    (curve,) = drawn(tmp_path, "run").panels["CartPole-v1"]
    np.testing.assert_allclose(curve.x, np.linspace(0, 4999, module.POINTS))
    np.testing.assert_allclose(curve.value, curve.x)


def test_a_line_goes_as_far_as_half_of_its_runs(tmp_path: Path):
    """One that has died is part of it as far as it goes; ends that are almost the same are one."""
    group(tmp_path, "many", [1.0] * 4)
    for seed, rows in enumerate((100, 99, 50, 20)):
        log(tmp_path / "many" / f"seed_{seed}", [float(seed)] * rows)
    (curve,) = drawn(tmp_path, "many").panels["CartPole-v1"]
    assert curve.x[-1] == 9900
    reached = {2000.0: 4, 2100.0: 3, 5000.0: 3, 5100.0: 2, 9900.0: 2}
    counts, lines = dict(zip(curve.x, curve.count)), dict(zip(curve.x, curve.value))  # noqa: B905
    assert {x: counts[x] for x in reached} == reached
    assert [lines[x] for x in reached] == [1.5, 1.0, 1.0, 0.5, 0.5]
    (curve,) = drawn(tmp_path, "many/seed_0", "many/seed_1").panels["CartPole-v1"]
    assert curve.x[-1] == 9900 and (curve.count == 2).all()
    for seed in (1, 2):
        log(tmp_path / "many" / f"seed_{seed}", [0.0] * 20)
    (curve,) = drawn(tmp_path, "many").panels["CartPole-v1"]
    assert curve.x[-1] == 2000


def test_along_time_an_ended_run_keeps_its_last_value(tmp_path: Path):
    for seed, seconds in enumerate((1.0, 3.0)):
        log(trained(tmp_path, f"run-{seed}", seed=seed), [float(i) for i in range(10)], seconds=seconds)
    found = drawn(tmp_path, "run-0", "run-1", axis="time")
    (curve,) = found.panels["CartPole-v1"]
    assert curve.x[0] == 1.0 and curve.x[-1] == 30.0 and "ended runs keep their last value" in found.caption()
    lines = dict(zip(curve.x.tolist(), curve.value.tolist(), strict=True))
    assert lines[1.0] == 0.0 and lines[6.0] == (5.0 + 1.0) / 2 and lines[30.0] == 9.0 and lines[15.0] == 6.5


def test_smoothing_is_a_mean_over_a_window_and_is_said(folder: Path):
    random = np.random.default_rng(1)
    x, y = np.cumsum(random.uniform(0.1, 3.0, 200)), random.normal(size=200)
    slow = [y[np.abs(x - at) <= 5.0].mean() for at in x]
    found = smoothed(np.stack([x, y]), 10.0)
    np.testing.assert_allclose(found, [x, slow], atol=1e-12)
    by_width = drawn(folder, "two", smooth=read_smoothing("300"))
    assert by_width.window == 300 and by_width.caption().endswith(
        "smoothing: mean over 300 steps around each point"
    )
    (curve,) = by_width.panels["CartPole-v1"]
    mean = values(folder, "two", 2).mean(axis=0)
    np.testing.assert_allclose(curve.value[1:-1], np.convolve(mean, np.ones(3) / 3, "valid"))
    assert drawn(folder, "two", smooth=read_smoothing("25%")).window == 250
    assert drawn(folder, "two", smooth=read_smoothing("none")).window == 0


@pytest.mark.parametrize(
    ("text", "found"), [("2e3", Smoothing(2000, False)), (" 5% ", Smoothing(0.05, True))]
)
def test_a_width_is_read(text: str, found: Smoothing):
    assert read_smoothing(text) == found


@pytest.mark.parametrize("text", ["", "-1", "0", "some", "nan", "inf", "200%", "%"])
def test_no_width_is_refused(text: str):
    with pytest.raises(SettingError, match="such as 2000"):
        read_smoothing(text)


def test_environments_have_panels_of_their_own(folder: Path):
    """Where names need not say the environment."""
    for env in ("Pendulum-v1", "CartPole-v1"):
        for algo in ("ppo", "sac"):
            path = trained(folder, f"a_long_name_of_{algo}_on_{env}", algo=algo, env=env)
            log(path, [1.0, 2.0])
    names = [path.name for path in folder.glob("a_long*")]
    found = drawn(folder, *names)
    assert {env: {curve.name for curve in panel} for env, panel in found.panels.items()} == {
        "Pendulum-v1": {"ppo", "sac"},
        "CartPole-v1": {"ppo", "sac"},
    }
    panel = drawn(folder, *names, "two").panels["CartPole-v1"]
    assert {curve.name for curve in panel} == {"ppo, gamma 0.99", "sac, gamma 0.99", "ppo, gamma 0.5"}
    found = drawn(folder, *names, by=("env",))
    assert [*found.panels] == [EVERY_ENV]
    assert {curve.name for curve in found.panels[EVERY_ENV]} == {"Pendulum-v1", "CartPole-v1"}
    found = drawn(folder, *names, "five", "two", by=("algo",))
    assert {curve.name: curve.runs for curve in found.panels["CartPole-v1"]} == {"ppo": 8, "sac": 1}


def test_what_is_damaged_is_left_out_and_said(folder: Path):
    file = folder / "five" / "seed_0" / "metrics.jsonl"
    file.write_text(file.read_text() + '{"step": 1100, "episode/ret')
    (folder / "five" / "seed_1" / "metrics.jsonl").write_text("{}\n" * 3)
    (folder / "five" / "seed_2" / "metrics.jsonl").unlink()
    (folder / "five" / "seed_3" / "metrics.jsonl").write_text('{"step": 1, "episode/return": null}\n')
    found = drawn(folder, "five", "two")
    assert found.panels["CartPole-v1"][0].runs == 2
    assert found.problems == [
        "five/seed_0: a damaged line of metrics.jsonl left out",
        "five/seed_1: 3 damaged lines of metrics.jsonl left out",
        f"five/seed_1 is left out: it has no {RETURN}",
        f"five/seed_2 is left out: it has no {RETURN}",
        f"five/seed_3 is left out: it has no {RETURN}",
    ]
    with pytest.raises(SettingError, match="did you mean episode/return"):
        drawn(folder, "five", tag="episode/returns")
    for path in folder.glob("*/*/metrics.jsonl"):
        path.write_text("")
    with pytest.raises(SettingError, match=r"there is nothing in their metrics.jsonl"):
        drawn(folder, "five", "two")


def test_a_group_whose_runs_share_no_point_is_left_out(folder: Path):
    """As where each logs one evaluation, at a step of its own."""
    for seed in range(3):
        log(trained(folder, f"one-{seed}", seed=seed), [1.0], every=100 + seed, tag="eval/return")
    names = [f"one-{seed}" for seed in range(3)]
    log(folder / "five" / "seed_0", [3.0], tag="eval/return")
    line = "one-0 and 2 more is left out: there is no step at which half of its 3 runs have eval/return"
    with pytest.raises(SettingError, match="nothing of it is left") as refused:
        drawn(folder, *names, tag="eval/return")
    assert "there is no step at which half of its 3 runs have eval/return" in str(refused.value)
    found = drawn(folder, *names, "five", tag="eval/return")
    assert [curve.name for curve in found.panels["CartPole-v1"]] == ["five"]
    assert found.problems[-1].endswith(line.partition(" is ")[2])


def test_numbers_that_cannot_be_summed_are_left_out(tmp_path: Path):
    log(trained(tmp_path, "run"), [1.7e308, 1.0, -1.7e308])
    (curve,) = drawn(tmp_path, "run").panels["CartPole-v1"]
    assert curve.value.tolist() == [1.0]


def test_the_line_that_a_living_run_writes_is_no_damage(tmp_path: Path):
    path = trained(tmp_path, "lives", status="running")
    log(path, [1.0, 2.0])
    (path / "metrics.jsonl").write_text((path / "metrics.jsonl").read_text() + '{"step"')
    assert drawn(tmp_path, "lives").problems == []


def test_evaluations_are_drawn_where_there_are_no_episodes(tmp_path: Path):
    log(trained(tmp_path, "run"), [1.0, 2.0], tag="eval/return")
    assert drawn(tmp_path, "run").tag == "eval/return"


def test_a_log_without_times_has_no_curve_along_them(tmp_path: Path):
    path = trained(tmp_path, "run")
    (path / "metrics.jsonl").write_text('{"step": 1, "episode/return": 1.0}\n')
    with pytest.raises(SettingError, match="it has no episode/return with time/elapsed"):
        drawn(tmp_path, "run", axis="time")


def of_length(x: float, axis: str) -> Curves:
    point = np.array([x])
    return Curves(RETURN, axis, {"A": [Curve("a", 1, point, point, point, point, point)]}, 0.0, [])


@pytest.mark.parametrize(
    ("found", "axis"),
    [
        (of_length(1e6, "steps"), Axis("environment steps", 1.0)),
        (of_length(299, "time"), Axis("time (s)", 1.0)),
        (of_length(301, "time"), Axis("time (min)", 60.0)),
        (of_length(7201, "time"), Axis("time (h)", 3600.0)),
    ],
)
def test_axes_have_units(found: Curves, axis: Axis):
    assert axis_of(found) == axis


def test_words_and_numbers_at_axes():
    assert (label_of("eval/return"), label_of("train/loss")) == ("return of evaluations", "train/loss")
    assert [Axis.text(x) for x in (0, 2.5, 20_000, -1500, 2.5e6, 3e9)] == [
        "0",
        "2.5",
        "20k",
        "-1.5k",
        "2.5M",
        "3G",
    ]
    assert ticks(3.0, 60_160.0, 5) == [20_000.0, 40_000.0, 60_000.0]
    assert ticks(-0.31, 0.52, 4) == [0.0, 0.5] and ticks(-0.31, 0.52, 8) == [-0.2, 0.0, 0.2, 0.4]
    assert ticks(5.0, 5.0, 4) == [5.0]
    assert Axis.texts([-1195.87, -1195.86]) == ["-1.19587k", "-1.19586k"]
    assert Axis.texts([-1195.87]) == ["-1.196k"]
