"""One training of several processes: the first leads, and the others do with their devices what it does.

A program on devices of several processes has to be called by all of them, in the same order. What decides on
it, time, signals, files and whatever else a callback has on the host, is known to the first process alone:
before each program it tells the others which one comes. They have no files, and what is emitted is dropped
there.
"""

import contextlib
import signal
from collections.abc import Callable, Iterator
from enum import IntEnum

import equinox as eqx
import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from jaxtyping import Array

from lerax import devices, tree

from . import divided
from .state import AlgorithmState

PIECE = 2**26  # bytes that are gathered at a time: of these each device has all for a moment
OF_TRANSPORT = ("Gloo", "NCCL", "UNAVAILABLE", "onnection", "eartbeat")  # in XLA's errors of other processes


class Order(IntEnum):
    """What the first process tells the others to do: to iterate, to show a state, to end, or to leave."""

    LEAVE = 0
    ITERATE = 1
    SHOW = 2
    END = 3


class ProcessLostError(RuntimeError):
    """A program of several processes has failed, as it does when one of them has ended."""


def tell(mesh: Mesh | None, order: Order, number: int = 0) -> None:
    """Tells the other processes of a mesh what comes; before iterations, a signal of theirs is handled here.

    It is handled as if it had come, but for whoever counts how often: it comes to all processes as a rule.
    One that this process ignores, as background jobs of a shell do SIGINT, goes to the handler of SIGTERM.

    Args:
        mesh: The devices; where they are one process's, or None, there is nobody to be told.
        order: What comes.
        number: How many iterations.

    Raises:
        ProcessLostError: One of them has ended.
    """
    if not devices.is_shared(mesh):
        return
    received = _exchange(mesh, order, number, 0)[2]
    if received and order is Order.ITERATE:
        handlers = (signal.getsignal(number) for number in (received, signal.SIGTERM))
        if (handler := next(filter(callable, handlers), None)) is not None:
            handler(received, None)


def told(mesh: Mesh, received: Callable[[], int]) -> tuple[Order, int]:
    """What the first process says, as `tell` says it; waits until it does.

    Args:
        mesh: The devices.
        received: The number of a signal that has come to this process; 0 for none.

    Raises:
        ProcessLostError: Another process has ended.
    """
    return _exchange(mesh, 0, 0, received())[:2]


def _exchange(mesh: Mesh | None, *numbers: int) -> tuple[Order, int, int]:
    """The order and the number of the first process, and the signal of any other."""
    with among(mesh, programs=False):
        said = multihost_utils.process_allgather(np.array(numbers, np.int32))
    return Order(int(said[0, 0])), int(said[0, 1]), int(said[1:, 2].max())


@contextlib.contextmanager
def among(mesh: Mesh | None, *, programs: bool = True) -> Iterator[None]:
    """What is called here is computed by all processes of a mesh, see `divided.among`.

    Args:
        mesh: The devices; None for one.
        programs: Whether they are to be divided among the devices.

    Raises:
        ProcessLostError: One of several processes has ended.
    """
    try:
        with divided.among(mesh) if programs else contextlib.nullcontext():
            yield
    except (ValueError, RuntimeError) as error:  # the kinds that XLA has
        line = " ".join(str(error).split())[:200]
        if not (devices.is_shared(mesh) and any(word in line for word in OF_TRANSPORT)):
            raise
        raise ProcessLostError(f"another process of the training has ended ({line})") from error


def shown(state: AlgorithmState, mesh: Mesh | None) -> AlgorithmState:
    """A state for the host and its programs: all of it is within reach of the first process.

    Raises:
        ProcessLostError: One of several processes has ended.
    """
    tell(mesh, Order.SHOW)
    return gathered(state, mesh)


def gathered(state: AlgorithmState, mesh: Mesh | None) -> AlgorithmState:
    """The same, in each process; all of them have to call it."""
    state = divided.on_one(state)
    if not devices.is_shared(mesh):
        return state
    is_far = lambda leaf: eqx.is_array(leaf) and isinstance(leaf, jax.Array) and not leaf.is_fully_addressable
    far, near = eqx.partition(state, is_far)
    with among(mesh, programs=False):
        return eqx.combine(jax.tree.map(_gathered, tree.without_keys(far)), near)


def _gathered(array: Array) -> np.ndarray:
    """All of an array on the host, in pieces: no device has room for the parts of the others."""
    rows = max(1, PIECE * len(array) // array.nbytes) if array.nbytes > PIECE else len(array)
    pieces = (array if rows == len(array) else array[i : i + rows] for i in range(0, len(array), rows))
    found = [multihost_utils.process_allgather(piece, tiled=True) for piece in pieces]
    return found[0] if len(found) == 1 else np.concatenate(found)
