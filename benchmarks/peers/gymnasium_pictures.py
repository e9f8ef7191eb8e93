"""Gymnasium's pictures and videos, at lerax's size."""

import tempfile
import time
from pathlib import Path
from typing import Any

import gymnasium
import moviepy  # noqa: F401  imported now, as what comes later is timed
import numpy as np
from gymnasium.wrappers import RecordVideo
from moviepy.video.io.ImageSequenceClip import ImageSequenceClip  # noqa: F401
from settings import BALANCE


def draw(episodes: int) -> dict[str, float]:
    """Frames of CartPole that are drawn and read back in a second."""
    env, frames, seconds = _cartpole(), 0, 0.0
    for seed in range(episodes):
        observation, ended = env.reset(seed=seed)[0], False
        while not ended:
            began = time.perf_counter()
            env.render()
            seconds += time.perf_counter() - began
            frames += 1
            observation, _, terminated, truncated, _ = env.step(_balance(observation))
            ended = terminated or truncated
    return {"frames_per_second": frames / seconds}


def video(seed: int) -> dict[str, float]:
    """Seconds from the environment to the mp4 of a whole episode of CartPole, and those of another one."""
    first, _ = _record(seed)
    second, facts = _record(seed + 1)
    return facts | {"first": first, "second": second}


def _record(seed: int) -> tuple[float, dict[str, float]]:
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        env = RecordVideo(_cartpole(), folder, episode_trigger=lambda _: True, disable_logger=True)
        observation, ended, frames = env.reset(seed=seed)[0], False, 1
        while not ended:
            observation, _, terminated, truncated, _ = env.step(_balance(observation))
            ended, frames = terminated or truncated, frames + 1
        env.close()
        seconds = time.perf_counter() - began
        size = next(Path(folder).glob("*.mp4")).stat().st_size
    return seconds, {"frames": frames, "kilobytes": size / 1e3}


def _cartpole() -> Any:
    env = gymnasium.make("CartPole-v1", render_mode="rgb_array")
    env.unwrapped.screen_width, env.unwrapped.screen_height = 640, 480
    return env


def _balance(observation: np.ndarray) -> int:
    return int(observation @ np.array(BALANCE) > 0)
