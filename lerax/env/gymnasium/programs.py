"""What is compiled of an environment that is stepped from outside, and what goes in and out."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Int, Key, PyTree, UInt32

from lerax import tree
from lerax.errors import SettingError
from lerax.render import AbstractFrameSource, headless_renderer
from lerax.space import (
    AbstractComposite,
    AbstractIntegers,
    AbstractSpace,
    Box,
    Dict,
    MultiBinary,
    MultiDiscrete,
)

from ..base_env import AbstractEnvLike, AbstractEnvLikeState
from ..hosted import AbstractHostedEnv, HostedState
from ..step import advance, allowed_actions, check_contract

RENDER_MODES = ("rgb_array",)


class Live(eqx.Module):
    """Where an environment stands; of many with a leading axis.

    Attributes:
        state: Its state.
        words: What the randomness of its episode is made of.
        steps: Steps of the episode.
    """

    state: AbstractEnvLikeState
    words: UInt32[Array, "*env 2"]
    steps: Int[Array, "*env"]


class Seen(NamedTuple):
    """What is seen of a state.

    Attributes:
        observation: The observation.
        mask: Which actions are allowed; None for all.
    """

    observation: PyTree
    mask: Bool[Array, "..."] | None


class Judged(NamedTuple):
    """What a step was worth, and whether the episode ended with it."""

    reward: Float[Array, "*env"]
    terminal: Bool[Array, "*env"]
    truncated: Bool[Array, "*env"]


class Programs(NamedTuple):
    """The compiled functions of an environment; the first argument of each is what its settings say.

    Attributes:
        begin: A new episode, of words.
        begin_where: The same where a mask holds; elsewhere all stays as it is.
        step: A step with an action.
    """

    begin: Callable[[PyTree, Any], tuple[Live, Seen]]
    begin_where: Callable[[PyTree, Live, Any, Any], tuple[Live, Seen]]
    step: Callable[[PyTree, Live, Any], tuple[Live, Seen, Judged]]


def programs_of(env: AbstractEnvLike, *, many: bool) -> tuple[Programs, PyTree]:
    """The programs of an environment, or of many at once, and the first argument of each.

    Environments that differ in nothing but arrays and numbers share them.

    Raises:
        TypeError: It is no environment.
        EnvContractError: It breaks the contract.
    """
    check_contract(env)
    arrays, static = eqx.partition(tree.settings_as_data(env), eqx.is_array)
    return _programs(static, many), arrays


@functools.cache
def _programs(static: AbstractEnvLike, many: bool) -> Programs:
    """Functions of plain JAX: through Equinox a step of CartPole takes five times as long."""

    def begin_where(env: AbstractEnvLike, live: Live | None, words: Array, where: Array) -> tuple[Live, Seen]:
        key, show_key, mask_key, _ = _keys(words)
        if live is not None:
            state = tree.where(where, _following(env, live.state, key), live.state)
            words, steps = jnp.where(where, words, live.words), jnp.where(where, 0, live.steps)
        else:
            state = env.initial(key=key) if is_hosted(env) else env.draw(key=key)
            steps = jnp.array(0, jnp.int32)
        state = tree.strongly_typed(tree.numbers_as_arrays(env.begin(state)))
        seen = Seen(env.observation(state, key=show_key), allowed_actions(env, state, key=mask_key))
        return Live(state, words, steps.astype(jnp.int32)), seen

    def begin(env: AbstractEnvLike, words: Array) -> tuple[Live, Seen]:
        return begin_where(env, None, words, jnp.array(True))

    def step(env: AbstractEnvLike, live: Live, action: PyTree) -> tuple[Live, Seen, Judged]:
        _, _, mask_key, step_key = _keys(live.words)
        count = live.steps + 1
        # No new episode is begun here, so that any state will do for one.
        taken = advance(env, live.state, action, key=jr.fold_in(step_key, count), fresh=live.state)
        mask = allowed_actions(env, taken.next_state, key=jr.fold_in(mask_key, count))
        state = tree.strongly_typed(taken.next_state)
        judged = Judged(taken.reward, taken.terminal, taken.truncated)
        return Live(state, live.words, count), Seen(taken.next_observation, mask), judged

    def compiled(function: Callable) -> Callable:
        def call(arrays: PyTree, *args: PyTree) -> PyTree:
            of_one = functools.partial(function, eqx.combine(arrays, static))
            return jax.vmap(of_one)(*args) if many else of_one(*args)

        return jax.jit(call)

    return Programs(*map(compiled, (begin, begin_where, step)))


def _following(
    env: AbstractEnvLike, state: AbstractEnvLikeState, key: Key[Array, ""]
) -> AbstractEnvLikeState:
    """A new episode's state, which `begin` completes, in the same place where that is outside of JAX."""
    inner, place = env.unwrapped, state.unwrapped
    if not (isinstance(inner, AbstractHostedEnv) and isinstance(place, HostedState)):
        return env.draw(key=key)
    following = env.following(state, env.draw(key=key))
    return eqx.tree_at(lambda state: state.unwrapped, following, inner.following_seeded(place, key=key))


def is_hosted(env: AbstractEnvLike) -> bool:
    """Whether an environment is outside of JAX."""
    return isinstance(env.unwrapped, AbstractHostedEnv)


def is_there(env: AbstractEnvLike, live: Live | None) -> bool:
    """Whether episodes have a place outside of JAX that others can begin in."""
    return is_hosted(env) and live is not None and env.fault(live.state) is None


def keep(owner: Any, env: AbstractEnvLike, live: Live) -> Callable[[], Any]:
    """Keeps what states have outside of JAX until an owner is gone, or until what is returned is called."""
    inner, state = env.unwrapped, live.state.unwrapped
    if isinstance(inner, AbstractHostedEnv) and isinstance(state, HostedState):
        return inner.keep(owner, state)
    return lambda: None


def _keys(words: UInt32[Array, "2"]) -> Key[Array, "4"]:
    """The keys of an episode: of its beginning, its first observation, its masks and its steps."""
    return jr.split(jr.fold_in(jr.key(words[0]), words[1]), 4)


def words_of(generator: np.random.Generator) -> UInt32[np.ndarray, "2"]:
    """The words of the next episode."""
    return generator.integers(2**32, size=2, dtype=np.uint32)


def action_of(space: AbstractSpace, action: Any, lead: tuple[int, ...] = ()) -> PyTree:
    """An action as the compiled programs take it.

    Args:
        space: Its space.
        action: Anything that is an array for NumPy; of several parts a dictionary or a tuple of these.
        lead: The leading axes that it has beside those of the space.

    Raises:
        SettingError: Its structure or its shape is another one, or it is a choice that there is not. The
            bounds of a box are not held: environments clip what has to be clipped.
    """
    if isinstance(space, AbstractComposite):
        if isinstance(space, Dict) and isinstance(action, Mapping):
            action = dict(action)  # Gymnasium's may be of a class of its own
        parts = space.split(action)
        if parts is None:
            raise SettingError("action", action, space.form)
        return space.joined([action_of(*pair, lead) for pair in space.pairs(action)])
    given, shape = np.asarray(action), (*lead, *space.shape)
    if isinstance(space, AbstractIntegers):
        low, high = space.bounds
        whole = np.issubdtype(given.dtype, np.integer)
        if given.shape != shape or not whole or (given < low).any() or (given > high).any():
            ends = (low.item(), high.item()) if low.ndim == 0 else (low.tolist(), high.tolist())
            allowed = f"{'an integer' if shape == () else 'integers'} from {ends[0]} to {ends[1]}"
            raise SettingError("action", action, f"{allowed}, of shape {shape}")
        return given.astype(np.int32)
    if given.shape != shape or not np.issubdtype(given.dtype, np.number):
        raise SettingError("action", action, f"numbers of shape {shape}")
    return given.astype(space.dtype if isinstance(space, Box) else given.dtype)


def observation_of(space: AbstractSpace, observation: PyTree) -> PyTree:
    """An observation, fetched, as arrays of one's own of the types that Gymnasium's space has."""
    if isinstance(space, AbstractComposite):
        return space.joined([observation_of(*pair) for pair in space.pairs(observation)])
    if isinstance(space, AbstractIntegers):
        dtype = np.int8 if isinstance(space, MultiBinary) else np.int64
        return np.array(observation, dtype)[()]  # one choice is a number there
    return np.array(observation, space.dtype)  # pyright: ignore


def mask_of(space: AbstractSpace, mask: Bool[np.ndarray, "..."]) -> PyTree:
    """A mask of actions, fetched, as Gymnasium's space draws with it; of many for all but `MultiDiscrete`."""
    if isinstance(space, MultiDiscrete):
        return tuple(np.array(mask[part], np.int8) for part in space.parts)
    return np.array(mask, np.int8) * np.int8(2 if isinstance(space, MultiBinary) else 1)  # 2 is for any


def renderer_of(env: AbstractEnvLike, render_mode: str | None) -> AbstractFrameSource | None:
    """What draws an environment in a render mode, not yet open; None for nothing.

    Raises:
        SettingError: There is no such mode.
        RenderError: It cannot be drawn.
    """
    if render_mode is None:
        return None
    if render_mode not in RENDER_MODES:
        raise SettingError("render_mode", render_mode, "rgb_array, None")
    return headless_renderer(env)


def pictures(
    env: AbstractEnvLike, renderer: AbstractFrameSource, states: list[AbstractEnvLikeState]
) -> tuple[np.ndarray, ...]:
    """States, of NumPy's arrays, drawn: each uint8, `[height, width, 3]`.

    Args:
        env: The environment, with NumPy's arrays.
        renderer: What to draw with.
        states: The states.
    """
    frames = []
    renderer.open()
    for state in states:
        env.render(state, renderer)
        frames.append(renderer.as_array())
    return tuple(frames)
