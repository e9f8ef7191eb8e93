"""Parts of one's own: the files that the site shows, used from Python and by the command."""

import json
import shutil
import sys
import tomllib
from pathlib import Path

import pytest
import terminal
from jax import random as jr
from test_docs import BLOCK, YOUR_OWN, play
from test_plugins import install, path

from lerax.evaluate import evaluate

FILES = Path(__file__).parents[1] / "examples" / "your_own"
PROJECT = tomllib.loads((FILES / "pyproject.toml").read_text())["project"]
SHORT = ("--steps", "1024", "--set", "env.length=2", "--backend", "none")


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


def test_the_command_takes_them_by_their_place_and_says_how_to_repeat_it(tmp_path: Path):
    for file in FILES.glob("*.py"):
        shutil.copy(file, tmp_path)
    parts = ["corridor:Corridor", "--algo", "policy_gradient:PolicyGradient", "--policy", "linear:Linear"]
    done = terminal.run("train", *parts, *SHORT, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("repeat"))
    again = terminal.run(*line.split()[2:], "--json", "-q", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    first, second = (
        (tmp_path / name / "policy.eqx").read_bytes()[-64:]
        for name in (done.stdout.strip(), json.loads(again.stdout)["run"])
    )
    assert first == second


def test_an_installed_package_names_them(tmp_path: Path):
    """By the lines of its project file, one for each."""
    site = tmp_path / "site"
    site.mkdir()
    for file in FILES.glob("*.py"):
        shutil.copy(file, site)
    for group, points in PROJECT["entry-points"].items():
        install(site, f"{PROJECT['name']}-{group.rpartition('.')[2]}", points, group=group)
    words = ["train", "corridor", "--algo", "policy_gradient", "--policy", "linear", *SHORT, "--json", "-q"]
    done = terminal.forked(*words, cwd=tmp_path, PYTHONPATH=path(site))
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["steps"] == 1024 and result["evaluation"]["mean_return"] == pytest.approx(0.98)


@pytest.mark.slow
def test_a_newcomers_grid_is_written_and_solved_in_under_60_lines(tmp_path: Path):
    """The policy takes as few steps as a search for the shortest way, one square after the other."""
    (code,) = (code for language, code in BLOCK.findall(YOUR_OWN.read_text()) if language == "py")
    assert len(code.splitlines()) < 60
    names = play(YOUR_OWN, tmp_path)
    grid, reached, steps = names["MAP"], {(0, 0)}, 0
    while (3, 4) not in reached:
        beside = {(row + down, column + right) for row, column in reached for down, right in names["MOVES"]}
        inside = {(row, column) for row, column in beside if row in range(4) and column in range(5)}
        reached |= {(row, column) for row, column in inside if grid[row][column] != "#"}
        steps += 1
    returns = evaluate(names["env"], names["policy"], key=jr.key(3), num_episodes=2).returns
    assert returns.tolist() == pytest.approx([1 - 0.02 * (steps - 1)] * 2)


FAULTY = """
from corridor import Corridor
from lerax.policy import MLPActorCriticPolicy
from policy_gradient import PolicyGradient
print("not a result")

class WholeTerminal(Corridor):
    def terminal(self, state, *, key):
        return state.place

class Branches(Corridor):
    def transition(self, state, action, *, key):
        return state if action else super().transition(state, action, key=key)

class Unlicensed(Corridor):
    def __check_init__(self):
        raise RuntimeError("no licence")

class NoLearner(PolicyGradient):
    def init_learner(self, env, policy, *, key):
        return policy

class NoSteps(PolicyGradient):
    @property
    def steps_per_iteration(self):
        return 0
"""


@pytest.mark.parametrize(
    ("env", "algorithm", "said"),
    [
        ("faulty:WholeTerminal", "policy_gradient:PolicyGradient", "ENV: WholeTerminal.terminal of Corridor"),
        ("faulty:Branches", "policy_gradient:PolicyGradient", "ENV: Branches.transition of Corridor"),
        ("faulty:Unlicensed", "policy_gradient:PolicyGradient", "ENV: RuntimeError: no licence"),
        ("corridor:Corridor", "faulty:NoLearner", "--algo: NoLearner.init_learner: not an AbstractLearner"),
        ("corridor:Corridor", "faulty:NoSteps", "--algo: steps_per_iteration: out of range (got 0)"),
    ],
)
def test_a_fault_in_one_is_a_line_that_names_it(tmp_path: Path, env: str, algorithm: str, said: str):
    """Before anything is compiled; and what its file prints is no result."""
    for file in FILES.glob("*.py"):
        shutil.copy(file, tmp_path)
    (tmp_path / "faulty.py").write_text(FAULTY)
    parts = [env, "--algo", algorithm, "--policy", "linear:Linear"]
    done = terminal.run("train", *parts, "--steps", "1024", "-q", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    line = done.stderr.splitlines()[-1]
    assert line.startswith(f"lerax: error: {said}") and "Traceback" not in done.stderr
