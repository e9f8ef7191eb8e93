"""What there is by name."""

import tomllib
from importlib import resources

import pytest
from jax import random as jr

from lerax import registry
from lerax.names import UnknownName, find, nearest
from lerax.registry import ALGORITHMS, BACKENDS, ENV, ENVS, POLICIES, presets
from lerax.settings import settings_of

ALL = [entry for entries in (ENVS, ALGORITHMS, POLICIES, BACKENDS) for entry in entries.values()]


@pytest.mark.parametrize("entry", ALL, ids=lambda entry: entry.name)
def test_every_entry_is_there(entry):
    loaded = entry.load()
    assert isinstance(loaded, type) and entry.about.endswith(".")


@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_tells_where_it_writes_and_takes_the_folder_of_the_runs(name, tmp_path):
    assert BACKENDS[name].writes and registry.obstacle(BACKENDS[name]) is None
    loaded = registry.load_backend(name)
    assert loaded is BACKENDS[name].load()
    if "RUN/" in BACKENDS[name].writes:
        assert loaded(log_dir=tmp_path / "logs").log_dir == tmp_path / "logs"
    assert not list(tmp_path.iterdir())


def test_a_backend_whose_package_is_missing_says_what_to_install():
    entry = BACKENDS["tensorboard"]._replace(package="no_such_package")
    assert registry.obstacle(entry) == "pip install no_such_package"


def test_environments_are_named_as_they_are_registered():
    assert all(entry.load()().name == name for name, entry in ENVS.items())
    assert all(entry.load().name == name for name, entry in POLICIES.items())


def test_a_name_is_found_in_any_case():
    assert find("environment", ENVS, "cartpole-V1") is ENVS["CartPole-v1"]


def test_a_wrong_name_is_answered_with_the_nearest():
    """P7: what is not registered is never imported."""
    with pytest.raises(UnknownName, match="unknown environment .*CartPol-v1.*did you mean CartPole-v1"):
        find("environment", ENVS, "CartPol-v1")
    with pytest.raises(UnknownName, match="available: CartPole-v1"):
        find("environment", ENVS, "os:system")


def test_the_nearest_come_first():
    assert nearest("tensorbord", ["console", "tensorboard", "tensor"]) == ["tensorboard", "tensor"]
    assert nearest("zzz", ["console"]) == []


def test_a_preset_is_valid():
    files = [path for path in resources.files("lerax.presets").iterdir() if path.name.endswith(".toml")]
    assert files
    for path in files:
        name = path.name.removesuffix(".toml")
        named = {name, f"gymnasium:{name}"} & {*ENVS, "gymnasium:LunarLander-v3"}
        for algorithm, preset in tomllib.loads(path.read_text()).items():
            assert isinstance(preset.get("score", 0.0), float) and preset.get("seconds", 1.0) > 0
            made = ALGORITHMS[algorithm].load()(**preset["algorithm"])
            assert preset["steps"] >= made.steps_per_iteration
            assert preset["algorithm"].keys() <= settings_of(type(made)).keys()
            policy = POLICIES[made.default_policy].load()
            assert preset.get("policy", {}).keys() <= settings_of(policy).keys()
            for env in named:  # none for a task of gymnax, which may not be there
                policy(env=ENV.load(ENV.find(env))(), key=jr.key(0), **preset.get("policy", {}))
            assert preset.keys() <= {"steps", "score", "seconds", "algorithm", "policy"}


def test_an_environment_without_presets_has_none():
    assert presets("Nothing-v0") == {}
    for name in ("../presets/CartPole-v1", "./CartPole-v1", "CartPole-v1.toml", "", "\0"):
        assert presets(name) == {}, "a name is looked up, not a path"
    assert "ppo" in registry.presets("CartPole-v1")
