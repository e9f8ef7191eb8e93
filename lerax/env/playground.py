"""Tasks of MuJoCo Playground, whose settings are those of their configurations: https://playground.mujoco.org."""

import functools
from types import ModuleType
from typing import Any

from jaxtyping import ArrayLike, PyTree

from lerax.errors import SettingError
from lerax.render.mujoco_types import MjModel

from .brax import LIMIT, STEPS, AbstractBraxTask, imported, quietly
from .task_class import check_id, class_of, fields_of
from .timed import time_limit

EXTRA = "playground"
OURS = {"episode_length", "action_repeat"}  # of its trainers; the task itself does not look at them
JAX = {"impl": "jax"}  # its own default, Warp, is for NVIDIA's devices alone


class AbstractPlaygroundTask(AbstractBraxTask):
    """A task of MuJoCo Playground; `task_class` makes the class of an id."""

    prefix = EXTRA

    @staticmethod
    def made(id: str, arguments: tuple[tuple[str, Any], ...]) -> Any:
        return _made(id, arguments)

    @property
    def mujoco_model(self) -> MjModel:
        return self._task.mj_model

    @staticmethod
    def posture(theirs: PyTree) -> tuple[ArrayLike, ArrayLike]:
        return theirs.data.qpos, theirs.data.qvel


def from_playground(id: str, **arguments: Any) -> AbstractBraxTask:
    """A task of MuJoCo Playground.

    Args:
        id: Its id, as `mujoco_playground.registry.load` takes it.
        arguments: `max_episode_steps`, and what its configuration has, such as `ctrl_dt` or `impl`.

    Raises:
        SettingError: There is none of that id, its models are not here, or an argument is out of range.
        ImportError: Playground is not installed.
        TypeError: There is no such argument.
    """
    return task_class(id)(**arguments)


@functools.cache
def task_class(id: str) -> type[AbstractBraxTask]:
    """The class of an id.

    Args:
        id: As `from_playground` takes it.

    Raises:
        SettingError: There is none, or its models are not here.
        ImportError: Playground is not installed.
    """
    config = _config(id)
    defaults = {name: value for name, value in config.items() if name not in OURS}
    fields = fields_of(AbstractPlaygroundTask, defaults, "A part of the task's configuration.")
    limit = {LIMIT: time_limit(config.get("episode_length", STEPS), kw_only=True)}
    return class_of(AbstractPlaygroundTask, id, "MuJoCo Playground", fields | limit, arguments=tuple(fields))


def _playground() -> ModuleType:
    return imported("mujoco_playground", EXTRA)


def _config(id: str) -> dict[str, Any]:
    """What a task can be told, without asking for anything from elsewhere."""
    registry = _playground().registry
    check_id("MuJoCo Playground", id, registry.ALL_ENVS)
    models = imported("mujoco_playground._src.mjx_env", EXTRA).MENAGERIE_PATH
    if id not in _playground().dm_control_suite.ALL_ENVS and not models.exists():
        wrong = "its models are not here, and nothing is fetched"
        hint = f"clone mujoco_menagerie into {models}"
        raise SettingError("id", id, wrong=wrong, hint=hint)
    config = registry.get_default_config(id).to_dict()
    return config | {name: value for name, value in JAX.items() if name in config}


@functools.cache
def _made(id: str, arguments: tuple[tuple[str, Any], ...]) -> Any:
    config = _config(id)
    chosen = {name: config[name] for name in JAX if name in config} | dict(arguments)
    with quietly():
        return _playground().registry.load(id, config_overrides=chosen)
