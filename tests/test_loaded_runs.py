"""Runs in Python: their settings, what they have logged as columns, and what they have learned."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from jax import random as jr
from jax import tree
from made_runs import make

from lerax import checkpoint
from lerax.env.classic_control import CartPole, Pendulum
from lerax.errors import SettingError
from lerax.policy import MLPActorCriticPolicy
from lerax.runs import Metrics, UnknownRun, load_run, load_runs
from lerax.wrapper import ClipReward, TimeLimit

ROWS = (
    {"step": 512, "train/loss": 0.5},
    {"step": 1024, "train/loss": None, "episode/return": 21.0},
    {"step": 1536, "train/loss": 0.25, "episode/return": 23.5, "eval/return": 30},
)
WRAPS = """
[[wrap]]
name = "time_limit"
max_episode_steps = 7

[[wrap]]
name = "clip_reward"
low = -0.5
high = 0.5
"""
OWN = """
from lerax.env.classic_control import CartPole

class Short(CartPole):
    name = "Short"
"""


def save(path: Path, env, seed: int = 1) -> MLPActorCriticPolicy:
    """A policy in a file, as a run leaves it."""
    policy = MLPActorCriticPolicy(env, hidden_sizes=(8,), key=jr.key(seed))
    settings = {"hidden_sizes": [8]}
    checkpoint.save(path, policy, {"policy": "MLPActorCriticPolicy", "settings": settings, "env": "any"})
    return policy


def same(one, other) -> bool:
    return tree.all(tree.map(lambda a, b: np.array_equal(a, b), one, other))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make(tmp_path / "logs", "cart", rows=ROWS, score=30.0)
    return tmp_path / "logs"


def test_what_was_logged_are_columns(folder: Path):
    metrics = load_run("cart", folder).metrics
    assert metrics.steps.tolist() == [512, 1024, 1536] and metrics.steps.dtype == np.int64
    assert [*metrics] == ["train/loss", "episode/return", "eval/return"] and metrics.damaged == 0
    assert all(column.dtype == np.float64 for column in metrics.values())
    np.testing.assert_array_equal(metrics["train/loss"], [0.5, np.nan, 0.25])
    np.testing.assert_array_equal(metrics["episode/return"], [np.nan, 21.0, 23.5])
    np.testing.assert_array_equal(metrics["eval/return"], [np.nan, np.nan, 30.0])
    with pytest.raises(KeyError):
        metrics["train/los"]


def test_damaged_lines_are_left_out_and_counted(folder: Path):
    lines = [json.dumps(row).encode() for row in ROWS]
    strange = [b"\xff\x00", b"[1]", b'{"step": true}', b'{"no": 1}', b"[" * 10**5, b'{"step": %d}' % 2**64]
    more = b'{"step": 1536, "eval/length": 7, "train/loss": "x", "big": %d}' % 10**400
    whole = b"\n".join([lines[0], *strange, b"", *lines[1:], more])
    (folder / "cart/metrics.jsonl").write_bytes(whole + b'\n{"step": 2048, "tra')
    metrics = load_run(folder / "cart").metrics
    assert metrics.damaged == len(strange) + 1
    assert metrics.steps.tolist() == [512, 1024, 1536]  # lines of one step are one row
    assert metrics["eval/length"].tolist()[2] == 7.0
    assert np.isnan(metrics["train/loss"][2]) and np.isnan(metrics["big"]).all()


def test_nothing_logged_is_no_rows(folder: Path):
    os.unlink(folder / "cart/metrics.jsonl")
    assert len(load_run("cart", folder).metrics) == 0
    os.mkfifo(folder / "cart/metrics.jsonl")  # which nobody writes to
    assert load_run("cart", folder).metrics.steps.shape == (0,)


def test_a_frame_of_pandas_has_the_same(folder: Path):
    pandas = pytest.importorskip("pandas", reason="needs the extra `plot`, which `make test` installs")
    frame = load_run("cart", folder).frame()
    assert isinstance(frame, pandas.DataFrame) and frame.index.name == "step"
    assert frame.index.tolist() == [512, 1024, 1536] and frame["episode/return"].mean() == 22.25
    assert [*frame.columns] == ["train/loss", "episode/return", "eval/return"]


def test_without_pandas_it_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError) as refused:
        load_run("cart", folder).frame()
    assert str(refused.value) == "pandas is missing; pip install 'lerax[plot]'"


def test_what_a_run_was_told(folder: Path):
    run = load_run("car", folder)
    assert run.config == tomllib.loads((folder / "cart/config.toml").read_text())
    assert run.facts["evaluation"]["mean_return"] == 30.0 and run.seed == 1
    assert (run.path, run.run.status) == (folder / "cart", "finished")
    (folder / "cart/run.json").write_text("{")
    damaged = load_run("cart", folder)
    assert (damaged.facts, damaged.seed, damaged.run.status) == ({}, None, "unknown")
    for text, said in (("[", "config.toml is not TOML"), (None, "cannot be read")):
        (folder / "cart/config.toml").unlink()
        if text is not None:
            (folder / "cart/config.toml").write_text(text)
        with pytest.raises(SettingError, match=said):
            _ = load_run("cart", folder).config
        (folder / "cart/config.toml").touch()


def test_the_policy_is_what_was_saved_and_the_environment_what_it_was_trained_in(folder: Path):
    config = folder / "cart/config.toml"
    config.write_text(config.read_text().replace('"CartPole-v1"', '"CartPole-v1"\nmax_episode_steps = 9'))
    config.write_text(config.read_text() + WRAPS)
    saved, best = save(folder / "cart/policy.eqx", CartPole()), save(folder / "cart/best.eqx", CartPole(), 2)
    run = load_run("cart", folder)
    env = run.env
    assert isinstance(env, ClipReward) and (env.low, env.high) == (-0.5, 0.5)
    assert isinstance(env.env, TimeLimit) and env.env.max_episode_steps == 7
    assert env.unwrapped.max_episode_steps == 9 and run.env is env
    assert same(run.policy, saved) and run.policy is run.policy and not same(saved, best)
    assert [*run.policies] == ["best", "last"] and same(run.load_policy("best"), best)
    with pytest.raises(SettingError, match=r"none of that name \(got 'bst'\); allowed: best, last"):
        run.load_policy("bst")


def test_why_there_is_no_policy(folder: Path):
    make(folder, "died", status="running", silent=600.0)
    with pytest.raises(SettingError, match=r"the run has ended \(finished\) and saved no policy"):
        _ = load_run("cart", folder).policy
    with pytest.raises(SettingError, match="the run died at step 0 .* it has saved no policy"):
        _ = load_run("died", folder).policy


def test_a_policy_of_other_spaces_is_refused(folder: Path):
    save(folder / "cart/policy.eqx", Pendulum())
    with pytest.raises(checkpoint.MisfitError):
        _ = load_run("cart", folder).policy


def test_ones_own_class_is_imported_where_it_is_trusted(folder: Path, tmp_path: Path):
    (tmp_path / "own_env.py").write_text(OWN)
    name = f"{tmp_path}/own_env.py:Short"
    make(folder, "own", env=name)
    with pytest.raises(SettingError, match=r"only if it is trusted .*; add trust=\["):
        _ = load_run("own", folder).env
    assert "own_env" not in sys.modules
    try:
        for trust in ([name], name, [f"{tmp_path}/own_env.py"]):
            assert load_run("own", folder, trust=trust).env.name == "Short"
    finally:
        del sys.modules["own_env"]


def test_the_runs_of_a_group_in_the_order_of_their_seeds(folder: Path, monkeypatch: pytest.MonkeyPatch):
    for seed in (10, 2):
        make(folder / "many", f"seed_{seed}", seed=seed, rows=ROWS[:1])
    (folder / "many/seeds.json").write_text("{}")
    assert [run.seed for run in load_runs("many", folder)] == [2, 10]
    assert [run.run.name for run in load_runs(folder / "many")] == ["many/seed_2", "many/seed_10"]
    assert [run.run.name for run in load_runs("cart", folder)] == ["cart"]
    with pytest.raises(SettingError, match="several seeds"):
        load_run("many", folder)
    with pytest.raises(UnknownRun):
        load_runs("nobody", folder)
    monkeypatch.chdir(folder.parent)  # where runs are in `logs`, as for the command
    assert load_run("best:CartPole-v1").path.name == "cart"


def test_neither_jax_nor_pandas_is_imported_for_what_was_logged(folder: Path):
    code = (
        "import sys; from lerax.runs import load_run; assert 'numpy' not in sys.modules; "
        "run = load_run('cart', sys.argv[1]); assert run.metrics['episode/return'].size == 3; "
        "run.config, run.facts, run.policies, repr(run), repr(run.metrics); "
        "assert not {'jax', 'equinox', 'pandas'} & {*sys.modules}"
    )
    root = str(Path(__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": root}
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True, env=environment)


def test_metrics_of_a_file_alone(tmp_path: Path):
    assert repr(Metrics(tmp_path / "none.jsonl")) == "Metrics(0 rows of nothing)"
