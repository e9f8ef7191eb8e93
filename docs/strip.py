"""Makes pictures of the environments: docs/cartpole.png and so on, frames of episodes; docs/mujoco.png.

With the directory of a run: a picture of its policy at play, docs/trained.png.
"""

import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
from jax import random as jr
from PIL import Image

from lerax import registry
from lerax.checkpoint import load
from lerax.evaluate import episode
from lerax.policy import MLPActorCriticPolicy, RandomPolicy
from lerax.render import headless_renderer, write_caption

FRAMES = 5
SIZE = (320, 240)
COLUMNS = 4
SEED = 32
TRAINED_STEPS = 110  # of a trained policy: a hop
COLORS = 64  # few enough for a small file, many enough for smooth edges; shaded surfaces take 256


def main() -> None:
    """A random policy plays an episode of each; of MuJoCo's tasks, one picture shows all."""
    if len(sys.argv) > 1:
        return _save("trained", _of_run(Path(sys.argv[1])), 256)
    simulated = [entry for entry in registry.ENVS.values() if ".mujoco:" in entry.target]
    for entry in registry.ENVS.values():
        if entry not in simulated:
            _save(entry.name.partition("-")[0].lower(), _strip(entry.load()()))
    tiles = [_first(entry.load()()) for entry in simulated]
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % COLUMNS)
    rows = [np.concatenate(tiles[i : i + COLUMNS], axis=1) for i in range(0, len(tiles), COLUMNS)]
    _save("mujoco", np.concatenate(rows), 256)


def _save(name: str, picture: np.ndarray, colors: int = COLORS) -> None:
    reduced = Image.fromarray(picture).quantize(colors, dither=Image.Dither.NONE)
    reduced.save(Path(__file__).with_name(f"{name}.png"), optimize=True)


def _first(env: Any) -> np.ndarray:
    with headless_renderer(env, *SIZE) as renderer:
        env.render(env.initial(key=jr.key(SEED)), renderer)
        frame = renderer.as_array()
    write_caption(frame, [env.name])
    return frame


def _of_run(run: Path) -> np.ndarray:
    config = tomllib.loads((run / "config.toml").read_text())
    env = registry.ENVS[config["env"]["name"]].load()()
    del config["policy"]["name"]
    policy = MLPActorCriticPolicy(env, **config["policy"], key=jr.key(0))
    return _strip(env, load(run / "policy.eqx", policy), TRAINED_STEPS)


def _strip(env: Any, policy: Any = None, length: int = 10_000) -> np.ndarray:
    random = policy is None
    policy = RandomPolicy(env) if random else policy
    steps = list(episode(env, policy, key=jr.key(SEED), deterministic=not random, max_steps=length))
    frames = []
    with headless_renderer(env, *SIZE) as renderer:
        for number in np.linspace(0, len(steps) - 1, FRAMES).round().astype(int):
            env.render(steps[number].state, renderer)
            frames.append(renderer.as_array())
            write_caption(frames[-1], [f"step {number}"])
    return np.concatenate(frames, axis=1)


if __name__ == "__main__":
    main()
