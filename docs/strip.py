"""Makes a picture of each environment, docs/cartpole.png and so on: frames of an episode side by side."""

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
SEED = 32
COLORS = 64  # few enough for a small file, many enough for smooth edges


def main() -> None:
    """A random policy plays an episode of each."""
    for entry in registry.ENVS.values():
        name = entry.name.partition("-")[0].lower()
        strip = Image.fromarray(_strip(entry.load()())).quantize(COLORS, dither=Image.Dither.NONE)
        strip.save(Path(__file__).with_name(f"{name}.png"), optimize=True)


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
