"""Settings that several tasks have."""

from typing import Any

from lerax.kinds import INTERVAL
from lerax.settings import setting


def model_file(name: str) -> Any:
    """The model of a task; `name` is the default one."""
    return setting(name, "The model: a path, or the name of one that comes with Gymnasium.")


def engine_steps(steps: int) -> Any:
    """Steps of the engine, by default `steps`."""
    return setting(steps, "Steps of the engine in one step of the environment.", at_least=1, at_most=2**20)


def camera(**config: float | tuple[float, ...]) -> Any:
    """What a `mujoco.MjvCamera` is set to where the model has no camera."""
    return setting(config, "How the model is looked at: attributes of a mujoco.MjvCamera.")


def interval(low: float, high: float, help: str) -> Any:
    """Two numbers, the lower one first."""
    return setting((low, high), help, kind=INTERVAL)


def noise_scale(default: float) -> Any:
    """How far off an episode begins."""
    return setting(default, "How far an episode's beginning lies from the model's.", at_least=0)
