"""The one door out of traced code.

`emit` addresses a receiver by number. While the host drives the loop, the values become outputs of the
compiled chunk and `Collector` hands them over afterwards; under a caller's own `jax.jit` the same call
becomes an ordered `jax.debug.callback`. Either way receivers run on the host and get NumPy arrays.
"""

import contextlib
import functools
import itertools
import operator
import threading
import time
import warnings
from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax
import numpy as np
from jax import numpy as jnp
from jax.custom_batching import custom_vmap
from jax.extend.core import get_opaque_trace_state
from jaxtyping import Array, Bool, Int, PyTree

from lerax import tree
from lerax.errors import LeraxWarning


@runtime_checkable
class Receiver(Protocol):
    """Takes messages on the host."""

    def receive(self, message: PyTree, times: np.ndarray, running: np.ndarray | None, /) -> None:
        """Takes messages of one `emit` call.

        Args:
            message: The tree that was emitted, of NumPy's arrays with a leading axis of messages; where
                training is mapped by a caller's `jax.vmap`, an axis of lanes follows. What was no array is
                as it was.
            times: `time.monotonic()` of each message.
            running: None, or where training is mapped, which lanes sent each message: `[messages, lanes]`.
        """


_receivers: dict[int, Receiver] = {}
_numbers = itertools.count(1)
_known: set[int] = set()  # numbers that a receiver has or had, and those that were warned of


class _Place(threading.local):
    """Where this thread is: what collects, which hook is closed, when and from which trace may be sent."""

    collector: "Collector | None" = None
    closed: str | None = None
    condition: Bool[Array, ""] | bool = True
    trace: Any = None


_place = _Place()


@contextlib.contextmanager
def _set(name: str, value: object) -> Iterator[None]:
    previous = getattr(_place, name)
    setattr(_place, name, value)
    try:
        yield
    finally:
        setattr(_place, name, previous)


def collecting() -> bool:
    """Whether the host drives the loop that is being traced: then host methods of callbacks are called."""
    return _place.collector is not None


def warn_inside_jit(callback: str) -> None:
    """Warns of a callback whose host methods matter where the host does not drive the loop being traced."""
    if not collecting():
        warnings.warn(f"{callback}: not called inside jax.jit", LeraxWarning, stacklevel=3)


def register(receiver: Receiver) -> int:
    """Gives a receiver the number that `emit` reaches it by, until `unregister`.

    Args:
        receiver: Anything with a method `receive`, as `Receiver` describes it.

    Returns:
        The number.
    """
    number = next(_numbers)
    _receivers[number] = receiver
    _known.add(number)
    return number


def unregister(number: int) -> None:
    """Forgets a receiver, after what is still under way has arrived; what comes later is lost.

    Args:
        number: From `register`.
    """
    jax.effects_barrier()
    _receivers.pop(number, None)


def receiver_of(number: int) -> Receiver | None:
    """The receiver with a number, None when there is none."""
    return _receivers.get(number)


def _addressed(number: np.ndarray) -> Receiver | None:
    """The receiver of a message; of a number that never had one, that is said once."""
    found = receiver_of(wanted := int(number.flat[0]))
    if wanted not in _known:
        _known.add(wanted)
        warnings.warn(
            f"emit: nobody was registered with the number {wanted}, and what is sent to it is lost; "
            "give it what `register` returned",
            LeraxWarning,
            stacklevel=2,
        )
    return found


class Collector:
    """Gathers what is emitted while one function is traced, for it to return.

    Attributes:
        static: What is no array in what each `emit` sends, in order.
        packing: How the arrays of all of them lie in the packed message.
        capacity: Records that a chunk has room for.
    """

    def __init__(self) -> None:
        self.static: list[PyTree] = []
        self.packing: tree.Packing | None = None
        self.capacity = 1
        self._values: list[PyTree] = []

    @contextlib.contextmanager
    def collecting(self) -> Iterator[None]:
        """Catches every `emit` made inside."""
        self.static, self._values = [], []
        with _set("collector", self), sending(True):
            yield

    def add(self, static: PyTree, values: PyTree) -> None:
        """Takes one message in."""
        self.static.append(static)
        self._values.append(values)

    def packed(self) -> dict[str, Array]:
        """Everything that was emitted, as one vector per dtype."""
        self.packing = tree.Packing(self._values)
        packed, self._values = self.packing.pack(self._values), []
        return packed

    def deliver(self, packed: dict[str, np.ndarray], times: np.ndarray) -> None:
        """Hands the messages of a chunk, stacked along the first axis, to their receivers."""
        assert self.packing is not None
        messages = self.packing.unpack(packed)
        for static, (number, when, values) in zip(self.static, messages, strict=True):
            receiver = _addressed(number) if when.any() else None
            if receiver is not None:
                kept = jax.tree.map(operator.itemgetter(when), values)
                receiver.receive(eqx.combine(kept, static), times[when], None)


def closed(hook: str) -> contextlib.AbstractContextManager[None]:
    """Refuses `emit` inside, naming the hook."""
    return _set("closed", hook)


@contextlib.contextmanager
def sending(condition: Bool[Array, ""] | bool) -> Iterator[None]:
    """Sends what is emitted inside, and in no inner transformation, where the condition holds."""
    with _set("condition", condition), _set("trace", get_opaque_trace_state()):
        yield


def emit(channel: Int[Array, ""] | int, message: PyTree, *, when: Bool[Array, ""] | bool = True) -> None:
    """Sends a message from a traced hook to a receiver on the host.

    Allowed in `on_iteration`, `on_training_start` and `on_training_end`, outside any inner transformation.

    Args:
        channel: The receiver's number, from `register`; one that nobody ever had is warned of once.
        message: Any tree, such as a module or a dict. Its arrays and numbers arrive as NumPy's arrays, all
            else as it is.
        when: Whether the message is really sent.

    Raises:
        RuntimeError: The place does not allow it.
    """
    hook = _place.closed
    if hook is not None:
        raise RuntimeError(
            f"emit: not possible in {hook}; return the value in the state and emit it in on_iteration"
        )
    if _place.trace is not None and get_opaque_trace_state() != _place.trace:
        raise RuntimeError(
            "emit: called inside a cond, scan, vmap or jit of a hook; emit from the hook itself and pass "
            "`when=` for a conditional message"
        )
    values, static = eqx.partition(tree.numbers_as_arrays(message), eqx.is_array)
    sent = (jnp.asarray(channel, jnp.int32), jnp.asarray(when, bool) & _place.condition, values)
    if _place.collector is not None:
        _place.collector.add(static, sent)
    else:
        _send(static, None, sent)


def _send(static: PyTree, lanes: int | None, sent: PyTree) -> None:
    """Sends a message from a caller's own program, all lanes of a `jax.vmap` in one piece."""

    packing = tree.Packing(sent, batch_axes=0 if lanes is None else 1)  # each array takes JAX 30 us

    @custom_vmap
    def send(sent: PyTree) -> tuple:
        jax.debug.callback(functools.partial(_receive, static, packing), packing.pack(sent), ordered=True)
        return ()

    @send.def_vmap
    def _(size: int, mapped: list, sent: PyTree) -> tuple[tuple, tuple]:
        sent = tree.with_lanes(size, mapped[0], sent)
        every = size * (lanes or 1)
        if lanes is not None:  # those of an outer vmap are folded into the axis
            sent = jax.tree.map(lambda x: jnp.reshape(x, (every, *x.shape[2:])), sent)
        _send(static, every, sent)
        return (), ()

    send(sent)


def _receive(static: PyTree, packing: tree.Packing, packed: dict[str, Array]) -> None:
    number, when, values = packing.unpack({name: np.asarray(array)[None] for name, array in packed.items()})
    receiver = _addressed(number) if when.any() else None
    if receiver is not None:
        running = when if when.ndim == 2 else None
        receiver.receive(eqx.combine(values, static), np.array([time.monotonic()]), running)
