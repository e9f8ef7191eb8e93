"""`lerax check` and `lerax.check`: each fault of a zoo is found by its name, and none in what is sound."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import terminal
import zoo
from jax import numpy as jnp
from test_cli_inputs import refuse

from lerax.check import check_env
from lerax.env.classic_control import CartPole
from lerax.errors import SettingError
from lerax.space import Box, MultiBinary
from lerax.wrapper import TimeLimit, TransformAction

BRIEF = {"num_steps": 12, "num_envs": 2}


@pytest.mark.parametrize("cls", zoo.FOUND, ids=lambda cls: cls.__name__)
def test_each_fault_is_found_by_its_name(cls):
    wrong = {one.name: one for one in check_env(cls(), **BRIEF) if not one.ok}
    expected = zoo.FOUND[cls]
    assert {expected} <= wrong.keys() <= {expected} | zoo.ALSO.get(cls, set()), wrong
    assert all(wrong[expected][2:]), "it says what was got, what is wanted and how to mend it"


@pytest.fixture(scope="module")
def sound():
    """What is found of an environment with which nothing is wrong."""
    return check_env(zoo.Sound(), **BRIEF)


def test_nothing_is_wrong_with_what_is_sound(sound):
    assert [one for one in sound if not one.ok or one.hint] == []
    assert {*zoo.FOUND.values()} < {one.name for one in sound}


def test_its_figures_are_those_of_the_episodes(sound):
    """Rewards lie between what three steps to either side can reach; an episode has at most 4 steps."""
    got = {one.name: one.got for one in sound}
    low, high = (float(word.rstrip(",")) for word in got["rewards"].split()[1:4:2])
    assert -1 <= low < high <= 1.2 + 0.25
    steps = float(got["ends"].split()[3])
    assert 1 <= steps <= 4
    assert np.isfinite(float(got["speed"].split()[0].replace(",", "")))


def test_a_wrapped_one_is_checked_as_it_is_wrapped():
    """The limit ends what never ends by itself."""
    found = {one.name: one.ok for one in check_env(TimeLimit(zoo.Endless(), 3), **BRIEF)}
    assert found["ends"] and all(found.values())


@pytest.mark.parametrize(
    "space",
    [Box(-0.4, 0.4, shape=(3,)), Box([0.0, 5.0], [1.0, 5.0]), Box(-np.inf, np.inf, shape=()), MultiBinary(2)],
    ids=str,
)
def test_actions_within_reach_are_nothing_wrong(space):
    """Close ones, one that is no choice, ones without bounds, and choices."""
    found = check_env(TransformAction(zoo.Sound(), lambda action: jnp.sum(action), space), **BRIEF)
    (actions,) = (one for one in found if one.name == "actions")
    assert actions.ok and not actions.hint


def test_what_is_no_environment_is_refused():
    with pytest.raises(TypeError):
        check_env(CartPole)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="^num_steps: out of range"):
        check_env(CartPole(), num_steps=0)


def test_the_command_says_it_and_ends_with_the_right_code(tmp_path: Path):
    shutil.copy(zoo.__file__, tmp_path / "zoo.py")
    check = lambda name, *words: terminal.run("check", name, "--steps", "12", *words, cwd=tmp_path)
    right = check("zoo.py:Sound")
    assert right.returncode == 0 and "zoo.py:Sound: all " in right.stderr, right.stderr
    assert {row.split()[1] for row in right.stdout.splitlines()[1:]} == {"yes"}
    wrong = check("zoo.py:WholeTerminal")
    assert wrong.returncode == 1 and wrong.stderr.endswith(" checks wrong: contract\n"), wrong.stderr
    (row,) = (row for row in wrong.stdout.splitlines() if row.split()[1] == "no")
    assert row.split()[0] == "contract" and "wanted: one boolean" in row and "mend `terminal`" in row
    told = check("zoo.py:WholeTerminal", "--json")
    (one,) = json.loads(told.stdout)["checks"]
    assert told.returncode == 1 and (one["name"], one["ok"]) == ("contract", False)
    assert "one boolean" in one["wanted"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["CartPol-v1"], ["ENV", "did you mean CartPole-v1"]),
        (["CartPole-v1", "--set", "gamma=0.9"], ["--set", "only settings of the environment", "env.KEY"]),
        (["CartPole-v1", "--set", "env.max_episode_steps=0"], ["--set", "at least 1"]),
        (["CartPole-v1", "--steps", "0"], ["--steps", "at least 1"]),
        (["nowhere.py:Env"], ["ENV", "no such file"]),
    ],
)
def test_what_cannot_be_checked_is_refused(tmp_path: Path, words: list[str], said: list[str]):
    refuse(terminal.run("check", *words, cwd=tmp_path), 2, said)
