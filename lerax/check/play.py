"""Random episodes of an environment, and what there is to say of each step, in one program."""

import time
from typing import NamedTuple

import equinox as eqx
import jax
import numpy as np
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Key, PyTree

from lerax import tree
from lerax.env import AbstractEnvLike, AbstractEnvLikeState, Transition, advance
from lerax.env.step import allowed_actions, begin_episode
from lerax.policy import RandomPolicy
from lerax.space import AbstractSpace, Box


class First(eqx.Module):
    """The first step of an episode, and its initial state in two parts.

    Attributes:
        state: The state that `initial` gives.
        observation: Its observation.
        over: Whether it is terminal or truncated already.
        drawn: What `begin` makes of `draw`, with the same key.
        taken: What the step gave.
        kept: What `begin` makes of the state after it.
    """

    state: AbstractEnvLikeState
    observation: PyTree
    over: Bool[Array, "*env"]
    drawn: AbstractEnvLikeState
    taken: Transition
    kept: AbstractEnvLikeState


class Steps(eqx.Module):
    """What there is to say of each step; of all of them `[time, env]`.

    Attributes:
        reward: The reward.
        terminal: The task ended.
        truncated: The time was up.
        finite: No number of the observations is NaN or infinite.
        inside: The observations are in their space, but for rounding.
        low: The least number of the observation.
        high: The greatest number of it.
        allowed: The mask allows at least one action.
    """

    reward: Float[Array, "*time_env"]
    terminal: Bool[Array, "*time_env"]
    truncated: Bool[Array, "*time_env"]
    finite: Bool[Array, "*time_env"]
    inside: Bool[Array, "*time_env"]
    low: Float[Array, "*time_env"]
    high: Float[Array, "*time_env"]
    allowed: Bool[Array, "*time_env"]


class Played(NamedTuple):
    """Random episodes on the host, of several environments.

    Attributes:
        key: The key of the first environment.
        first: The first steps.
        steps: All steps.
        again: The same, played once more with the same keys.
        seconds: What that took.
    """

    key: Key[Array, ""]
    first: First
    steps: Steps
    again: tuple[First, Steps]
    seconds: float


def play(env: AbstractEnvLike, key: Key[Array, ""], num_envs: int, num_steps: int) -> Played:
    """Plays random actions twice, compiled and mapped over environments."""
    keys = jr.split(key, num_envs)

    first, steps = tree.on_host(_episodes(env, keys, num_steps))
    began = time.monotonic()
    again = tree.on_host(_episodes(env, keys, num_steps))
    return Played(keys[0], first, steps, again, time.monotonic() - began)


@tree.compiled
def _episodes(env: AbstractEnvLike, keys: Key[Array, " env"], num_steps: int) -> tuple[First, Steps]:
    """The first step of each environment, and so many with it, over all episodes that they make."""
    first = jax.vmap(lambda key: first_step(env, key))(keys)

    def one(state: AbstractEnvLikeState, observation: PyTree, key: Key[Array, ""]) -> tuple[PyTree, Steps]:
        mask_key, action_key, step_key = jr.split(key, 3)
        action, allowed = _action(env, state, observation, mask_key, action_key)
        taken = advance(env, state, action, key=step_key)
        return (taken.state, taken.observation), _told(env.observation_space, taken, allowed)

    def step(carry: tuple, number: Array) -> tuple[tuple, Steps]:
        state, observation = carry
        return jax.vmap(one)(state, observation, jax.vmap(jr.fold_in, (0, None))(keys, number))

    begin = tree.strongly_typed((first.state, first.observation))
    return first, tree.scan(step, begin, jnp.arange(num_steps, dtype=jnp.uint32))[1]


def first_step(env: AbstractEnvLike, key: Key[Array, ""]) -> First:
    """The first step of an episode."""
    keys = jr.split(key, 6)
    state, observation = begin_episode(env, key=keys[0], show_key=keys[1])
    over = env.terminal(state, key=keys[2]) | env.truncate(state)
    action, _ = _action(env, state, observation, keys[3], keys[4])
    taken = advance(env, state, action, key=keys[5])
    drawn = env.begin(env.draw(key=keys[0]))
    return First(state, observation, over, drawn, taken, env.begin(taken.next_state))


def _action(
    env: AbstractEnvLike,
    state: AbstractEnvLikeState,
    observation: PyTree,
    mask_key: Key[Array, ""],
    key: Key[Array, ""],
) -> tuple[PyTree, Bool[Array, ""]]:
    """A random action, and whether any is allowed."""
    mask = allowed_actions(env, state, key=mask_key)
    action = RandomPolicy(env)(None, observation, key=key, action_mask=mask)[1]
    return action, jnp.array(True) if mask is None else jnp.any(mask)


def _told(space: AbstractSpace, taken: Transition, allowed: Bool[Array, ""]) -> Steps:
    both = taken.next_observation, taken.observation
    numbers = jnp.concatenate([jnp.ravel(leaf).astype(jnp.float32) for leaf in jax.tree.leaves(both)])
    finite = jnp.all(jnp.isfinite(numbers))
    return Steps(
        reward=taken.reward,
        terminal=taken.terminal,
        truncated=taken.truncated,
        finite=finite,
        inside=_inside(space, both[0]) & _inside(space, both[1]),
        low=jnp.min(numbers, initial=jnp.inf),
        high=jnp.max(numbers, initial=-jnp.inf),
        allowed=allowed,
    )


def _inside(space: AbstractSpace, value: PyTree) -> Bool[Array, ""]:
    """Whether a value is in its space. A little beyond a bound it has been rounded; NaN is another fault."""
    if isinstance(space, Box):
        number = jnp.asarray(value, jnp.float32)
        nearest = jnp.asarray(space.clip(number), jnp.float32)
        return jnp.allclose(number, nearest, rtol=1e-4, atol=1e-4, equal_nan=True)
    return jnp.all(space.contains(value))


def difference(one: PyTree, other: PyTree) -> tuple[str, str] | None:
    """Where two trees of the same structure differ by more than rounding, as a text of either."""
    arrays = [eqx.filter(tree.without_keys(each), eqx.is_array_like) for each in (one, other)]
    leaves, others = (jax.tree_util.tree_flatten_with_path(each)[0] for each in arrays)
    for (path, a), (_, b) in zip(leaves, others, strict=True):
        a, b = np.asarray(a), np.asarray(b)
        if a.shape != b.shape or not np.allclose(a, b, rtol=1e-3, atol=1e-4, equal_nan=True):
            name = jax.tree_util.keystr(path)
            return f"{name} = {_short(a)}", f"{name} = {_short(b)}"
    return None


def _short(array: np.ndarray) -> str:
    text = " ".join(np.array2string(array, precision=4, threshold=6, edgeitems=2).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
