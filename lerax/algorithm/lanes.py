"""Trainings side by side as the lanes of one program.

Each runs on a thread of its own, as it would by itself, but for its chunks: for these they meet. The last one
that comes begins one program for all of them, and each takes what is its own of what comes out. A chunk ends
where one of them has something to do: those that are done leave, and their lanes are computed on for nobody.
"""

import contextlib
import functools
import threading
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Int, PyTree

from lerax import tree
from lerax.callback.outbox import Collector

from . import loop
from .hooks import iterate
from .state import AlgorithmState


class _Chunk(NamedTuple):
    """What has come of a chunk of all lanes."""

    records: dict[str, Array]
    made: Int[Array, ""]
    going: Bool[Array, " lane"]
    collector: Collector


class Lanes:
    """Where trainings of one form meet: each has a seat, which is its lane's number.

    There are always as many lanes, and a training's numbers depend on nothing but its own state, the seat and
    how many these are: one that goes on among others, or alone, comes to what it would have come to.

    Args:
        width: How many lanes there are.
        seats: Those that the first chunk waits for, until they are taken or were given up; by default all.
    """

    def __init__(self, width: int, seats: Iterable[int] | None = None):
        self.width = width
        self._met = threading.Condition()
        self._expected = set(range(width) if seats is None else seats)
        self._members: set[int] = set()
        self._asked: dict[int, int] = {}  # how long a chunk may be, by the seats that wait for one
        self._given: dict[int, _Chunk | BaseException] = {}
        self._fixed: Any = None  # the algorithm, and what is no array in a state and a callback
        self._form: Any = None
        self._stacked: PyTree = None  # states and callbacks, `[lane, ...]`
        self._capacity = 1

    @contextlib.contextmanager
    def seat(self, number: int) -> Iterator[None]:
        """What this thread trains inside, one after the other, has this seat."""
        token = loop.joining.set(functools.partial(self._join, number))
        try:
            yield
        finally:
            loop.joining.reset(token)
            self.leave(number)

    def _join(self, number: int, fixed: Any, state: AlgorithmState) -> "Lane | loop.Alone":
        """The lane of a training; one of another form than those before is by itself."""
        algorithm, callback = fixed
        arrays, static = eqx.partition((state, callback), eqx.is_array)
        with self._met:
            first, fixed = self._stacked is None, (algorithm, static)
            if first:
                self._fixed, self._form = fixed, tree.form(arrays)
                self._stacked = _widened(arrays, self.width)
            elif self._form != tree.form(arrays) or not eqx.tree_equal(self._fixed, fixed):
                return loop.Alone((algorithm, callback), state)
            self._stacked = _put((arrays, np.int32(number)), self._stacked)
            if first:  # compiles the program and changes nothing
                self._capacity = self._chunk(0).collector.capacity
            self._members.add(number)
            self._expected.discard(number)
        return Lane(self, number, self._capacity)

    def chunk(self, number: int, length: int) -> _Chunk:
        """A chunk of at most so many iterations, once all have asked for one."""
        with self._met:
            self._asked[number] = length
            self._met.notify_all()
            while number not in self._given:
                if self._expected or self._asked.keys() != self._members:
                    self._met.wait()
                else:
                    self._begin()
            given = self._given.pop(number)
        if isinstance(given, BaseException):
            raise given
        return given

    def _begin(self) -> None:
        """Begins the chunk that all wait for, whose results are there later."""
        try:
            given = self._chunk(min(self._asked.values()))
        except BaseException as error:  # all states are lost
            self._stacked, given = None, error
        self._given |= dict.fromkeys(self._asked, given)
        self._asked.clear()
        self._met.notify_all()

    def _chunk(self, length: int) -> _Chunk:
        idle = np.array([number not in self._members for number in range(self.width)])
        states, callbacks = self._stacked
        states, *made = _chunk((*self._fixed, callbacks, idle), states, np.int32(length))
        self._stacked = states, callbacks
        return _Chunk(*made)

    def state(self, number: int) -> AlgorithmState:
        """A copy of a lane's state."""
        with self._met:
            return eqx.combine(_taken(self._stacked[0], np.int32(number)), self._fixed[1][0])

    def leave(self, number: int) -> None:
        """Goes on without a seat."""
        with self._met:
            self._expected.discard(number)
            self._members.discard(number)
            self._asked.pop(number, None)
            if not self._members:  # memory is given back, and what has failed forgotten
                self._stacked = None
            self._met.notify_all()


class Lane:
    """One training among others, as the loop drives it: see `lerax.algorithm.loop.Alone`."""

    def __init__(self, lanes: Lanes, number: int, capacity: int):
        self._lanes, self._number, self.capacity = lanes, number, capacity

    @property
    def state(self) -> AlgorithmState:
        """The state after the last chunk."""
        return self._lanes.state(self._number)

    def begin(self, length: int) -> None:
        """Begins a chunk of at most so many iterations, together with the others."""
        self._begun = self._lanes.chunk(self._number, length)

    def wait(self) -> tuple[int, bool]:
        """How many iterations the chunk has made, and whether to go on."""
        made = int(jax.block_until_ready(self._begun.made))
        return made, bool(np.asarray(self._begun.going)[self._number])

    def records(self, made: int) -> tuple[Collector, dict[str, np.ndarray]]:
        """What this training's iterations have emitted."""
        records, collector = self._begun.records, self._begun.collector
        return collector, {name: np.asarray(array)[:made, self._number] for name, array in records.items()}

    def leave(self) -> AlgorithmState:
        """The state, once there is no other chunk."""
        state = self.state
        self._lanes.leave(self._number)
        return state


@tree.compiled
def _widened(arrays: PyTree, width: int) -> PyTree:
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (width, *leaf.shape)), arrays)


def _put_traced(one: tuple[PyTree, Any], stacked: PyTree) -> PyTree:
    arrays, number = one
    put = lambda all, leaf: lax.dynamic_update_index_in_dim(all, leaf, number, 0)
    return jax.tree.map(put, stacked, arrays)


_put = tree.compiled(_put_traced, donate=loop.DONATE)


@tree.compiled
def _taken(stacked: PyTree, number: Any) -> PyTree:
    return jax.tree.map(lambda leaf: lax.dynamic_index_in_dim(leaf, number, 0, keepdims=False), stacked)


def _chunk_traced(fixed: Any, states: PyTree, length: Any) -> tuple:
    """`loop.chunk` of all lanes; what one says of its end that is nobody's does not count."""
    algorithm, (static, static_callback), callbacks, idle = fixed
    collector = Collector()

    @jax.jit  # so that it is traced once, for the shapes of the records and for the loop
    def iteration(states: PyTree) -> Any:
        def one(arrays: PyTree, callback: PyTree) -> Any:
            with collector.collecting():
                whole = eqx.combine(arrays, static), eqx.combine(callback, static_callback)
                state, go_on = iterate(algorithm, *whole)
                return eqx.filter(state, eqx.is_array), collector.packed(), go_on

        states, records, go_on = jax.vmap(one)(states, callbacks)
        return states, records, go_on | idle

    return (*loop.repeated(iteration, states, length, collector), collector)


_chunk = tree.compiled(_chunk_traced, donate=loop.DONATE)
