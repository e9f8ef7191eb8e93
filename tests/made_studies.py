"""Runs of several seeds and settings, as the command leaves them, made by hand."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from made_runs import make

CONFIG = """seed = {seed}
steps = {steps}
preset = "none"
backend = ["none"]
nan = "stop"

[env]
name = "{env}"
{of_env}
[algorithm]
name = "{algo}"
{settings}
[policy]
name = "MLPActorCriticPolicy"
"""


def trained(
    folder: Path,
    name: str,
    *,
    seed: int = 1,
    algo: str = "ppo",
    env: str = "CartPole-v1",
    steps: int = 10_000,
    settings: Mapping[str, Any] = {"gamma": 0.99},  # noqa: B006
    of_env: Mapping[str, Any] = {},  # noqa: B006
    **facts: Any,
) -> Path:
    """A run that has finished, of a seed, an algorithm, and settings of it and of the environment."""
    told = {"steps": steps, "total_steps": steps, "versions": {"lerax": "0.1.0", "jax": "0.10.2"}}
    path = make(folder, name, env=env, **(told | {"seed": seed, "algo": algo} | facts))
    text = {"seed": seed, "steps": steps, "env": env, "algo": algo}
    text |= {"settings": _lines(settings), "of_env": _lines(of_env)}
    (path / "config.toml").write_text(CONFIG.format(**text))
    return path


def group(folder: Path, name: str, scores: Iterable[float | None], **options: Any) -> Path:
    """A training of several seeds, and the score of each."""
    for seed, score in enumerate(scores):
        trained(folder / name, f"seed_{seed}", seed=seed, score=score, **options)
    (folder / name / "seeds.json").write_text(json.dumps({"seeds": "made by hand"}))
    return folder / name


def _lines(table: Mapping[str, Any]) -> str:
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
