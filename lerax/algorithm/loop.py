"""The one training loop, driven from the host in compiled chunks.

A chunk is a compiled `while_loop` whose length is a traced number: results do not depend on the lengths, and
one compilation serves all of them. What the callbacks emit leaves a chunk as an output and is handed over
while the next chunk runs.
"""

import dataclasses
import functools
import time
import warnings
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import numpy as np
from jax import lax
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, ArrayLike, Bool, Int, Key, PyTree

from lerax import tree
from lerax.callback.base_callback import CallbackContext, OwnState
from lerax.callback.callback_list import CallbackList, overrides
from lerax.callback.outbox import Collector, closed, sending
from lerax.collect import Steps
from lerax.errors import LeraxWarning, SettingTypeError
from lerax.learner import Log, Maybe

from .state import AlgorithmState

if TYPE_CHECKING:
    from .base_algorithm import AbstractAlgorithm
else:
    AbstractAlgorithm = Any

CHUNK_SECONDS = 0.25  # how often the host gets a word in
CHUNK_RECORDS = 1024  # most iterations in a chunk
CHUNK_BYTES = 2**24  # most memory that a chunk's records may take
STEP_HOOKS = 2**31  # folded into an iteration's key for those of `on_step`
STEP_LOCALS = ("observation", "action", "next_observation", "terminal", "truncated")  # by `on_step`


def run_traced(
    algorithm: AbstractAlgorithm, state: AlgorithmState, callback: CallbackList, total: int
) -> AlgorithmState:
    """The whole training as one program, for callers that trace it themselves."""
    before, algorithm = state, tree.settings_as_data(algorithm)
    with sending(True):
        state = start(algorithm, state, callback, total)
    _warn_of_lost(before, state)
    arrays, static = eqx.partition(state, eqx.is_array)

    def runs(carry: Any) -> Bool[Array, ""]:
        return (carry[0].iteration_count < total) & carry[1]

    def body(carry: Any) -> Any:
        with sending(runs(carry)):  # under vmap the lanes that have stopped come by here, too
            state, go_on = iterate(algorithm, eqx.combine(carry[0], static), callback)
        return eqx.filter(state, eqx.is_array), go_on

    arrays, _ = lax.while_loop(runs, body, (arrays, jnp.array(True)))
    with sending(True):
        return end(algorithm, eqx.combine(arrays, static), callback, total)


def run_from_host(
    algorithm: AbstractAlgorithm,
    state: AlgorithmState,
    callback: CallbackList,
    total: int,
    *,
    chunk_length: int | None = None,
) -> AlgorithmState:
    """The whole training in compiled chunks; `chunk_length` fixes their length, which time chooses else."""
    fixed = tree.settings_as_data((algorithm, callback))  # once, for all that is called below
    last = np.int32(total)
    callback.on_phase("compiling")
    before = state
    state, records, collector = _start(fixed, state, last)
    _warn_of_lost(before, state)
    collector.deliver(_fetch(records, 1), np.array([time.monotonic()]))
    done, go_on, length = int(state.iteration_count), True, chunk_length or 1
    # A chunk of no iterations compiles the program and changes nothing.
    state, records, _, _, collector = _chunk(fixed, state, np.int32(0))
    capacity = collector.capacity
    callback.on_phase("training")
    outgoing: list[tuple[Collector, dict[str, np.ndarray], np.ndarray]] = []
    try:
        while done < total and go_on and not callback.stop_requested():
            due = callback.next_due(done)
            length = min(length, capacity, total - done, *([due - done] if due else []))
            began = time.monotonic()
            state, records, count, going, collector = _chunk(fixed, state, np.int32(length))
            _deliver(outgoing)  # the last chunk's records, while this one runs
            made, go_on = int(jax.block_until_ready(count)), bool(going)
            times = np.linspace(began, time.monotonic(), made + 1)[1:]
            outgoing.append((collector, _fetch(records, made), times))
            done += made
            if due == done:
                _deliver(outgoing)
                own = OwnState(state.callback_state, state.callback_step_state)
                callback.on_host(state, own, done)
                callback.on_phase("training")
            seconds = (times[-1] - began) / made
            length = chunk_length or max(1, min(8 * length, int(CHUNK_SECONDS / seconds)))
    finally:
        _deliver(outgoing)
    if overrides(callback, "on_training_end"):
        state, records, collector = _end(fixed, state, last)
        collector.deliver(_fetch(records, 1), np.array([time.monotonic()]))
    return state


def iterate(
    algorithm: AbstractAlgorithm, state: AlgorithmState, callback: CallbackList
) -> tuple[AlgorithmState, Bool[Array, ""]]:
    """One iteration with its hooks: the state after it, and whether to go on."""
    key, hook_key, stop_key = jr.split(jr.fold_in(state.key, state.iteration_count), 3)
    before = state
    state, steps, log = _given(algorithm, algorithm.iteration(state, key=key))
    state = dataclasses.replace(state, iteration_count=state.iteration_count + 1)
    if steps is not None and overrides(callback, "on_step"):
        own = _step_hooks(algorithm, before, callback, steps, jr.fold_in(key, STEP_HOOKS))
        state = dataclasses.replace(state, callback_step_state=own)
    values = {name: entry.value if isinstance(entry, Maybe) else entry for name, entry in log.items()}
    mask = {name: entry.there for name, entry in log.items() if isinstance(entry, Maybe)}
    ctx = _context(algorithm, state, training_log=values, training_log_mask=mask)
    callback_state = callback.on_iteration(ctx, key=hook_key)
    with closed("continue_training"):
        go_on = callback.continue_training(dataclasses.replace(ctx, state=callback_state), key=stop_key)
    state = dataclasses.replace(state, callback_state=callback_state)
    return tree.strongly_typed(state), jnp.asarray(go_on, bool)


def _given(algorithm: AbstractAlgorithm, result: Any) -> tuple[AlgorithmState, Steps | None, Log]:
    """What an iteration gave, held against what it has to give."""
    whole = isinstance(result, tuple) and len(result) == 3 and isinstance(result[0], AlgorithmState)
    if not (whole and isinstance(result[1], Steps | None) and isinstance(result[2], dict)):
        wanted = "a state from state.after(...), the steps of collect or None, and a dict of scalars"
        raise SettingTypeError(
            f"{algorithm.name}.iteration", result, f"three things: {wanted}", said=tree.text(result)
        )
    for name, entry in result[2].items():
        if not eqx.is_array_like(entry.value if isinstance(entry, Maybe) else entry):
            raise SettingTypeError(f"{algorithm.name}.iteration: log[{name!r}]", entry, "a number or a Maybe")
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

    In a scan of its own: unrolled, it costs a fraction of what it would inside that of the rollout.
    """

    def hook(own: Any, steps: Steps, key: Key[Array, ""]) -> Any:
        told = {name: getattr(steps, name) for name in STEP_LOCALS}
        parts = {"state": own, "step_state": None, "done": steps.done, "reward": steps.reward, "locals": told}
        return callback.on_step(_context(algorithm, state, **parts), key=key)

    def step(own: Any, xs: tuple) -> tuple[Any, None]:
        return jax.vmap(hook)(own, *xs), None

    keys = jr.split(key, steps.reward.shape)
    with closed("on_step"):
        return tree.scan(step, state.callback_step_state, (steps, keys), unroll=32)[0]


def start(
    algorithm: AbstractAlgorithm, state: AlgorithmState, callback: CallbackList, total: int | Array
) -> AlgorithmState:
    """Prepares a state for training: a callback goes on with its states, where the state has them.

    The first run's `total` is that of the whole training where nobody has given another.
    """
    ctx = _context(algorithm, state, state=None, step_state=None)
    key, step_key, hook_key = (
        jr.fold_in(jr.fold_in(state.key, state.iteration_count), i) for i in range(3, 6)
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


def _warn_of_lost(before: AlgorithmState, after: AlgorithmState) -> None:
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
    key = jr.fold_in(jr.fold_in(state.key, state.iteration_count), 6)
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


@tree.compiled
def _start(fixed: Any, state: AlgorithmState, total: Any) -> Any:
    return _collected(start, fixed, tree.copy_arrays(state), total)


@tree.compiled
def _end(fixed: Any, state: AlgorithmState, total: Any) -> Any:
    return _collected(end, fixed, state, total)


def _collected(hook: Any, fixed: Any, state: AlgorithmState, total: Any) -> Any:
    algorithm, callback = fixed
    collector = Collector()
    with collector.collecting():
        state = hook(algorithm, state, callback, total)
        packed = collector.packed()
    return state, jax.tree.map(lambda vector: vector[None], packed), collector


@functools.partial(tree.compiled, donate="all-except-first")
def _chunk(
    fixed: Any, state: AlgorithmState, length: Int[ArrayLike, ""]
) -> tuple[AlgorithmState, dict[str, Array], Int[Array, ""], Bool[Array, ""], Collector]:
    """At most `length` iterations: state, records, how many were made, whether to go on, the records' key."""
    algorithm, callback = fixed
    arrays, static = eqx.partition(state, eqx.is_array)
    collector = Collector()

    @jax.jit  # so that it is traced once, for the shapes of the records and for the loop
    def iteration(arrays: Any) -> Any:
        with collector.collecting():
            state, go_on = iterate(algorithm, eqx.combine(arrays, static), callback)
            return eqx.filter(state, eqx.is_array), collector.packed(), go_on

    record = jax.eval_shape(iteration, arrays)[1]
    size = sum(vector.size * vector.dtype.itemsize for vector in record.values())
    collector.capacity = max(1, min(CHUNK_RECORDS, CHUNK_BYTES // max(size, 1)))
    records = {
        name: jnp.zeros((collector.capacity, *vector.shape), vector.dtype) for name, vector in record.items()
    }

    def body(carry: Any) -> Any:
        made, arrays, records, _ = carry
        arrays, record, go_on = iteration(arrays)
        records = {
            name: lax.dynamic_update_index_in_dim(records[name], vector, made, 0)
            for name, vector in record.items()
        }
        return made + 1, arrays, records, go_on

    made, arrays, records, go_on = lax.while_loop(
        lambda carry: (carry[0] < length) & carry[3],
        body,
        (jnp.array(0, jnp.int32), arrays, records, jnp.array(True)),
    )
    return eqx.combine(arrays, static), records, made, go_on, collector


def _fetch(records: dict[str, Array], count: int) -> dict[str, np.ndarray]:
    return {name: np.asarray(array)[:count] for name, array in records.items()}


def _deliver(outgoing: list[tuple[Collector, dict[str, np.ndarray], np.ndarray]]) -> None:
    while outgoing:
        collector, records, times = outgoing.pop(0)
        collector.deliver(records, times)
