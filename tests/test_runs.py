"""Runs on disk: found by names, listed in whatever state they are, and removed."""

import fcntl
import json
import os
from pathlib import Path

import pytest
from in_process import run as lerax
from made_runs import make
from test_cli_inputs import refuse

from lerax.errors import SettingError
from lerax.runs import (
    UnknownRun,
    find,
    find_all,
    find_group,
    names_in,
    prunable,
    read,
    remove,
    runs_in,
    seeds_of,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Some runs, and beside them all that is none or that is damaged."""
    make(tmp_path, "alpha", day=3, score=100.0)
    make(tmp_path, "alphabet", day=5, status="interrupted")
    make(tmp_path, "beta", day=9, score=300.0)
    make(tmp_path, "beast", day=7, status="failed", score=500.0)
    make(tmp_path, "pole", env="Pendulum-v1", day=8, rows=({"step": 8, "episode/return": -200.5},))
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "broken").symlink_to("nowhere")
    (tmp_path / "empty").mkdir()
    (tmp_path / "a-file").touch()
    for name, text in {"torn": '{"sta', "list": "[1]", "deep": "[" * 10**5, "odd": '{"status": 3}'}.items():
        path = make(tmp_path, f"x-{name}")
        (path / "run.json").write_text(text)
    (make(tmp_path, "x-none") / "run.json").unlink()
    pipe = make(tmp_path, "x-pipe") / "run.json"
    pipe.unlink()
    os.mkfifo(pipe)
    return tmp_path


def test_all_runs_are_listed_whatever_state_they_are_in(folder: Path):
    """By their beginning; one whose run.json is missing, damaged or a pipe is there, and says why."""
    found = runs_in(folder)
    strange = [run for run in found if run.name.startswith("x-")]
    assert {run.name for run in strange} == {
        f"x-{n}" for n in ("torn", "list", "deep", "odd", "none", "pipe")
    }
    assert {run.status for run in strange} == {"unknown"}
    assert all(run.problem for run in strange if run.name != "x-odd")
    assert [run.name for run in found if run not in strange] == ["alpha", "alphabet", "beast", "pole", "beta"]
    assert [run.name for run in found] == sorted(names_in(folder), key=[run.name for run in found].index)
    assert runs_in(folder / "a-file") == runs_in(folder / "nowhere") == names_in(folder / "nowhere") == []


def test_what_is_known_of_a_run(folder: Path):
    """The evaluation is the score, else the last episodes' return is."""
    alpha, pole = read(folder / "alpha"), read(folder / "pole")
    assert (alpha.env, alpha.algo, alpha.steps, alpha.total, alpha.score) == (
        "CartPole-v1",
        "ppo",
        2048,
        10_000,
        100,
    )
    assert pole.score == -200.5 and read(folder / "alphabet").score is None
    files = [path.stat().st_blocks * 512 for path in (folder / "alpha", *(folder / "alpha").iterdir())]
    assert alpha.size == sum(files) > 0


def test_the_last_sign_of_life_is_a_heartbeat_or_a_record(tmp_path: Path):
    run = make(tmp_path, "mine", status="running", silent=600.0)
    heard, spent = read(run).heard, read(run).spent
    assert heard == (run / "run.json").stat().st_mtime and spent == heard - read(run).began
    (run / "metrics.jsonl").touch()
    assert read(run).heard == (run / "metrics.jsonl").stat().st_mtime > heard


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("alpha", "alpha"),
        ("alphab", "alphabet"),
        ("po", "pole"),
        ("latest", "beta"),
        ("best:CartPole-v1", "beta"),
        ("best:cartpole-V1", "beta"),
        ("best:Pendulum-v1", "pole"),
        ("x-torn", "x-torn"),
    ],
)
def test_a_run_is_found_by_its_name(folder: Path, text: str, name: str):
    """Or by its path, or what it is among the others; a name is taken before what begins with it."""
    assert find(text, folder).path == folder / name
    assert find(str(folder / name), "elsewhere").path == folder / name


def test_the_latest_is_the_one_that_began_last(folder: Path):
    """Not the one that was written last; of one second the one with the highest number."""
    os.utime(folder / "alpha" / "run.json")
    assert find("latest", folder).name == "beta"
    for number in ("9", "10"):
        make(folder, f"beta-{number}", day=9)
    assert find("latest", folder).name == "beta-10"


def test_a_name_need_not_be_unicode(folder: Path):
    name = os.fsdecode(b"strange-\xff")
    make(folder, name)
    assert find(name, folder).name == find("stra", folder).name == name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("alp", ["alpha, alphabet"]),
        ("be", ["beast, beta"]),
        ("alhpabet", ["no such run", "did you mean alphabet"]),
        ("quite-another", ["no such run", "lists 11"]),
        ("", ["no such run"]),
        ("a\0b", ["no such run"]),
        ("broken", ["no such run"]),
        ("loop", ["no such run"]),
        ("best:Hopper-v5", ["no finished run of Hopper-v5", "CartPole-v1, Pendulum-v1"]),
        ("best:", ["no environment"]),
    ],
)
def test_what_is_no_run_is_refused(folder: Path, text: str, words: list[str]):
    with pytest.raises(SettingError) as refused:
        find(text, folder)
    assert isinstance(refused.value, UnknownRun) == ("no such run" in words)
    assert all(word in refused.value.reason for word in [*words, repr(text)]), refused.value.reason


def test_a_folder_that_is_no_run_is_refused(folder: Path):
    with pytest.raises(SettingError, match="no run.json"):
        find(str(folder / "empty"), folder)
    with pytest.raises(SettingError, match="there is no run in"):
        find("latest", folder / "empty")


def test_record_video_finds_runs_by_name(folder: Path):
    """The policy is missing: the run was found. What is ambiguous or unknown is answered."""
    out = ("--out", str(folder))
    for text, name in {"latest": "beta", "alphab": "alphabet", "best:Pendulum-v1": "pole"}.items():
        done = lerax("record-video", text, *out, cwd=folder)
        refuse(done, 2, ["--policy", "saved no policy", str(folder / name)])
    refuse(lerax("record-video", "alp", *out, cwd=folder), 2, ["ENV|RUN", "alpha, alphabet"])
    refuse(lerax("record-video", "alhpa", *out, cwd=folder), 2, ["ENV|RUN", "did you mean alpha"])
    refuse(lerax("record-video", "CarPole", *out, cwd=folder), 2, ["ENV|RUN", "did you mean CartPole-v1"])


def test_what_can_go_is_neither_alive_nor_a_link_nor_among_the_best(folder: Path):
    """By status, by the last sign of life, but for the best of each environment."""
    make(folder, "lives", status="running")
    make(folder, "died", status="running", silent=600.0)
    (folder / "link").symlink_to(folder / "alpha")
    names = lambda **options: {run.name for run in prunable(runs_in(folder), **options)}
    every = {"alpha", "alphabet", "beta", "beast", "pole", "died"}
    assert names() == every
    assert names(statuses=("died", "failed")) == {"died", "beast"}
    assert names(older_than=300.0) == {"died"}
    assert names(keep_best=1) == every - {"beast", "pole"}
    assert names(keep_best=2, statuses=("finished",)) == {"alpha"}
    assert names(statuses=("running",)) == set()


def test_a_run_is_removed_without_what_its_links_lead_to(folder: Path):
    (folder / "alpha" / "inside").symlink_to(folder / "beta")
    assert remove(read(folder / "alpha"))
    assert not (folder / "alpha").exists() and (folder / "beta" / "run.json").exists()
    (folder / "link").symlink_to(folder / "beta")
    assert not remove(read(folder / "link"))
    assert (folder / "beta" / "run.json").exists()


def test_a_run_that_lives_or_is_locked_is_not_removed(folder: Path):
    """Whatever was read of it before."""
    before = read(folder / "alpha")
    (folder / "alpha" / "run.lock").touch()
    with open(folder / "alpha" / "run.lock") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert not remove(before)
    lives = make(folder, "lives", status="running")
    assert not remove(read(lives)) and lives.exists()
    assert remove(before) and not before.path.exists()


@pytest.fixture
def group(folder: Path) -> Path:
    """A training with three seeds among the other runs."""
    for seed in (10, 2, 0):
        make(folder / "many", f"seed_{seed}", day=10 + seed, score=float(seed), seed=seed)
    (folder / "many" / "seeds.json").write_text(json.dumps({"seeds": [0, 2, 10]}))
    (folder / "many" / "seed_x").mkdir()
    return folder / "many"


def test_seeds_of_one_training_are_runs_with_two_names(folder: Path, group: Path, monkeypatch):
    names = ["many/seed_0", "many/seed_2", "many/seed_10"]
    assert [run.name for run in seeds_of(group)] == names
    assert [run.name for run in runs_in(folder) if run.name in names] == names
    assert {*names} < {*names_in(folder)}
    assert find("many/seed_2", folder).path == group / "seed_2"
    monkeypatch.chdir(group / "seed_10")
    assert read(".").name == "many/seed_10"
    with pytest.raises(SettingError, match=r"several seeds.*many/seed_0, many/seed_2, many/seed_10"):
        find("many", folder)
    make(folder, "seed_3")
    assert find("seed_3", folder).name == "seed_3"


def test_runs_are_found_together_each_once(folder: Path, group: Path):
    found = find_all(["pole", "many", "many/seed_2", str(group), "alphab"], folder)
    assert [run.name for run in found] == ["pole", "many/seed_0", "many/seed_2", "many/seed_10", "alphabet"]
    assert len(find_all([str(group)], "nowhere")) == 3 and find_all([], folder) == []
    assert len(find_all(["man"], folder)) == 3 and find_group("ma", folder) == group
    make(folder, "mane")
    assert find_group("man", folder) is None is find_group("many/seed_2", folder)
    with pytest.raises(UnknownRun):
        find_all(["many", "nobody"], folder)
