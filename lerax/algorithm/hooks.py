"""An iteration with the callbacks' hooks around it, and the hooks before the first and after the last."""

import dataclasses
import warnings
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Key, PyTree

from lerax import tree
from lerax.callback.base_callback import CallbackContext
from lerax.callback.callback_list import CallbackList, overrides
from lerax.callback.outbox import Collector, closed
from lerax.collect import Steps
from lerax.errors import LeraxWarning, SettingTypeError
from lerax.learner import Log, Maybe

from . import divided
from .state import AlgorithmState

if TYPE_CHECKING:
    from .base_algorithm import AbstractAlgorithm
else:
    AbstractAlgorithm = Any

HOOKS = 2**31  # and a hook's number are folded into an iteration's key: an algorithm splits it into fewer
STEP_LOCALS = ("observation", "action", "next_observation", "terminal", "truncated")  # by `on_step`


def iteration_key(state: AlgorithmState) -> Key[Array, ""]:
    """The PRNG key of the next iteration."""
    return jr.fold_in(state.key, state.iteration_count)


def iterate(
    algorithm: AbstractAlgorithm, state: AlgorithmState, callback: CallbackList
) -> tuple[AlgorithmState, Bool[Array, ""]]:
    """One iteration with its hooks: the state after it, and whether to go on."""
    key = iteration_key(state)
    step_key, hook_key, stop_key = (jr.fold_in(key, HOOKS + i) for i in range(3))
    before = state
    state, steps, log = _given(algorithm, divided.iteration(algorithm, state, key=key))
    state = dataclasses.replace(state, iteration_count=state.iteration_count + 1)
    if steps is not None and overrides(callback, "on_step"):
        own = _step_hooks(algorithm, before, callback, steps, step_key)
        state = dataclasses.replace(state, callback_step_state=own)
    values = {name: entry.value if isinstance(entry, Maybe) else entry for name, entry in log.items()}
    mask = {name: entry.there for name, entry in log.items() if isinstance(entry, Maybe)}
    ctx = _context(algorithm, state, training_log=values, training_log_mask=mask)
    callback_state = callback.on_iteration(ctx, key=hook_key)
    with closed("continue_training"):
        go_on = callback.continue_training(dataclasses.replace(ctx, state=callback_state), key=stop_key)
    state = dataclasses.replace(state, callback_state=callback_state)
    number = state.standing.num_envs  # said, for a state may have no arrays
    failed = jax.vmap(state.env.has_failed, axis_size=number)(state.standing.env_state)
    state = divided.laid_out(algorithm, state)
    return tree.strongly_typed(state), jnp.asarray(go_on, bool) & ~jnp.any(failed)


def _given(algorithm: AbstractAlgorithm, result: Any) -> tuple[AlgorithmState, Steps | None, Log]:
    """What an iteration gave, held against what it has to give."""
    whole = isinstance(result, tuple) and len(result) == 3 and isinstance(result[0], AlgorithmState)
    if not (whole and isinstance(result[1], Steps | None) and isinstance(result[2], dict)):
        wanted = "a state from state.after(...), the steps of collect or None, and a dict of scalars"
        raise SettingTypeError(
            f"{algorithm.name}.iteration", result, f"three things: {wanted}", said=tree.text(result)
        )
    for name, entry in result[2].items():
        parts = (entry.value, entry.there) if isinstance(entry, Maybe) else (entry,)
        if not all(eqx.is_array_like(part) and jnp.shape(part) == () for part in parts):
            where, wanted = f"{algorithm.name}.iteration: log[{name!r}]", "one number or a Maybe of one"
            hint = "of an array log for example jnp.mean"
            raise SettingTypeError(where, entry, wanted, hint=hint, said=tree.text(entry))
    return result


def _context(algorithm: AbstractAlgorithm, now: AlgorithmState, **parts: Any) -> CallbackContext:
    told = {
        "algorithm": algorithm,
        "learner": now.learner,
        "opt_state": now.opt_state,
        "iteration_count": now.iteration_count,
        "state": now.callback_state,
        "step_state": now.callback_step_state,
    }
    return CallbackContext(now.env, now.policy, **(told | parts))


def _step_hooks(
    algorithm: AbstractAlgorithm,
    state: AlgorithmState,
    callback: CallbackList,
    steps: Steps,
    key: Key[Array, ""],
) -> PyTree:
    """Calls `on_step` for every step of every environment.

    In a scan of its own it costs a fraction of what it would inside that of the rollout.
    """

    def hook(own: Any, steps: Steps, key: Key[Array, ""]) -> Any:
        told = {name: getattr(steps, name) for name in STEP_LOCALS}
        parts = {"state": own, "step_state": None, "done": steps.done, "reward": steps.reward, "locals": told}
        return callback.on_step(_context(algorithm, state, **parts), key=key)

    def step(own: Any, xs: tuple) -> tuple[Any, None]:
        return jax.vmap(hook)(own, *xs), None

    keys = jr.split(key, steps.reward.shape)
    with closed("on_step"):
        return tree.scan(step, state.callback_step_state, (steps, keys), unroll=2)[0]


def start(
    algorithm: AbstractAlgorithm, state: AlgorithmState, callback: CallbackList, total: int | Array
) -> AlgorithmState:
    """Prepares a state for training: a callback goes on with its states, where the state has them.

    The first run's `total` is that of the whole training where nobody has given another.
    """
    ctx = _context(algorithm, state, state=None, step_state=None)
    key, step_key, hook_key = (
        jr.fold_in(jr.fold_in(state.key, state.iteration_count), HOOKS + i) for i in range(3, 6)
    )
    with closed("reset"):
        fresh = tree.numbers_as_arrays(callback.reset(ctx, key=key))
    with closed("step_reset"):
        keys = jr.split(step_key, algorithm.num_envs)
        fresh_step = jax.vmap(lambda k: callback.step_reset(ctx, key=k))(keys)
    kept = _by_name(state)
    own = [
        kept[name] if name in kept and tree.difference(kept[name], pair) is None else pair
        for name, *pair in zip(callback.names, fresh, fresh_step, strict=True)
    ]
    whole = jnp.where(state.total_iterations > 0, state.total_iterations, total)
    state = dataclasses.replace(
        state,
        callback_state=tuple(pair[0] for pair in own),
        callback_step_state=tuple(pair[1] for pair in own),
        callback_names=callback.names,
        total_iterations=whole.astype(jnp.int32),
    )
    return _training_hook("on_training_start", algorithm, state, callback, total, hook_key)


def _by_name(state: AlgorithmState) -> dict[str, list[Any]]:
    """The states of each callback, by what it is."""
    parts = zip(state.callback_state or (), state.callback_step_state or (), strict=True)
    return {name: list(pair) for name, pair in zip(state.callback_names, parts, strict=True)}


def warn_of_lost(before: AlgorithmState, after: AlgorithmState) -> None:
    """Says which callbacks' states a run has not gone on with."""
    kept, there = _by_name(before), _by_name(after)
    same = lambda name: name in there and tree.difference(kept[name], there[name]) is None
    lost = [name for name, pair in kept.items() if jax.tree.leaves(pair) and not same(name)]
    if lost:
        warnings.warn(
            f"callbacks: the states of {', '.join(lost)} are not gone on with: no callback of this run has "
            "the same class and the same form of state",
            LeraxWarning,
            stacklevel=5,
        )


def form(algorithm: AbstractAlgorithm, state: AlgorithmState, callback: CallbackList) -> AlgorithmState:
    """What `start` gives, for its form alone: nothing is sent."""
    with Collector().collecting():
        return start(algorithm, state, callback, 1)


def end(
    algorithm: AbstractAlgorithm, state: AlgorithmState, callback: CallbackList, total: int | Array
) -> AlgorithmState:
    """Lets the callbacks finish."""
    key = jr.fold_in(jr.fold_in(state.key, state.iteration_count), HOOKS + 6)
    return _training_hook("on_training_end", algorithm, state, callback, total, key)


def _training_hook(
    hook: str,
    algorithm: AbstractAlgorithm,
    state: AlgorithmState,
    callback: CallbackList,
    total: int | Array,
    key: Array,
) -> AlgorithmState:
    total = jnp.maximum(state.total_iterations, total)  # a run may be a part of the training, or go beyond it
    most, steps = jnp.iinfo(jnp.int32).max, algorithm.steps_per_iteration
    timesteps = jnp.where(total > most // steps, most, total * steps)  # held, instead of wrapping round
    ctx = _context(algorithm, state, total_timesteps=timesteps, locals={"total_iterations": total})
    return tree.strongly_typed(
        dataclasses.replace(state, callback_state=getattr(callback, hook)(ctx, key=key))
    )
