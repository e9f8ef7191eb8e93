"""What a run that goes on begins with: its lock, and the newest state that was saved."""

from collections.abc import Callable
from typing import Any, NamedTuple

from lerax.algorithm import AlgorithmState
from lerax.checkpoint import CheckpointError
from lerax.checkpoints import Checkpoints
from lerax.run import RunIsHeldError, hold

from .continued import Continued
from .parts import Parts
from .report import BadInput, Failure

CHECKPOINTS = "checkpoints"  # the folder in a run's directory


class Begun(NamedTuple):
    """What a run goes on with.

    Attributes:
        lock: The lock on its directory.
        state: The newest state that was saved; None where none was.
        seconds: Seconds of training before it.
    """

    lock: int
    state: AlgorithmState | None
    seconds: float


def begin(run: Continued, parts: Parts, callbacks: list[Any], warn: Callable[[str], None]) -> Begun:
    """What a run goes on with; nothing of it is changed.

    Args:
        run: The run.
        parts: What it is made of.
        callbacks: Of the kinds that it has trained with.
        warn: Takes a line of warning.

    Raises:
        BadInput: It cannot have so many steps.
        Failure: It is held by another process, or has no checkpoint that can be read.
    """
    try:
        lock = hold(run.path)
    except RunIsHeldError as error:
        raise Failure("--resume", f"{error}; end that one first, or wait for it") from None
    except OSError as error:
        raise Failure("--resume", f"{run.path} cannot be written ({error.strerror})") from None
    store = Checkpoints(run.path / CHECKPOINTS)
    if not store.all() and not run.has_trained:
        return Begun(lock, None, 0.0)  # its process ended before the first one
    try:
        state, metadata, damaged = store.load_newest(parts.template(callbacks))
    except CheckpointError as error:
        raise Failure("--resume", str(error)) from None
    for error in damaged:
        warn(f"{error}; an older checkpoint is gone on with")
    _check_length(parts, int(state.total_iterations))
    return Begun(lock, state, float(metadata["seconds"]))


def _check_length(parts: Parts, whole: int) -> None:
    algorithm, plan = parts.algorithm, parts.plan
    if 0 < whole < algorithm.num_iterations(plan.steps) and (falling := algorithm.falling()):
        end = f"the end of the training, where {' and '.join(falling)} reaches 0"
        allowed = f"up to {whole * algorithm.steps_per_iteration:,}"
        raise BadInput("--steps", f"beyond {end} (got {plan.steps:,}); allowed: {allowed}, or lerax branch")
