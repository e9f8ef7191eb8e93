"""`lerax compare`, on directories made by hand: the tables, JSON, and what is said beside them."""

import json
import math
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
import terminal
from in_process import run as lerax
from made_studies import group, trained
from test_cli_inputs import refuse

from lerax_cli import report


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two trainings of four seeds each that can be told apart, and three single runs."""
    logs = tmp_path / "logs"
    group(logs, "fast", [9.0, 8.0, 10.0, 9.5], settings={"gamma": 0.99, "num_envs": 8})
    group(logs, "slow", [5.0, 6.0, 7.0, 6.5], settings={"gamma": 0.9, "num_envs": 8, "clip_coefficient": 0.1})
    for seed in (1, 2, 3):
        trained(logs, f"sac-{seed}", seed=seed, score=8.0 + seed, algo="sac", settings={"gamma": 0.99})
    return tmp_path


def warned(done) -> list[str]:
    lines = done.stderr.splitlines()
    return [line.removeprefix("lerax: warning: ") for line in lines if line.startswith("lerax: warning: ")]


def tables(text: str) -> list[list[list[str]]]:
    return [[re.split(r"\s{2,}", line) for line in part.splitlines()] for part in text.split("\n\n")]


def test_tables_of_two_trainings(folder: Path):
    done = lerax("compare", "fast", "slow", cwd=folder)
    settings, scores, pairs, profile = tables(done.stdout)
    assert done.returncode == 0
    assert settings == [["NAME", "gamma"], ["fast", "0.99"], ["slow", "0.9"]]
    assert scores[0] == ["NAME", "ENV", "SEEDS", "IQM", "95 % INTERVAL", "MEAN", "MEDIAN"]
    name, env, seeds, iqm, interval, mean, median = scores[1]
    assert (name, env, seeds, iqm, mean, median) == ("fast", "CartPole-v1", "4", "9.25", "9.125", "9.25")
    low, high = map(float, interval.split(" to "))
    assert 8 <= low < 9 < high <= 10
    assert pairs[1][:5] == ["fast", "slow", "1.00", "1.00 to 1.00", "+3"]
    assert pairs[1][5].startswith("yes, p 0.00")
    assert profile[0] == ["RUNS ABOVE", "5", "6", "7", "8", "9"]
    assert profile[1:] == [["fast", *"100% 100% 100% 75% 50%".split()], ["slow", *"75% 50% 0% 0% 0%".split()]]
    assert done.stderr.splitlines() == [
        "scores      mean return of the evaluation at the end",
        "intervals   95 %, bootstrap over seeds within each environment, 5,000 times",
        "settings    1 more that not all of them have, see --json",
        "report      lerax report fast slow",
        "next        lerax plot fast slow",
    ]


def test_what_it_would_take_to_tell_two_apart(folder: Path):
    """In the table, and as the next command."""
    done = lerax("compare", "fast", "sac-1", "sac-2", "sac-3", cwd=folder)
    (pairs,) = [rows for rows in tables(done.stdout) if rows[0][0] == "BETTER"]
    told = json.loads(lerax("compare", "fast", "sac-1", "sac-2", "sac-3", "--json", cwd=folder).stdout)
    (pair,) = told["pairs"]
    needed, more = pair["runs_needed"], pair["more_runs"]
    assert more == {"fast": needed - 4, "sac": needed - 3}
    assert pairs[0][5:] == ["TOLD APART", "SEEDS EACH", "MORE"]
    assert pairs[1][5:] == [f"no, p {pair['p']:.2g}", str(needed), f"+{needed - 4} and +{needed - 3}"]
    together, _, step = done.stderr.splitlines()[-3:]
    assert together.split(maxsplit=1)[1].startswith("3 trainings that differ in their seeds alone")
    again = f"lerax train --config logs/sac-1/config.toml --seeds 4..{needed}"
    assert step == f"next        about {needed - 3} more seeds of sac may tell fast from sac: {again}"


def test_seeds_that_were_trained_later_count_where_they_belong(folder: Path):
    """Not the same ones twice, and not those of other settings or versions."""
    logs, settings = folder / "logs", {"gamma": 0.99, "num_envs": 8}
    counts = lambda *names: {
        one["name"]: len(one["runs"])
        for one in json.loads(lerax("compare", *names, "--json", cwd=folder).stdout)["contestants"]
    }
    trained(logs / "more", "seed_7", seed=7, score=9.0, settings=settings)
    (logs / "more" / "seeds.json").write_text("{}")
    trained(logs, "alone", seed=8, score=9.0, settings=settings)
    trained(logs, "again", seed=2, score=9.0, settings=settings)
    trained(logs, "newer", seed=9, score=9.0, settings=settings, versions={"lerax": "0.2.0"})
    assert counts("fast", "more", "slow", "alone") == {"fast": 6, "slow": 4}
    assert counts("fast", "again") == {"fast": 4, "again": 1}
    assert counts("fast", "newer") == {"fast": 4, "newer": 1}
    assert "together    3 trainings" in lerax("compare", "fast", "more", "alone", "slow", cwd=folder).stderr


def test_seeds_that_are_gone_or_cannot_be_read_are_named(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Also where all runs are put together; one that waits for a core is no fault."""
    fast = folder / "logs" / "fast"
    (fast / "seeds.json").write_text(json.dumps({"seeds": [0, 1, 2, 3, 5]}))
    shutil.rmtree(fast / "seed_1")
    for file in (fast / "seed_2").iterdir():
        file.unlink()
    group(folder / "logs", "lives", [None], status="running", steps=0)
    stat = os.stat

    def closed(path, *arguments, **options):
        if "seed_3" in str(path) and "fast" in str(path) and str(path)[-6:] != "seed_3":
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, *arguments, **options)

    monkeypatch.setattr(os, "stat", closed)
    for options in ((), ("--by", "algo")):
        done = lerax("compare", "fast", "slow", "lives", *options, cwd=folder)
        assert warned(done)[:3] == [
            "fast is not complete: seeds 1, 2, 5 of its 5 are not there",
            "fast/seed_3 is left out: run.json cannot be read (Permission denied)",
            "lives/seed_0 is left out: it has not begun to train yet",
        ]
    refuse(lerax("compare", "logs/fast/seed_3", cwd=folder), 2, ["RUN", "cannot be read"])


def test_more_seeds_are_those_that_are_not_there(folder: Path):
    """Whatever has become of them; and there is no command for settings that vary."""
    logs = folder / "logs"
    group(logs, "one", [1.0, None, None], settings={"gamma": 0.5})
    (logs / "one" / "seeds.json").write_text(json.dumps({"seeds": [0, 1, 2, 7]}))
    last = lerax("compare", "one", cwd=folder).stderr.splitlines()[-1]
    assert last == "next        more seeds: lerax train --config logs/one/seed_0/config.toml --seeds 8..12"
    for env in ("CartPole-v1", "Pendulum-v1"):
        for algo, score in (("a2c", 9.0), ("reinforce", 9.5)):
            for seed in range(3):
                trained(logs, f"{algo}-{env}-{seed}", seed=seed, algo=algo, env=env, score=score + seed)
    trained(logs, "reinforce-more", seed=1, algo="reinforce", env="Acrobot-v1", score=1.0)
    names = [path.name for path in logs.iterdir() if path.name[:3] in ("a2c", "rei")]
    done = lerax("compare", *names, "--by", "algo", cwd=folder)
    (rows,) = [rows for rows in tables(done.stdout) if rows[0][:2] == ["NAME", "ENV"]]
    assert [row[2] for row in rows if row[1] == "all, from 0 to 1"] == ["6", "6"]
    (step,) = [line for line in done.stderr.splitlines() if line.startswith("next ")]
    assert "more seeds of" in step and "lerax train" not in step


def test_json_has_no_number_that_it_does_not_know(folder: Path):
    settings = {"of_env": {"healthy_z_range": [0.7, math.inf], "since": "HERE"}}
    group(folder / "logs", "odd", [1.0, 2.0], **settings)
    for path in (folder / "logs" / "odd").glob("*/config.toml"):
        path.write_text(path.read_text().replace("Infinity", "inf").replace('"HERE"', "2026-01-02"))
    done = lerax("compare", "fast", "odd", "--json", cwd=folder)
    told = json.loads(done.stdout, parse_constant=pytest.fail)
    assert told["settings"]["env.healthy_z_range"] == {"odd": [0.7, "inf"]}
    assert told["settings"]["env.since"] == {"odd": "2026-01-02"}


def test_facts_that_name_no_environment_are_left_out(folder: Path):
    path = folder / "logs" / "sac-1"
    (path / "run.json").write_text("{}")
    path.rename(folder / "logs" / "sac\n1")
    done = lerax("compare", "sac\n1", "fast", cwd=folder)
    assert warned(done)[0] == "sac\\n1 is left out: run.json names no environment or no algorithm"


def test_scores_that_cannot_be_summed_are_left_out(folder: Path):
    group(folder / "logs", "huge", [1.7e308, -1.7e308, 1.0])
    done = lerax("compare", "huge", cwd=folder)
    assert done.returncode == 0 and "huge/seed_1 is left out: it has no score within 1e+300" in done.stderr


def test_single_seeds_are_not_paired(folder: Path):
    done = lerax("compare", "sac-1", "fast/seed_0", cwd=folder)
    assert "BETTER" not in done.stdout and "pairs       1 in which" in done.stderr
    assert "lerax: warning: fewer than 3 seeds tell little: sac-1, fast/seed_0" in done.stderr
    assert done.stderr.splitlines()[-1].endswith("--config logs/sac-1/config.toml --seeds 2..6")


def test_runs_are_put_together_by_a_setting(folder: Path):
    everything = ["fast", "slow", "sac-1", "sac-2", "sac-3"]
    told = json.loads(lerax("compare", *everything, "--by", "algo", "--json", cwd=folder).stdout)
    assert {one["name"]: len(one["runs"]) for one in told["contestants"]} == {"ppo": 8, "sac": 3}
    done = lerax("compare", *everything, "--by", "algo", cwd=folder)
    assert "together    runs alike in algo, whatever else differs" in done.stderr
    assert done.stdout.startswith("SETTING  ppo      sac\nalgo     ppo      sac\ngamma    various  0.99\n")
    assert "lerax: warning" not in done.stderr
    done = lerax("compare", "fast", "sac-1", "sac-2", "sac-3", "--by", "algo", cwd=folder)
    assert done.stdout.startswith("NAME  ENV "), "settings that names say are no table"


def test_tables_fit_a_narrow_terminal(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """What can be told from the rest goes first."""
    monkeypatch.setattr(report, "_width", lambda stream: 80)
    done = lerax("compare", "fast", "sac-1", "sac-2", "sac-3", cwd=folder)
    assert max(map(len, done.stdout.splitlines())) <= 80
    heads = [" ".join(rows[0]) for rows in tables(done.stdout)]
    assert "NAME ENV SEEDS IQM 95 % INTERVAL MEAN MEDIAN" in heads
    assert "BETTER THAN PROBABILITY 95 % INTERVAL TOLD APART SEEDS EACH MORE" in heads
    assert "not shown   DIFFERENCE: no room in 80 columns; --json has all" in done.stderr.splitlines()


def test_a_sweep_is_told_from_a_run(folder: Path):
    """And what shows it, for each command that takes runs."""
    group(folder / "logs" / "tried", "trial_0000", [1.0, 2.0])
    (folder / "logs" / "tried" / "sweep.toml").write_text("")
    for command in ("compare", "watch", "plot"):
        done = lerax(command, "tried", cwd=folder)
        refuse(done, 2, ["RUN", "a sweep", "`lerax sweep show tried`", "tried/trial_0000 is the first"])
    refuse(lerax("watch", "logs/tried", cwd=folder), 2, ["`lerax sweep show logs/tried`"])
    elsewhere = lerax("watch", "tried", "--out", "..", cwd=folder / "logs" / "fast")
    refuse(elsewhere, 2, ["`lerax sweep show ../tried`"])
    assert lerax("compare", "tried/trial_0000", cwd=folder).returncode == 0


def test_contestants_that_nothing_tells_apart_are_named_by_their_runs(folder: Path):
    """Such as single runs of the settings and the seeds of a training that has the algorithm's name."""
    logs, settings = folder / "logs", {"gamma": 0.99, "num_envs": 8}
    (logs / "fast").rename(logs / "ppo")
    for seed in (0, 1):
        trained(logs, f"again-{seed}", seed=seed, score=9.0, settings=settings)
    told = json.loads(lerax("compare", "ppo", "again-0", "again-1", "--json", cwd=folder).stdout)
    assert [one["name"] for one in told["contestants"]] == ["ppo", "again-0 and 1 more"]


def test_json_is_all_of_it(folder: Path):
    """Standard output holds nothing else; warnings are there and on standard error."""
    (folder / "logs" / "slow" / "seed_3" / "config.toml").write_text("= 3")
    done = lerax("compare", "fast", "slow", "--json", cwd=folder)
    told, line = json.loads(done.stdout), "slow/seed_3 is left out: config.toml is damaged"
    assert told.keys() == {
        "score",
        "score_is",
        "environments",
        "scaled",
        "intervals",
        "settings",
        "contestants",
        "pairs",
        "profile",
        "warnings",
    }
    assert told["warnings"] == [line] and done.stderr == f"lerax: warning: {line}\n"
    assert told["settings"]["clip_coefficient"] == {"slow": 0.1}
    assert told["contestants"][0]["runs"][0] == {
        "name": "fast/seed_0",
        "path": "logs/fast/seed_0",
        "env": "CartPole-v1",
        "seed": 0,
        "status": "finished",
        "steps": 10_000,
        "score": 9.0,
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["RUN"]),
        (["fsat", "slow"], ["RUN", "no such run"]),
        (["fast", "fast"], ["RUN", "named twice"]),
        (["fast", "slow", "--by", "gama"], ["--by", "did you mean gamma"]),
        (["sac-"], ["RUN", "3 runs begin so"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_what_cannot_be_is_refused(folder: Path, arguments: list[str], words: list[str]):
    refuse(lerax("compare", *arguments, cwd=folder), 2, words)


def test_nothing_slow_is_imported(folder: Path):
    program = """
import sys
from lerax_cli.app import run
code = run(["compare", "fast", "slow"])
slow = {"jax", "equinox", "matplotlib", "pandas", "scipy.stats"} & {*sys.modules}
sys.exit(code or ", ".join(slow) or 0)
"""
    done = terminal.finish([sys.executable, "-c", program], folder, {})
    assert done.returncode == 0, done.stderr
