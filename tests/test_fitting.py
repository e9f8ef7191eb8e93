"""Which algorithms fit an environment, and which one is taken where none is named."""

import copy
import json
from pathlib import Path
from typing import Any

import in_process
import pytest
import terminal
from test_cli_inputs import refuse
from test_names import OWN
from test_plugins import install, path
from test_tasks import plan

from lerax import registry
from lerax_cli import declared, fitting
from lerax_cli.report import BadInput

PRESETS = {
    "ppo": {"steps": 500, "score": 1.0, "seconds": 9.0, "algorithm": {}},
    "boxer": {"steps": 600, "score": 2.0, "seconds": 4.0, "algorithm": {"num_envs": 2}},
    "picker": {"steps": 700, "score": 3.0, "algorithm": {}},
}


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch):
    """A registry of PPO and two that fit one kind of action each, and presets of all."""
    content, ppo = copy.deepcopy(declared._content()), registry.ALGORITHMS["ppo"]
    settings = content["algorithm"]["ppo"]
    content["actions"]["algorithm"] = {"picker": ["Discrete"], "ppo": ["Box", "Discrete"], "boxer": ["Box"]}
    for name in list(registry.ALGORITHMS):
        monkeypatch.delitem(registry.ALGORITHMS, name)
    for name in content["actions"]["algorithm"]:
        monkeypatch.setitem(registry.ALGORITHMS, name, ppo._replace(name=name))
        content["algorithm"][name] = dict(settings)
    content["algorithm"]["boxer"]["punch"] = {"help": "How hard.", "kind": "float", "default": 1.0}
    monkeypatch.setattr(declared, "_content", lambda: content)
    monkeypatch.setattr(registry, "presets", lambda env: copy.deepcopy(PRESETS))
    declared.ours.cache_clear()
    yield
    declared.ours.cache_clear()


def taken(env: str, presets: dict[str, dict[str, Any]], policy: str = "") -> str:
    return fitting.default_algorithm(registry.ENVS[env], presets, policy).name


def test_the_preset_that_gets_to_its_score_soonest_decides(three: None):
    """Among those that fit; one whose seconds are not known comes behind those that were measured."""
    assert taken("Pendulum-v1", PRESETS) == "boxer"
    assert taken("CartPole-v1", PRESETS) == "ppo"
    assert taken("CartPole-v1", {"picker": PRESETS["picker"]}) == "picker"
    assert taken("CartPole-v1", {"ppo": {"steps": 5}, "picker": PRESETS["picker"]}) == "picker"


def test_ppo_stays_where_no_other_is_twice_as_soon(three: None):
    slower = {**PRESETS, "boxer": {**PRESETS["boxer"], "seconds": 4.5}}
    assert taken("Pendulum-v1", slower) == "ppo"


def test_where_no_preset_has_a_score_it_is_ppo(three: None):
    assert taken("CartPole-v1", {}) == "ppo"
    assert taken("CartPole-v1", {"picker": {"steps": 5, "seconds": 1.0}}) == "ppo"
    assert fitting.default_algorithm(None, {}).name == "ppo"


def test_a_policy_brings_its_algorithm(three: None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(registry.ALGORITHMS, "picker", registry.ALGORITHMS["picker"]._replace(policy="Own"))
    assert taken("CartPole-v1", PRESETS, "own") == "picker"
    assert taken("CartPole-v1", PRESETS, "Unknown") == "ppo"
    monkeypatch.setitem(registry.ALGORITHMS, "boxer", registry.ALGORITHMS["boxer"]._replace(policy="Own"))
    assert taken("Pendulum-v1", PRESETS) == "boxer"
    assert taken("Pendulum-v1", PRESETS, "GRUActorCriticPolicy") == "ppo"  # as any that trains its like


def test_a_plan_takes_it_with_its_preset(three: None):
    found = plan("Pendulum-v1")
    assert (found.algorithm.name, found.steps, found.score, found.untuned) == ("boxer", 600, 2.0, False)
    assert plan("Pendulum-v1", algo="PPO").steps == 500
    assert plan("Pendulum-v1", preset="none").algorithm.name == "ppo"
    assert plan("corridor:Corridor").algorithm.name == "boxer"  # whose presets are the environment's, here


def test_an_algorithm_that_does_not_fit_is_refused_with_those_that_do(three: None):
    with pytest.raises(BadInput) as refused:
        plan("CartPole-v1", algo="boxer")
    assert str(refused.value) == (
        "--algo: boxer is for Box actions, which CartPole-v1 does not have (got Discrete); "
        "fitting: picker, ppo"
    )
    assert refused.value.code == 2
    assert plan("CartPole-v1", algo="boxer", policy="own:Policy").algorithm.name == "boxer"  # it may fit


def test_a_setting_of_another_algorithm_says_whose_it_is(three: None):
    with pytest.raises(BadInput, match="no such setting; it is one of boxer: add --algo boxer"):
        plan("CartPole-v1", settings=[("algorithm", "punch", 2.0)])


def test_the_list_says_which_fit_and_what_they_reach(three: None, tmp_path: Path):
    rows = json.loads(in_process.run("list-algos", "--env", "pendulum-v1", "--json", cwd=tmp_path).stdout)
    told = {row["name"]: (row["fits"], row["default"], row["score"], row["seconds"]) for row in rows}
    assert told == {
        "picker": (False, False, 3.0, None),
        "ppo": (True, False, 1.0, 9.0),
        "boxer": (True, True, 2.0, 4.0),
    }
    shown = in_process.run("list-algos", "--env", "Pendulum-v1", cwd=tmp_path)
    assert "no: for Discrete actions" in shown.stdout and "takes boxer" in shown.stderr
    assert "Box, Discrete" in in_process.run("list-algos", cwd=tmp_path).stdout


def test_an_environment_excludes_the_settings_of_one(tmp_path: Path):
    refuse(
        in_process.run("list-algos", "ppo", "--env", "CartPole-v1", cwd=tmp_path),
        2,
        ["--env", "got ALGORITHM ppo"],
    )
    refuse(in_process.run("list-algos", "--env", "CartPol-v1", cwd=tmp_path), 2, ["--env", "CartPole-v1"])


def test_classes_of_ones_own_are_asked_by_making_them(tmp_path: Path):
    """An environment by its place or by a package's name, and a package's algorithm."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "own.py").write_text(OWN)
    install(site, "own", {"Pole-v0": "own:Pole"}, group="lerax.envs")
    install(site, "mine", {"mine": "own:Mine"}, group="lerax.algorithms")
    for env in ("pole-v0", "own:Pole"):
        done = terminal.forked("list-algos", "--env", env, "--json", cwd=tmp_path, PYTHONPATH=path(site))
        rows = {row["name"]: row for row in json.loads(done.stdout)}
        assert rows["mine"]["fits"] and rows["ppo"]["fits"] and rows["mine"]["score"] is None


def test_what_the_file_says_of_actions_is_so():
    """The file is read in place of the classes."""
    assert declared._content()["actions"] == fitting.action_kinds_from_classes()
    assert all(kinds for kinds in declared._content()["actions"]["algorithm"].values())
