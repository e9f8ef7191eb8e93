"""Makes pictures of the environments: docs/cartpole.png and so on, frames of episodes; docs/mujoco.png."""

from pathlib import Path
from typing import Any

import numpy as np
from jax import random as jr
from PIL import Image

from lerax import registry
from lerax.evaluate import episode
from lerax.policy import RandomPolicy
from lerax.render import headless_renderer, write_caption

FRAMES = 5
SIZE = (320, 240)
COLUMNS = 4
SEED = 32
COLORS = 64  # few enough for a small file, many enough for smooth edges; shaded surfaces take 256


def main() -> None:
    """A random policy plays an episode of each; of MuJoCo's tasks, one picture shows all."""
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


def _strip(env: Any) -> np.ndarray:
    steps = list(episode(env, RandomPolicy(env), key=jr.key(SEED), deterministic=False))
    frames = []
    with headless_renderer(env, *SIZE) as renderer:
        for number in np.linspace(0, len(steps) - 1, FRAMES).round().astype(int):
            env.render(steps[number].state, renderer)
            frames.append(renderer.as_array())
            write_caption(frames[-1], [f"step {number}"])
    return np.concatenate(frames, axis=1)


if __name__ == "__main__":
    main()
