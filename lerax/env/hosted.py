"""Environments outside of JAX, which keep their own state, stepped from compiled programs.

What JAX carries of one is a row of words: which object it is, what it has last given, and a number that grows
with each call, so that no program can change the order of calls, or leave one out.
"""

import copy
import dataclasses
import weakref
from abc import abstractmethod
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import numpy as np
from jax import lax
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Key, PyTree, UInt32

from lerax import devices, tree
from lerax.hosted import HostedEnvError
from lerax.hosted.instances import Kind
from lerax.hosted.sessions import Options, Sessions
from lerax.hosted.words import (
    COUNT,
    FAILED,
    FLAGS,
    HEAD,
    REWARD,
    SEEDED,
    SESSION,
    SLOT,
    TERMINAL,
    TRUNCATED,
    WAITING,
    Form,
    Words,
)
from lerax.render import FrameRenderer, RenderError
from lerax.settings import check_settings, setting
from lerax.space import AbstractSpace

from . import host_call
from .base_env import AbstractEnv, AbstractEnvState


class HostedState(AbstractEnvState):
    """What is known of an environment outside of JAX, see `lerax.hosted.words`."""

    row: UInt32[Array, " words"]


class Facts(NamedTuple):
    """What is known of an environment before it is stepped.

    Attributes:
        observation_space: Space of the observations.
        action_space: Space of the actions.
        render_fps: Frames per second to show it at.
        draws: Whether it gives pictures.
        sessions: Its objects.
        numbers: Those of the functions that begin and step it.
    """

    observation_space: AbstractSpace
    action_space: AbstractSpace
    render_fps: float
    draws: bool
    sessions: Sessions
    numbers: dict[str, int]


class AbstractHostedEnv(AbstractEnv[HostedState]):
    """An environment outside of JAX.

    It is no pure function of a state: what is stepped once cannot be stepped again, and a state means nothing
    in another process, so that a training that goes on begins its episodes anew. Its objects are made where
    episodes begin, as many as begin together, and seeded once: later episodes go on with their own random
    numbers.

    Attributes:
        workers: Processes that the environments are divided among; 0 for a thread of this one.
        timeout: Seconds that a step or a beginning of one environment may take.

    Raises:
        Exception: Whatever it raises when it is made.
    """

    workers: int = setting(
        0,
        "Processes for the environments; 0 for a thread of this one.",
        at_least=0,
        at_most=1024,
        kw_only=True,
    )
    timeout: float = setting(
        60.0, "Seconds that a step of one may take.", above=0, at_most=86_400, kw_only=True, static=True
    )
    _draws: bool = eqx.field(default=False, init=False, repr=False, static=True)
    _types: str = eqx.field(default="", init=False, repr=False, static=True)  # of the values: 1 equals True

    def __check_init__(self):
        check_settings(self)
        values = [getattr(self, field.name) for field in dataclasses.fields(self) if field.init]
        object.__setattr__(self, "_types", _types_of(values))
        facts(self)

    @abstractmethod
    def describe(self, draws: bool) -> tuple[Kind, AbstractSpace, AbstractSpace, float, bool]:
        """What makes one, its spaces of observations and actions, frames a second, and if it can be drawn.

        Args:
            draws: Whether each state is to be drawn.
        """

    if TYPE_CHECKING:  # type checkers would take these properties for arguments
        observation_space: ClassVar[AbstractSpace]
        action_space: ClassVar[AbstractSpace]
    else:

        @property
        def observation_space(self) -> AbstractSpace:
            return self._facts.observation_space

        @property
        def action_space(self) -> AbstractSpace:
            return self._facts.action_space

    @property
    def render_fps(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._facts.render_fps

    @property
    def _facts(self) -> Facts:
        return facts(self)

    def draw(self, *, key: Key[Array, ""]) -> HostedState:
        return HostedState(jnp.zeros(self._facts.sessions.row_size, jnp.uint32))

    def initial(self, *, key: Key[Array, ""]) -> HostedState:
        seed, sessions = jr.bits(key, (1,), jnp.uint32), jnp.array([devices.count()], jnp.uint32)
        return self._call("initial", jnp.concatenate([seed, sessions]))

    def following(self, ended: HostedState, fresh: HostedState) -> HostedState:
        return HostedState(ended.row.at[FLAGS].set(WAITING))

    def following_seeded(self, ended: HostedState, *, key: Key[Array, ""]) -> HostedState:
        """As `following`, with random numbers of a key from there on."""
        row = ended.row.at[FLAGS].set(WAITING | SEEDED)
        return HostedState(row.at[REWARD].set(jr.bits(key, (), jnp.uint32)))

    def keep(self, owner: Any, state: HostedState) -> Callable[[], Any]:
        """Keeps the objects of states until an owner is gone, or until what is returned is called."""
        sessions, rows = self._facts.sessions, np.asarray(state.row)
        numbers = np.unique(rows[..., SESSION]).tolist()
        sessions.keep(numbers)
        let_go = weakref.finalize(owner, sessions.let_go, numbers)
        let_go.atexit = False  # all are closed then
        return let_go

    def begin(self, state: HostedState) -> HostedState:
        begun = lambda state: self._call("begin", state.row)
        return tree.map_where((state.row[FLAGS] & WAITING) != 0, begun, state)

    def transition(
        self, state: HostedState, action: PyTree, *, key: Key[Array, ""] | None = None
    ) -> HostedState:
        told = [
            _words(part, form)
            for part, form in zip(jax.tree.leaves(action), forms_of(self.action_space), strict=True)
        ]
        return self._call("step", state.row, jnp.concatenate(told))

    def observation(self, state: HostedState, *, key: Key[Array, ""] | None = None) -> PyTree:
        space, row, parts = self.observation_space, state.row[HEAD:], []
        for dtype, shape in forms_of(space):
            size = Words([(dtype, shape)]).size
            parts.append(_array(row[:size], dtype, shape))
            row = row[size:]
        return jax.tree.unflatten(jax.tree.structure(_form_of(space)), parts)

    def reward(
        self,
        state: HostedState,
        action: PyTree,
        next_state: HostedState,
        *,
        key: Key[Array, ""] | None = None,
    ) -> Float[Array, ""]:
        return lax.bitcast_convert_type(next_state.row[REWARD], jnp.float32)

    def terminal(self, state: HostedState, *, key: Key[Array, ""] | None = None) -> Bool[Array, ""]:
        return (state.row[FLAGS] & TERMINAL) != 0

    def truncate(self, state: HostedState) -> Bool[Array, ""]:
        return (state.row[FLAGS] & TRUNCATED) != 0

    def has_failed(self, state: HostedState) -> Bool[Array, ""]:
        return (state.row[FLAGS] & FAILED) != 0

    def fault(self, state: HostedState) -> Exception | None:
        rows = np.asarray(state.row)
        found = self._facts.sessions.fault(rows.reshape(-1, rows.shape[-1]))
        return HostedEnvError(self.name, found) if isinstance(found, tuple) else found

    def to_be_drawn(self) -> "AbstractHostedEnv":
        if self._draws or not self._facts.draws:
            return self
        drawn = copy.copy(self)
        object.__setattr__(drawn, "_draws", True)
        return drawn

    def render(self, state: HostedState, renderer: Any) -> None:
        row = np.asarray(state.row)
        sessions = facts(self.to_be_drawn()).sessions
        frame = sessions.frame(int(row[SESSION]), int(row[SLOT]), int(row[COUNT]))
        if frame is None:
            if isinstance(fault := sessions.fault(row[None]), tuple):
                raise RenderError(f"{self.name}: {fault.what}")
            raise RenderError(
                f"{self.name}: there is no picture of this state: it was not played to be drawn"
            )
        renderer.show(frame)

    def default_renderer(self) -> FrameRenderer:
        if not self._facts.draws:
            raise RenderError(f'{self.name} cannot be drawn: it has no render mode "rgb_array"')
        return FrameRenderer()

    def _call(self, name: str, *given: Array) -> HostedState:
        found = self._facts
        results = [jax.ShapeDtypeStruct((found.sessions.row_size,), jnp.uint32)]
        return HostedState(host_call.call(found.numbers[name], results, *given)[0])


_known: dict[Hashable, Facts] = {}


def facts(env: AbstractHostedEnv) -> Facts:
    """What is known of an environment; for this it is made once."""
    key = (type(env), tuple((field.name, getattr(env, field.name)) for field in dataclasses.fields(env)))
    if key not in _known:
        kind, observations, actions, fps, draws = env.describe(env._draws)
        sessions = Sessions(env.name, kind, Options(env.workers, env.timeout, env._draws))
        name = repr(key).encode()
        functions = (sessions.initial, sessions.begin, sessions.step)
        numbers = {f.__name__: host_call.register(key, f.__name__.encode() + name, f) for f in functions}
        _known[key] = Facts(observations, actions, fps, draws, sessions, numbers)
    return _known[key]


def _types_of(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"({' '.join(map(_types_of, value))})"
    return type(value).__name__


def _form_of(space: AbstractSpace) -> PyTree:
    return jax.eval_shape(lambda: space.sample(key=jr.key(0)))


def forms_of(space: AbstractSpace) -> tuple[Form, ...]:
    """The arrays of a space's values."""
    return tuple((jnp.dtype(leaf.dtype).name, tuple(leaf.shape)) for leaf in jax.tree.leaves(_form_of(space)))


def _words(value: Array, form: Form) -> UInt32[Array, " size"]:
    """The words of an array."""
    dtype, _ = form
    flat = jnp.ravel(jnp.asarray(value)).astype(dtype)
    if flat.dtype.itemsize == 4:
        return lax.bitcast_convert_type(flat, jnp.uint32)
    flat = jnp.pad(flat, (0, -flat.size % 4)).reshape(-1, 4)
    return lax.bitcast_convert_type(flat, jnp.uint32)


def _array(words: UInt32[Array, " size"], dtype: str, shape: tuple[int, ...]) -> Array:
    """The array of words."""
    size = int(np.prod(shape))
    return lax.bitcast_convert_type(words, jnp.dtype(dtype)).reshape(-1)[:size].reshape(shape)
