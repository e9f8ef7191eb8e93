"""Environments of gymnax: each id is a class, whose settings are the task's parameters and arguments.

They are pure functions, and so they are environments like ours: https://github.com/RobertTLange/gymnax.
"""

import dataclasses
import functools
import importlib
import inspect
from typing import TYPE_CHECKING, Any, ClassVar

import equinox as eqx
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from lerax import tree
from lerax.errors import SettingTypeError
from lerax.render import AbstractRenderer, Color, PygameRenderer, RenderError, Transform
from lerax.settings import changed_settings, check_settings
from lerax.space import AbstractSpace, Box, Dict, Discrete, Tuple

from .base_env import AbstractEnv, AbstractEnvState
from .task_class import check_id, class_of, fields_of

PREFIX = "gymnax:"
INSTALL = "pip install 'lerax[gymnax]'"
LIMIT, ENDLESS = "max_steps_in_episode", 2**31 - 1
LARGEST = np.finfo(np.float32).max  # which gymnax writes where there is no bound
CELL = 40  # pixels that a cell of a picture is wide
GROUND = Color.from_hex("#1c2126")
CHANNELS = tuple(  # colours of cells, after Paul Tol's for the colour-blind
    Color.from_hex(text)
    for text in ("#77aadd #ee8866 #eedd88 #ffaabb #99ddff #44bb99 #bbcc33 #aaaa00 #cc79a7 #dddddd".split())
)


class GymnaxState(AbstractEnvState):
    """A state of gymnax, and what its last step gave.

    Attributes:
        theirs: The state.
        seen: What is observed of it.
        earned: The reward of the step before it.
        over: Whether the task ended with it.
    """

    theirs: PyTree
    seen: PyTree
    earned: Float[Array, ""]
    over: Bool[Array, ""]


class AbstractGymnaxTask(AbstractEnv[GymnaxState]):
    """A task of gymnax; `task_class` makes the class of an id.

    Its steps are those of gymnax, which begin no new episode. Termination and truncation, which gymnax before
    1.0 gives as one, are told apart here.

    Attributes:
        id: Its id.
    """

    id: ClassVar[str]
    arguments: ClassVar[tuple[str, ...]]
    parameters: ClassVar[tuple[str, ...]]
    if TYPE_CHECKING:  # type checkers would take these fields for arguments
        observation_space: ClassVar[AbstractSpace]
        action_space: ClassVar[AbstractSpace]
    else:
        observation_space: AbstractSpace = eqx.field(init=False, default=None, static=True, repr=False)
        action_space: AbstractSpace = eqx.field(init=False, default=None, static=True, repr=False)

    def __check_init__(self):
        check_settings(self)
        task, parameters = self._task, self._parameters
        spaces = task.observation_space(parameters), task.action_space(parameters)
        for name, space in zip(("observation_space", "action_space"), spaces, strict=True):
            object.__setattr__(self, name, space_of(space))

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return f"{PREFIX}{self.id}"

    @property
    def _task(self) -> Any:
        return _made(self.id, changed_settings(self, self.arguments))

    @property
    def _parameters(self) -> Any:
        """Its parameters; what is left as it was keeps what the arguments make of it."""
        defaults, changed = self._task.default_params, dict(changed_settings(self, self.parameters))
        for name, value in changed.items():
            if isinstance(value, tuple):
                changed[name] = jnp.asarray(value, tree.dtype_of(getattr(defaults, name)))
        return dataclasses.replace(defaults, **changed)

    def initial(self, *, key: Key[Array, ""]) -> GymnaxState:
        seen, theirs = self._task.reset_env(key, self._parameters)
        return self._state(seen, theirs, 0.0, False)

    def transition(self, state: GymnaxState, action: PyTree, *, key: Key[Array, ""]) -> GymnaxState:
        task, parameters = self._task, self._parameters
        step = functools.partial(task.step_env, key, state.theirs, action)
        seen, theirs, reward, over, _ = step(parameters)
        if not hasattr(task, "is_truncated"):  # before 1.0 this is the end of the time, too
            *_, over, _ = step(dataclasses.replace(parameters, **{LIMIT: ENDLESS}))
        return self._state(seen, theirs, reward, over)

    def _state(self, seen: PyTree, theirs: PyTree, reward: Any, over: Any) -> GymnaxState:
        reward, over = jnp.asarray(reward, jnp.float32), jnp.asarray(over, jnp.bool_)
        state = GymnaxState(tree.narrow(theirs), _as_in(self.observation_space, seen), reward, over)
        return tree.strongly_typed(state)

    def observation(self, state: GymnaxState, *, key: Key[Array, ""] | None = None) -> PyTree:
        return state.seen

    def reward(
        self,
        state: GymnaxState,
        action: PyTree,
        next_state: GymnaxState,
        *,
        key: Key[Array, ""] | None = None,
    ) -> Float[Array, ""]:
        return next_state.earned

    def terminal(self, state: GymnaxState, *, key: Key[Array, ""] | None = None) -> Bool[Array, ""]:
        return state.over

    def truncate(self, state: GymnaxState) -> Bool[Array, ""]:
        task, parameters = self._task, self._parameters
        if hasattr(task, "is_truncated"):
            return jnp.asarray(task.is_truncated(state.theirs, parameters))
        return jnp.asarray(state.theirs.time >= parameters.max_steps_in_episode)

    def default_renderer(self) -> PygameRenderer:
        space = self.observation_space
        if not (isinstance(space, Box) and len(space.shape) == 3):
            raise RenderError(f"{self.name} cannot be drawn: its observations are no pictures")
        height, width, _ = space.shape
        view = Transform(width * CELL, height * CELL, CELL, y_up=False)
        return PygameRenderer(view.width, view.height, GROUND, view)

    def render(self, state: GymnaxState, renderer: AbstractRenderer) -> None:
        """Draws the cells of what is observed, each in the colour of the last channel that is on there."""
        seen = np.asarray(state.seen) != 0
        last = seen.shape[-1] - 1 - np.argmax(seen[..., ::-1], axis=-1)
        renderer.clear()
        for row, column in np.argwhere(seen.any(-1)).tolist():
            color = CHANNELS[int(last[row, column]) % len(CHANNELS)]
            renderer.draw_rect((column + 0.5, row + 0.5), 1, 1, color)
        renderer.draw()


def from_gymnax(id: str, **arguments: Any) -> AbstractGymnaxTask:
    """A task of gymnax.

    Args:
        id: Its id, as `gymnax.make` takes it; `module:id` where a module has to be imported first.
        arguments: Its parameters, such as `max_steps_in_episode`, and the arguments of its class.

    Raises:
        SettingError: There is none of that id, an argument is out of range, or there are no such spaces here.
        ImportError: gymnax or what it needs is not installed.
        TypeError: There is no such argument.
    """
    return task_class(id)(**arguments)


@functools.cache
def task_class(id: str) -> type[AbstractGymnaxTask]:
    """The class of an id.

    Args:
        id: As `from_gymnax` takes it.

    Raises:
        SettingError: There is none.
        ImportError: gymnax, what it needs or the module is not installed.
    """
    task = _made(id, ())
    defaults, base = task.default_params, AbstractGymnaxTask
    theirs = {field.name: _plain(getattr(defaults, field.name)) for field in dataclasses.fields(defaults)}
    taken = inspect.signature(type(task)).parameters.items()
    own = {name: _plain(one.default) for name, one in taken if name not in theirs}
    parameters = fields_of(base, theirs, "A parameter of the task.", static=None)
    if LIMIT in parameters:
        said = "Steps after which an episode is truncated."
        parameters |= fields_of(base, {LIMIT: theirs[LIMIT]}, said, at_least=1)
    arguments = fields_of(base, own, "An argument of the task's class.")
    fields, names = parameters | arguments, {"arguments": tuple(arguments), "parameters": tuple(parameters)}
    return class_of(base, id, "gymnax", fields, **names)


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


def _gymnax() -> Any:
    try:
        return importlib.import_module("gymnax")
    except ImportError as error:
        raise ImportError(f"{error}; {INSTALL}") from error


@functools.cache
def _made(id: str, arguments: tuple[tuple[str, Any], ...]) -> Any:
    """The object of a task, one for all that are alike: compiled programs are known by it."""
    gymnax = _gymnax()
    module, _, name = id.rpartition(":")
    if module:
        importlib.import_module(module)
    check_id("gymnax", name, gymnax.registered_envs)
    return gymnax.make(name, **dict(arguments))[0]


def space_of(space: Any) -> AbstractSpace:
    """Our space of the values of gymnax's.

    Raises:
        SettingTypeError: It is of another kind.
    """
    match type(space).__name__:
        case "Discrete":
            return Discrete(int(space.n))
        case "Box":
            bounds = np.asarray(space.low, np.float32), np.asarray(space.high, np.float32)
            low, high = (np.broadcast_to(bound, space.shape) for bound in bounds)
            low, high = np.where(low <= -LARGEST, -np.inf, low), np.where(high >= LARGEST, np.inf, high)
            return Box(low, high, tuple(space.shape))
        case "Dict":
            return Dict({name: space_of(part) for name, part in space.spaces.items()})
        case "Tuple":
            return Tuple([space_of(part) for part in space.spaces])
    raise SettingTypeError("space", space, "Box, Discrete, Dict, Tuple", wrong="there is none for it")


def _as_in(space: AbstractSpace, value: PyTree) -> PyTree:
    """An observation in the types of its space: gymnax gives whole numbers in some boxes."""
    value = tree.narrow(dict(value) if isinstance(space, Dict) else value)
    return value.astype(jnp.float32) if isinstance(space, Box) else value
