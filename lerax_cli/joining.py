"""What the processes of one training do together: they agree on it, and the others follow the first."""

import contextlib
import json
import zlib
from dataclasses import replace

import numpy as np
from jax.experimental import multihost_utils

from lerax.algorithm import together
from lerax.algorithm.together import Order, ProcessLostError
from lerax.backend import MemoryBackend
from lerax.callback import CheckpointCallback, LoggingCallback
from lerax.checkpoint import CheckpointError
from lerax.checkpoints import Checkpoints

from .continued import CHECKPOINTS, Continued
from .control import TimeLimit, watching
from .distributed import GO_ON, part
from .parts import Parts
from .report import Failure
from .signals import Signals


def agreed(parts: Parts, step: int) -> Parts:
    """What is trained, with the first process's seed, which may be random.

    Args:
        parts: What this process would train.
        step: The step of the checkpoint that it would begin with; 0 for none.

    Raises:
        Failure: Others would train something else, or have ended.
    """
    config = parts.config() | {"seed": 0}
    mine = [parts.plan.seed, zlib.crc32(json.dumps(config, sort_keys=True).encode()), step]
    try:
        with together.among(parts.mesh, programs=False):
            said = multihost_utils.process_allgather(np.array(mine, np.int64).view(np.uint32))
    except ProcessLostError as error:
        raise Failure("--distributed", f"{error}; {GO_ON}") from error
    said = said.view(np.int64)
    for what, column in (("settings", 1), ("checkpoints", 2)):
        if (others := np.flatnonzero(said[:, column] != said[0, column])).size:
            hint = "start all with the same options, in the same folder"
            raise Failure("--distributed", f"process {others[0]} has other {what} than the first; {hint}")
    return replace(parts, plan=replace(parts.plan, seed=int(said[0, 0])))


def follow(parts: Parts, going_on: Continued | None, signals: Signals) -> None:
    """Trains along with the first process, until that lets the others go.

    Args:
        parts: What is trained.
        going_on: The run that goes on.
        signals: The signals; one that comes is passed on.

    Raises:
        Failure: Another process has ended, or there is no checkpoint that can be read.
    """
    control = watching(parts.plan.nan, signals, TimeLimit())
    callbacks = [LoggingCallback(MemoryBackend()), *control, CheckpointCallback(".")]
    store = None if going_on is None else Checkpoints(going_on.path / CHECKPOINTS)
    signals.raising = False
    try:
        if store is None or not store.all():
            state = parts.initial_state()[0]
        else:
            state = store.load_newest(parts.template(callbacks))[0]
        parts.algorithm.follow(
            state, parts.plan.steps, callback=callbacks, received=lambda: signals.received or 0
        )
        part()
    except CheckpointError as error:
        raise Failure("--resume", str(error)) from None
    except ProcessLostError as error:
        raise Failure("--distributed", f"{error}; {GO_ON}") from error


def let_go(parts: Parts) -> None:
    """Lets the other processes end, where the first has done all."""
    with contextlib.suppress(ProcessLostError):  # one that has ended already
        together.tell(parts.mesh, Order.LEAVE)
        part()
