"""The one training loop, driven from the host in compiled chunks.

A chunk is a compiled `while_loop` whose length is a traced number: results do not depend on the lengths, and
one compilation serves all of them. What the callbacks emit leaves a chunk as an output and is handed over
while the next chunk runs.
"""

import dataclasses
import functools
import time
import warnings
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import numpy as np
from jax import lax
from jax import numpy as jnp
from jax import random as jr
from jax.sharding import Mesh
from jaxtyping import Array, ArrayLike, Bool, Int

from lerax import devices, tree
from lerax.callback.base_callback import OwnState
from lerax.callback.callback_list import CallbackList, overrides
from lerax.callback.outbox import Collector, sending
from lerax.collect import Standing
from lerax.errors import LeraxWarning
from lerax.hosted import EpisodesLostError, HostedEnvError

from . import divided, together
from .hooks import end, iterate, start, warn_of_lost
from .state import AlgorithmState
from .together import Order

if TYPE_CHECKING:
    from .base_algorithm import AbstractAlgorithm
else:
    AbstractAlgorithm = Any

BEGIN_ANEW = 2**31 + 7  # folded into an iteration's key, beside those of the hooks
CHUNK_SECONDS = 0.25  # how often the host gets a word in
CHUNK_RECORDS = 1024  # most iterations in a chunk
CHUNK_BYTES = 2**24  # most memory that a chunk's records may take
DONATE = "all-except-first"  # of a chunk's arguments: the state


def run_traced(
    algorithm: AbstractAlgorithm, state: AlgorithmState, callback: CallbackList, total: int
) -> AlgorithmState:
    """The whole training as one program, for callers that trace it themselves."""
    before, algorithm = state, tree.settings_as_data(algorithm)
    with sending(True):
        state = start(algorithm, state, callback, total)
    warn_of_lost(before, state)
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
    mesh = devices.found_in(state)
    on = functools.partial(together.among, mesh)
    last = np.int32(total)
    callback.on_phase("compiling")
    state = going_on(algorithm, state)
    before = state
    with on():
        state, records, collector = started(fixed, state, last)
    warn_of_lost(before, state)
    collector.deliver(_fetch(records, 1), np.array([time.monotonic()]))
    done, go_on, length = int(state.iteration_count), True, chunk_length or 1
    with on():
        lane = joining.get()(fixed, state)
    del state  # among others a lane has a copy
    callback.on_phase("training")
    outgoing: list[tuple[Collector, dict[str, np.ndarray], np.ndarray]] = []
    if callback.due_now():
        _on_host(callback.on_host_now, lane.state, mesh, done)
    try:
        while done < total and go_on and not callback.stop_requested():
            due = callback.next_due(done)
            length = min(length, lane.capacity, total - done, *([due - done] if due else []))
            began = time.monotonic()
            together.tell(mesh, Order.ITERATE, length)
            with on():
                lane.begin(length)
            _deliver(outgoing)  # the last chunk's records, while this one runs
            with on():
                made, go_on = lane.wait()
            times = np.linspace(began, time.monotonic(), made + 1)[1:]
            outgoing.append((*lane.records(made), times))
            done += made
            if due == done or callback.due_now():
                _deliver(outgoing)
                _on_host(callback.on_host, lane.state, mesh, done)
                callback.on_phase("training")
            seconds = (times[-1] - began) / made
            length = chunk_length or max(1, min(8 * length, int(CHUNK_SECONDS / seconds)))
    finally:
        _deliver(outgoing)
    state = lane.leave()
    if overrides(callback, "on_training_end"):
        together.tell(mesh, Order.END)
        with on():
            state, records, collector = _end(fixed, state, last)
        collector.deliver(_fetch(records, 1), np.array([time.monotonic()]))
    callback.on_phase("ending")
    if callback.due_now():
        _on_host(callback.on_host_now, state, mesh, done)
    if isinstance(fault := state.env.fault(state.standing.env_state), HostedEnvError):
        fault.state = state
        raise fault
    return state


def follow_from_host(
    algorithm: AbstractAlgorithm,
    state: AlgorithmState,
    callback: CallbackList,
    total: int,
    received: Callable[[], int],
) -> None:
    """What the other processes do while the first one runs `run_from_host`, until that lets them go."""
    fixed, last = tree.settings_as_data((algorithm, callback)), np.int32(total)
    mesh = devices.found_in(state)
    assert mesh is not None, "follow_from_host: a state that is divided among devices"
    on = functools.partial(together.among, mesh)
    with on():
        state = started(fixed, state, last)[0]
        state = _chunk(fixed, state, np.int32(0))[0]
    while (said := together.told(mesh, received))[0] is not Order.LEAVE:
        if said[0] is Order.SHOW:
            together.gathered(state, mesh)
            continue
        with on():
            if said[0] is Order.ITERATE:
                state, _, count, *_ = _chunk(fixed, state, np.int32(said[1]))
                jax.block_until_ready(count)
            else:
                state = _end(fixed, state, last)[0]


def going_on(algorithm: AbstractAlgorithm, state: AlgorithmState, *, warn: bool = True) -> AlgorithmState:
    """The state with episodes that can go on: new ones where those of an environment outside of JAX are lost.

    Raises:
        HostedEnvError: The environment has failed.
    """
    fault = state.env.fault(state.standing.env_state)
    if isinstance(fault, EpisodesLostError):
        if warn:
            warnings.warn(str(fault), LeraxWarning, stacklevel=4)
        of = state.env, state.policy, state.key, state.iteration_count
        with together.among(devices.found_in(state)):
            standing = _begin_anew(*of, algorithm.num_envs)
        state = dataclasses.replace(state, standing=standing)
        fault = state.env.fault(standing.env_state)
    if fault is not None:
        raise fault
    return state


@tree.compiled
def _begin_anew(env: Any, policy: Any, key: Array, iteration: Array, num_envs: int) -> Standing:
    key = jr.fold_in(jr.fold_in(key, iteration), BEGIN_ANEW)
    return tree.strongly_typed(divided.begun(env, policy, jr.split(key, (num_envs, 3))))


def _on_host(hook: Callable[..., None], state: AlgorithmState, mesh: Mesh | None, done: int) -> None:
    shown = together.shown(state, mesh)
    hook(shown, OwnState(shown.callback_state, shown.callback_step_state), done)


@tree.compiled
def started(
    fixed: Any, state: AlgorithmState, total: Any
) -> tuple[AlgorithmState, dict[str, Array], Collector]:
    """What the first chunk begins with, a copy of the state with the callbacks' states in it; and records."""
    return _collected(start, fixed, tree.copy_arrays(state), total)


@tree.compiled
def _end(fixed: Any, state: AlgorithmState, total: Any) -> Any:
    return _collected(end, fixed, state, total)


def _collected(hook: Any, fixed: Any, state: AlgorithmState, total: Any) -> Any:
    algorithm, callback = fixed
    collector = Collector()
    with collector.collecting():
        state = divided.laid_out(algorithm, hook(algorithm, state, callback, total))
        packed = divided.whole(collector.packed())
    return state, jax.tree.map(lambda vector: vector[None], packed), collector


def chunk(
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
            return eqx.filter(state, eqx.is_array), divided.whole(collector.packed()), go_on

    arrays, records, made, go_on = repeated(iteration, arrays, length, collector)
    return eqx.combine(arrays, static), records, made, go_on, collector


def repeated(
    iteration: Callable[[Any], Any], arrays: Any, length: Int[ArrayLike, ""], collector: Collector
) -> tuple[Any, dict[str, Array], Int[Array, ""], Bool[Array, "..."]]:
    """At most `length` iterations, until one says that it is the last: of one training, or of several lanes.

    Args:
        iteration: From arrays to arrays, what it emits, and whether to go on.
        arrays: What it begins with.
        length: The most iterations.
        collector: Is told for how many there is room.
    """
    _, record, going = jax.eval_shape(iteration, arrays)
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
        lambda carry: (carry[0] < length) & jnp.all(carry[3]),
        body,
        (jnp.array(0, jnp.int32), arrays, records, jnp.ones(going.shape, bool)),
    )
    return arrays, records, made, go_on


_chunk = tree.compiled(chunk, donate=DONATE)


class Alone:
    """A training by itself: its program, and its state, of which each chunk takes the memory.

    Args:
        fixed: Algorithm and callback.
        state: What it begins with.

    Attributes:
        capacity: Iterations that a chunk has room for.
        state: The state after the last chunk.
    """

    def __init__(self, fixed: Any, state: AlgorithmState):
        self._fixed, self.state = fixed, state
        self.begin(0)  # compiles the program and changes nothing
        self.capacity = self._collector.capacity

    def begin(self, length: int) -> None:
        """Begins a chunk of at most so many iterations."""
        begun = _chunk(self._fixed, self.state, np.int32(length))
        self.state, self._records, self._made, self._going, self._collector = begun

    def wait(self) -> tuple[int, bool]:
        """How many iterations the chunk has made, and whether to go on."""
        return int(jax.block_until_ready(self._made)), bool(self._going)

    def records(self, made: int) -> tuple[Collector, dict[str, np.ndarray]]:
        """What its iterations have emitted."""
        return self._collector, _fetch(self._records, made)

    def leave(self) -> AlgorithmState:
        """The state, once there is no other chunk."""
        return self.state


joining: ContextVar[Callable[[Any, AlgorithmState], Any]] = ContextVar("joining", default=Alone)
"""What a training of this thread is driven by: `Alone`, or a lane among others (`lanes.py`)."""


def _fetch(records: dict[str, Array], count: int) -> dict[str, np.ndarray]:
    return {name: np.asarray(array)[:count] for name, array in records.items()}


def _deliver(outgoing: list[tuple[Collector, dict[str, np.ndarray], np.ndarray]]) -> None:
    while outgoing:
        collector, records, times = outgoing.pop(0)
        collector.deliver(records, times)
