"""lerax's pictures and videos."""

import os
import tempfile
import time
from pathlib import Path
from typing import Any, ClassVar

import equinox as eqx
import jax
import mujoco
import numpy as np
from jax import numpy as jnp
from jax import random as jr
from settings import BALANCE

from lerax import tree
from lerax.env import classic_control
from lerax.evaluate import episode
from lerax.policy import AbstractPolicy, RandomPolicy
from lerax.record import record
from lerax.render import HeadlessMujocoRenderer, headless_renderer
from lerax.render.pygame_renderer import import_pygame
from lerax.space import AbstractSpace


class Balance(AbstractPolicy):
    """Keeps CartPole's pole up for a whole episode."""

    action_space: AbstractSpace = eqx.field(static=True)
    observation_space: AbstractSpace = eqx.field(static=True)

    name: ClassVar[str] = "Balance"

    def __init__(self, env: Any):
        self.action_space, self.observation_space = env.action_space, env.observation_space

    def __call__(self, state, observation, *, key=None, action_mask=None):
        return None, (observation @ jnp.array(BALANCE) > 0).astype(int)


def draw(episodes: int) -> dict[str, float]:
    """Frames of CartPole that are drawn and read back in a second."""
    env = classic_control.CartPole()
    drawn = tree.on_host(env)
    keys = jr.split(jr.key(0), episodes)
    states = [step.state for key in keys for step in episode(env, Balance(env), key=key)]
    with headless_renderer(env) as renderer:
        began = time.perf_counter()
        for state in states:
            drawn.render(state, renderer)
            renderer.as_array()
        return {"frames_per_second": len(states) / (time.perf_counter() - began)}


def video(seed: int) -> dict[str, float]:
    """Seconds from the environment to the mp4 of a whole episode of CartPole, and those of another one."""
    import_pygame()
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)  # as the command has it
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    seconds, facts = [], {}
    for number in range(2):
        began = time.perf_counter()
        env = classic_control.CartPole()
        facts = _record(env, Balance(env), seed + number)
        seconds.append(time.perf_counter() - began)
    return facts | {"first": seconds[0], "second": seconds[1]}


def pipeline(name: str, steps: int) -> dict[str, float]:
    """Frames that are played, drawn and encoded in a second, compiling included."""
    env = getattr(classic_control, name)()
    began = time.perf_counter()
    facts = _record(env, RandomPolicy(env), 0, steps)
    return facts | {"frames_per_second": facts["frames"] / (time.perf_counter() - began)}


def mujoco_pictures(opengl: str, frames: int) -> dict[str, Any]:
    """Frames of Gymnasium's models that are drawn and read back in a second, with shadows."""
    os.environ["MUJOCO_GL"] = opengl
    import gymnasium
    from settings import MODELS

    folder = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"
    speeds = {}
    for name in MODELS:
        model = mujoco.MjModel.from_xml_path(str(folder / f"{name}.xml"))
        data, generator = mujoco.MjData(model), np.random.default_rng(0)
        renderer = HeadlessMujocoRenderer(model, 640, 480)
        seconds = 0.0
        for number in range(1 + frames):
            data.ctrl[:] = generator.uniform(-0.4, 0.4, model.nu)
            mujoco.mj_step(model, data, 5)
            began = time.perf_counter()
            renderer.render_data(data)
            renderer.as_array()
            seconds += (time.perf_counter() - began) if number else 0.0  # the first one opens it
        if renderer.drawn_with != opengl:
            return {"skipped": f"{opengl} does not work here"}
        renderer.close()
        speeds[name] = frames / seconds
    return {"models": speeds}


def _record(env: Any, policy: AbstractPolicy, seed: int, steps: int | None = None) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder, headless_renderer(env) as renderer:
        path = Path(folder) / "video.mp4"
        recording = record(path, env, [("policy", policy)], renderer, key=jr.key(seed), steps=steps)
        return {"frames": recording.video.frames, "kilobytes": path.stat().st_size / 1e3}
