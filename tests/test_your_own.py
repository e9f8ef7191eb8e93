"""Parts of one's own: the files that the site shows, used from Python and by the command."""

import shutil
import sys
import tomllib
from pathlib import Path

import pytest
import terminal
from jax import random as jr
from test_plugins import install, path

from lerax.evaluate import evaluate

FILES = Path(__file__).parents[1] / "examples" / "your_own"


def test_they_train_from_python(monkeypatch: pytest.MonkeyPatch):
    """To the shortest way: eight steps, of which the last is worth 1."""
    monkeypatch.setattr(sys, "path", [str(FILES), *sys.path])
    from corridor import Corridor
    from linear import Linear
    from policy_gradient import PolicyGradient

    env = Corridor()
    policy = PolicyGradient().learn(env, Linear(env, key=jr.key(0)), 16_384, key=jr.key(1))
    returns = evaluate(env, policy, key=jr.key(2), num_episodes=2).returns
    assert returns.tolist() == pytest.approx([1 - 8 * 0.01] * 2)


def test_they_train_by_the_command(tmp_path: Path):
    """By the names that the package gives them, once it is installed."""
    site = tmp_path / "site"
    shutil.copytree(FILES, site)
    project = tomllib.loads((FILES / "pyproject.toml").read_text())["project"]
    for group, points in project["entry-points"].items():
        install(site, f"{project['name']}-{group}", points, group=group)
    words = ("corridor", "--algo", "policy_gradient", "--policy", "linear", "--set", "env.length=4")
    done = terminal.forked(
        *("train", *words, "--steps", "16384", "--seed", "1", "-q"), cwd=tmp_path, PYTHONPATH=path(site)
    )
    assert done.returncode == 0, done.stderr
    run = terminal.only_run(tmp_path / "logs")
    assert terminal.facts(run)["evaluation"]["mean_return"] == pytest.approx(1 - 4 * 0.01)
