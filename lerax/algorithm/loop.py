"""The one training loop, driven from the host in compiled chunks.

A chunk is a compiled `while_loop` whose length is a traced number: results do not depend on the lengths, and
one compilation serves all of them. What the callbacks emit leaves a chunk as an output and is handed over
while the next chunk runs.
"""

import time
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import numpy as np
from jax import lax
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Int

from lerax import tree
from lerax.callback import AbstractCallback, ResetContext, TrainingContext
from lerax.callback.callback_list import overrides
from lerax.callback.outbox import Collector, closed, sending

if TYPE_CHECKING:
    from .base_algorithm import AbstractAlgorithm, AlgorithmState
else:
    AbstractAlgorithm = AlgorithmState = Any

CHUNK_SECONDS = 0.25  # how often the host gets a word in
CHUNK_RECORDS = 1024  # most iterations in a chunk
CHUNK_BYTES = 2**24  # most memory that a chunk's records may take


def run_traced(
    algorithm: AbstractAlgorithm, state: AlgorithmState, callback: AbstractCallback, total: int
) -> AlgorithmState:
    """The whole training as one program, for callers that trace it themselves."""
    with sending(True):
        state = start(algorithm, state, callback, total)
    arrays, static = eqx.partition(state, eqx.is_array)

    def runs(carry: Any) -> Bool[Array, ""]:
        return (carry[0].iteration_count < total) & carry[1]

    def body(carry: Any) -> Any:
        with sending(runs(carry)):  # under vmap the lanes that have stopped come by here, too
            state, go_on = algorithm.advance(eqx.combine(carry[0], static), callback)
        return eqx.filter(state, eqx.is_array), go_on

    arrays, _ = lax.while_loop(runs, body, (arrays, jnp.array(True)))
    with sending(True):
        return end(algorithm, eqx.combine(arrays, static), callback, total)


def run_from_host(
    algorithm: AbstractAlgorithm,
    state: AlgorithmState,
    callback: AbstractCallback,
    total: int,
    *,
    chunk_length: int | None = None,
) -> AlgorithmState:
    """The whole training in compiled chunks; `chunk_length` fixes their length, which time chooses else."""
    fixed, last = (algorithm, callback), jnp.array(total, jnp.int32)
    callback.on_phase("compiling")
    state, records, collector = _start(fixed, state, last)
    collector.deliver(_fetch(records, 1), np.array([time.monotonic()]))
    done, go_on, length = int(state.iteration_count), True, chunk_length or 1
    # A chunk of no iterations compiles the program and changes nothing.
    state, records, _, _, collector = _chunk(fixed, state, jnp.array(0, jnp.int32))
    capacity = collector.capacity
    callback.on_phase("training")
    outgoing: list[tuple[Collector, dict[str, np.ndarray], np.ndarray]] = []
    try:
        while done < total and go_on and not callback.stop_requested():
            due = callback.next_due(done)
            length = min(length, capacity, total - done, *([due - done] if due else []))
            began = time.monotonic()
            state, records, count, going, collector = _chunk(fixed, state, jnp.array(length, jnp.int32))
            _deliver(outgoing)  # the last chunk's records, while this one runs
            made, go_on = int(jax.block_until_ready(count)), bool(going)
            times = np.linspace(began, time.monotonic(), made + 1)[1:]
            outgoing.append((collector, _fetch(records, made), times))
            done += made
            if due == done:
                _deliver(outgoing)
                callback.on_host(state, done)
                callback.on_phase("training")
            seconds = (times[-1] - began) / made
            length = chunk_length or max(1, min(8 * length, int(CHUNK_SECONDS / seconds)))
    finally:
        _deliver(outgoing)
    if overrides(callback, "on_training_end"):
        state, records, collector = _end(fixed, state, last)
        collector.deliver(_fetch(records, 1), np.array([time.monotonic()]))
    return state


def start(
    algorithm: AbstractAlgorithm, state: AlgorithmState, callback: AbstractCallback, total: int | Array
) -> AlgorithmState:
    """Prepares a state for training: fresh callback states, unless it has some of the same form.

    The first run's `total` is that of the whole training where nobody has given another.
    """
    ctx = ResetContext(state.env, state.policy, algorithm, {})
    key, step_key, hook_key = (
        jr.fold_in(jr.fold_in(state.key, state.iteration_count), i) for i in range(3, 6)
    )
    with closed("reset"):
        fresh = tree.numbers_as_arrays(callback.reset(ctx, key=key))
    with closed("step_reset"):
        fresh_step = jax.vmap(lambda k: callback.step_reset(ctx, key=k))(
            jr.split(step_key, algorithm.num_envs)
        )
    kept = (state.callback_state, state.step_state.callback_state)
    if jax.tree.structure(kept) == jax.tree.structure((fresh, fresh_step)):
        fresh, fresh_step = kept
    where = lambda s: (s.callback_state, s.step_state.callback_state, s.total_iterations)
    whole = jnp.where(state.total_iterations > 0, state.total_iterations, total).astype(jnp.int32)
    state = eqx.tree_at(where, state, (fresh, fresh_step, whole), is_leaf=lambda x: x is None)
    return _training_hook("on_training_start", algorithm, state, callback, total, hook_key)


def form(algorithm: AbstractAlgorithm, state: AlgorithmState, callback: AbstractCallback) -> AlgorithmState:
    """What `start` gives, for its form alone: nothing is sent."""
    with Collector().collecting():
        return start(algorithm, state, callback, 1)


def end(
    algorithm: AbstractAlgorithm, state: AlgorithmState, callback: AbstractCallback, total: int | Array
) -> AlgorithmState:
    """Lets the callbacks finish."""
    key = jr.fold_in(jr.fold_in(state.key, state.iteration_count), 6)
    return _training_hook("on_training_end", algorithm, state, callback, total, key)


def _training_hook(
    hook: str,
    algorithm: AbstractAlgorithm,
    state: AlgorithmState,
    callback: AbstractCallback,
    total: int | Array,
    key: Array,
) -> AlgorithmState:
    total = jnp.maximum(state.total_iterations, total)  # a run may be a part of the training, or go beyond it
    ctx = TrainingContext(
        state=state.callback_state,
        step_state=state.step_state.callback_state,
        env=state.env,
        policy=state.policy,
        total_timesteps=_times(total, algorithm.steps_per_iteration),
        iteration_count=state.iteration_count,
        opt_state=state.opt_state,
        algorithm=algorithm,
        locals={"total_iterations": total},
    )
    callback_state = getattr(callback, hook)(ctx, key=key)
    where = lambda s: s.callback_state
    return tree.strongly_typed(eqx.tree_at(where, state, callback_state, is_leaf=lambda x: x is None))


def _times(iterations: Int[Array, ""], steps: int) -> Int[Array, ""]:
    """Their product, held at the largest int32 instead of wrapping round."""
    most = jnp.iinfo(jnp.int32).max
    return jnp.where(iterations > most // steps, most, iterations * steps)


@eqx.filter_jit
def _start(fixed: Any, state: AlgorithmState, total: Any) -> Any:
    return _collected(start, fixed, tree.copy_arrays(state), total)


@eqx.filter_jit
def _end(fixed: Any, state: AlgorithmState, total: Any) -> Any:
    return _collected(end, fixed, state, total)


def _collected(hook: Any, fixed: Any, state: AlgorithmState, total: Any) -> Any:
    algorithm, callback = fixed
    collector = Collector()
    with collector.collecting():
        state = hook(algorithm, state, callback, total)
        packed = collector.packed()
    return state, jax.tree.map(lambda vector: vector[None], packed), collector


@eqx.filter_jit(donate="all-except-first")
def _chunk(
    fixed: Any, state: AlgorithmState, length: Int[Array, ""]
) -> tuple[AlgorithmState, dict[str, Array], Int[Array, ""], Bool[Array, ""], Collector]:
    """At most `length` iterations: state, records, how many were made, whether to go on, the records' key."""
    algorithm, callback = fixed
    arrays, static = eqx.partition(state, eqx.is_array)
    collector = Collector()

    @jax.jit  # so that it is traced once, for the shapes of the records and for the loop
    def iteration(arrays: Any) -> Any:
        with collector.collecting():
            state, go_on = algorithm.advance(eqx.combine(arrays, static), callback)
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
