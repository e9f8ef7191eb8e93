"""Directories of runs as the command leaves them, made by hand."""

import json
import os
from pathlib import Path
from typing import Any

CONFIG = """seed = 1
steps = {total}
preset = "none"
backend = ["none"]
nan = "stop"

[env]
name = "{env}"

[algorithm]
name = "ppo"
gamma = 0.5

[policy]
name = "MLPActorCriticPolicy"
"""
GONE = {"pid": 1, "host": "elsewhere", "boot": None, "began": 1}
"""A process of another machine; it is gone when it has been silent for two minutes."""


def make(
    folder: Path,
    name: str,
    *,
    env: str = "CartPole-v1",
    status: str = "finished",
    day: int = 1,
    score: float | None = None,
    silent: float = 0.0,
    rows: tuple[dict[str, Any], ...] = (),
    **facts: Any,
) -> Path:
    """A run that began on a day of 2026, and whose last sign of life was so many seconds ago."""
    path = folder / name
    path.mkdir(parents=True)
    told = {"name": name, "status": status, "env": env, "algo": "ppo", "seed": 1, "device": "cpu"}
    told |= {"started": f"2026-01-{day:02}T12:00:00+00:00", "process": GONE}
    if status != "running":
        told |= {"steps": 2048, "seconds": 61.0}
    if score is not None:
        told["evaluation"] = {"episodes": 100, "mean_return": score, "std_return": 1.0, "mean_length": score}
    (path / "config.toml").write_text(CONFIG.format(total=10_000, env=env))
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (path / "run.json").write_text(json.dumps(told | facts))
    if silent:
        for file in (path / "run.json", path / "metrics.jsonl"):
            then = file.stat().st_mtime - silent
            os.utime(file, (then, then))
    return path
