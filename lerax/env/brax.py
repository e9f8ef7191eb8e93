"""Tasks of brax, and those that are made as they are: each id is a class, whose settings are its arguments.

They are pure functions, and so they are environments like ours: https://github.com/google/brax.
"""

import contextlib
import functools
import importlib
import inspect
import io
import warnings
from abc import abstractmethod
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

import equinox as eqx
import jax
import numpy as np
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, ArrayLike, Bool, Float, Int, Key, PyTree

from lerax import tree
from lerax.render import HeadlessMujocoRenderer
from lerax.render.mujoco_renderer import draw_data
from lerax.render.mujoco_types import MjModel
from lerax.settings import changed_settings, check_settings
from lerax.space import AbstractSpace, Box, Dict

from .mujoco.model import engine
from .task_class import check_id, class_of, fields_of
from .timed import AbstractTimedEnv, AbstractTimedState, time_limit

warnings.filterwarnings("ignore", module=r"(brax|jaxopt|mujoco_playground|mujoco\.mjx)\b")
LIMIT = "max_episode_steps"
STEPS = 1000  # of an episode, where a task does not say
ARGUMENT = "An argument of the task."


class BraxState(AbstractTimedState):
    """A state of brax's, and the steps taken.

    Attributes:
        theirs: Observation, reward, end, and the simulation.
        steps: Steps of the episode.
    """

    theirs: PyTree
    steps: Int[Array, ""]


class AbstractBraxTask(AbstractTimedEnv[BraxState]):
    """A task that is functions of one state in the manner of brax.

    Its actions lie between -1 and 1, and its observations have no bounds.

    Attributes:
        id: Its id.
        max_episode_steps: Steps after which an episode is truncated; None for no limit.
    """

    id: ClassVar[str]
    prefix: ClassVar[str]
    arguments: ClassVar[tuple[str, ...]]
    max_episode_steps: int | None = time_limit(STEPS, kw_only=True)
    if TYPE_CHECKING:  # type checkers would take these fields for arguments
        observation_space: ClassVar[AbstractSpace]
        action_space: ClassVar[Box]
    else:
        observation_space: AbstractSpace = eqx.field(init=False, default=None, static=True, repr=False)
        action_space: Box = eqx.field(init=False, default=None, static=True, repr=False)

    def __check_init__(self):
        check_settings(self)
        task = self._task
        object.__setattr__(self, "observation_space", _seen_of(task))
        object.__setattr__(self, "action_space", Box(-1.0, 1.0, (task.action_size,)))

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return f"{self.prefix}:{self.id}"

    @property
    def render_fps(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        return float(round(1 / self._task.dt))

    @property
    def _task(self) -> Any:
        return self.made(self.id, changed_settings(self, self.arguments))

    @staticmethod
    @abstractmethod
    def made(id: str, arguments: tuple[tuple[str, Any], ...]) -> Any:
        """The object of a task, one for all that are alike: compiled programs are known by it."""

    @property
    @abstractmethod
    def mujoco_model(self) -> MjModel:
        """The `mujoco.MjModel` that it is drawn as."""

    @staticmethod
    @abstractmethod
    def posture(theirs: PyTree) -> tuple[ArrayLike, ArrayLike]:
        """The model's positions and velocities in a state of theirs."""

    def initial(self, *, key: Key[Array, ""]) -> BraxState:
        return self._state(self._task.reset(key), jnp.array(0, jnp.int32))

    def transition(
        self, state: BraxState, action: Float[Array, " nu"], *, key: Key[Array, ""] | None = None
    ) -> BraxState:
        return self._state(self._task.step(state.theirs, action), state.steps + 1)

    def _state(self, theirs: PyTree, steps: Int[Array, ""]) -> BraxState:
        return tree.strongly_typed(BraxState(tree.narrow(theirs), steps))

    def observation(self, state: BraxState, *, key: Key[Array, ""] | None = None) -> PyTree:
        seen = state.theirs.obs
        return dict(seen) if isinstance(seen, Mapping) else seen

    def reward(
        self,
        state: BraxState,
        action: PyTree,
        next_state: BraxState,
        *,
        key: Key[Array, ""] | None = None,
    ) -> Float[Array, ""]:
        return next_state.theirs.reward

    def terminal(self, state: BraxState, *, key: Key[Array, ""] | None = None) -> Bool[Array, ""]:
        return state.theirs.done > 0

    def default_renderer(self) -> HeadlessMujocoRenderer:
        return HeadlessMujocoRenderer(self.mujoco_model)

    def render(self, state: BraxState, renderer: Any) -> None:
        data = engine().MjData(self.mujoco_model)
        data.qpos, data.qvel = map(np.asarray, self.posture(state.theirs))
        engine().mj_forward(self.mujoco_model, data)
        draw_data(renderer, data, self.name)


class AbstractBrax(AbstractBraxTask):
    """A task of brax; `task_class` makes the class of an id."""

    prefix = "brax"

    @staticmethod
    def made(id: str, arguments: tuple[tuple[str, Any], ...]) -> Any:
        return _made(id, arguments)

    @property
    def mujoco_model(self) -> MjModel:
        return self._task.sys.mj_model

    @staticmethod
    def posture(theirs: PyTree) -> tuple[ArrayLike, ArrayLike]:
        return theirs.pipeline_state.q, theirs.pipeline_state.qd


def from_brax(id: str, **arguments: Any) -> AbstractBraxTask:
    """A task of brax.

    Args:
        id: Its id, as `brax.envs.get_environment` takes it.
        arguments: `max_episode_steps`, and the arguments of its class, such as `backend`.

    Raises:
        SettingError: There is none of that id, or an argument is out of range.
        ImportError: brax is not installed.
        TypeError: There is no such argument.
    """
    return task_class(id)(**arguments)


@functools.cache
def task_class(id: str) -> type[AbstractBraxTask]:
    """The class of an id.

    Args:
        id: As `from_brax` takes it.

    Raises:
        SettingError: There is none.
        ImportError: brax is not installed.
    """
    taken = inspect.signature(_class_of(id)).parameters.items()
    defaults = {name: one.default for name, one in taken if one.kind is not one.VAR_KEYWORD}
    fields = fields_of(AbstractBrax, defaults, ARGUMENT)
    return class_of(AbstractBrax, id, "brax", fields, arguments=tuple(fields))


def _class_of(id: str) -> Any:
    envs = imported("brax.envs", "brax")
    check_id("brax", id, envs._envs)
    return envs._envs[id]


@functools.cache
def _made(id: str, arguments: tuple[tuple[str, Any], ...]) -> Any:
    with quietly():
        return _class_of(id)(**dict(arguments))


@functools.cache
def _seen_of(task: Any) -> AbstractSpace:
    """The space of what is observed, known without computing anything."""
    with quietly():
        seen = jax.eval_shape(task.reset, jr.key(0)).obs
    return _space_of(seen)


def _space_of(seen: Any) -> AbstractSpace:
    if isinstance(seen, Mapping):
        return Dict({name: _space_of(part) for name, part in seen.items()})
    return Box(-jnp.inf, jnp.inf, tuple(seen.shape))


def imported(module: str, extra: str) -> ModuleType:
    """A module of somebody else's, without a word of its own: results are all that goes to standard output.

    Raises:
        ImportError: It is not installed, or what it needs is not.
    """
    try:
        with quietly():
            return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{error}; pip install 'lerax[{extra}]'") from error


def quietly() -> contextlib.AbstractContextManager[object]:
    """They say that parts of them are optional, old, or not looked after, as the documentation does."""
    return contextlib.redirect_stdout(io.StringIO())
