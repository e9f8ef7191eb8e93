"""What belongs to one task stays with it."""

from pathlib import Path
from typing import Any

import pytest

from lerax import registry
from lerax_cli import options

OPTIONS: dict[str, Any] = dict.fromkeys(
    ("algo", "steps", "seed", "backends", "preset", "config", "num_envs", "nan", "video_interval")
)


def plan(env: str | None, config: Path | None = None, **given) -> options.TrainingPlan:
    """What a run would be, with what the command line gives."""
    given |= {"config": str(config)} if config else {}
    return options.plan(env, **(OPTIONS | {"settings": [], "warn": pytest.fail} | given))


def own(env: str, algorithm: str = "ppo") -> float | None:
    """The score in an environment's own preset."""
    return registry.presets(env)[algorithm].get("score")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The config of a run of CartPole with a score that is no preset's."""
    path = tmp_path / "config.toml"
    path.write_text('env = "CartPole-v1"\npreset = "none"\nscore = 123.0\nsteps = 7000\nseed = 5\n')
    return path


@pytest.mark.parametrize("env", [None, "CartPole-v1", "cartpole-V1"])
def test_a_configs_score_counts_for_its_environment(config: Path, env: str | None):
    """However its name is written."""
    assert plan(env, config).score == 123


@pytest.mark.parametrize("env", ["Acrobot-v1", "MountainCar-v0"])
def test_a_configs_score_does_not_travel(config: Path, env: str):
    """Another environment is judged by its own; what else the config says was asked for."""
    found = plan(env, config)
    assert found.score == own(env, found.algorithm.name) != 123
    assert (found.steps, found.seed) == (7000, 5)


@pytest.mark.parametrize("preset", ["CartPole-v1", "none", "auto"])
def test_a_presets_score_does_not_travel(preset: str):
    """Its settings and its steps do, for these were asked for by its name."""
    found = plan("Acrobot-v1", preset=preset)
    assert found.score == own("Acrobot-v1") != own("CartPole-v1")
    if preset == "CartPole-v1":
        wanted = registry.presets(preset)["ppo"]
        assert found.steps == wanted["steps"]
        assert {key: given.value for key, given in found.settings["algorithm"].items()} == wanted["algorithm"]


def test_a_config_without_an_environment_is_for_any(config: Path):
    """Its score is that of whatever is trained."""
    config.write_text("score = 123\n")
    assert plan("Acrobot-v1", config).score == 123


def test_an_environment_without_a_score_gets_none(config: Path, monkeypatch: pytest.MonkeyPatch):
    """Rather none than that of another one."""
    monkeypatch.setattr(registry, "presets", lambda env: {})
    assert plan("Acrobot-v1", config).score is None
