"""What a run that goes on begins with: its lock, and the newest state that was saved."""

from collections.abc import Callable
from typing import Any, NamedTuple

from lerax.algorithm import AlgorithmState
from lerax.checkpoint import CheckpointError, read_metadata
from lerax.checkpoints import Checkpoints
from lerax.errors import SettingError
from lerax.runs import CONFIG
from lerax.verify import changed_setting

from .continued import CHECKPOINTS, Continued
from .options import layout_of
from .parts import Parts
from .report import BadInput, Failure


class Begun(NamedTuple):
    """What a run goes on with, or a new one begins with.

    Attributes:
        lock: The lock on its directory; None for one that is not made yet.
        state: The newest state that was saved; None where none was.
        metadata: What is saved with it; nothing where none was.
    """

    lock: int | None
    state: AlgorithmState | None
    metadata: dict[str, Any]

    @property
    def seconds(self) -> float:
        """Seconds of training before it."""
        seconds = self.metadata.get("seconds")
        return float(seconds) if isinstance(seconds, int | float) else 0.0


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
    run.check_name()
    lock = run.hold()
    store = Checkpoints(run.path / CHECKPOINTS)
    if not store.all() and (not run.has_trained or run.died_unsaved):
        return Begun(lock, None, {})  # its process ended before the first one
    _check_config(run, store)
    try:
        state, metadata, damaged = store.load_newest(parts.template(callbacks))
    except CheckpointError as error:
        raise Failure("--resume", str(error)) from None
    if run.loss:
        warn(run.loss)
    for error in damaged:
        warn(f"{error}; an older checkpoint is gone on with")
    if gap := run.log_gap(int(state.iteration_count) * parts.algorithm.steps_per_iteration):
        warn(gap)
    _check_length(run, parts, state)
    _check_layout(run, parts, warn)
    return Begun(lock, state, metadata)


def _check_config(run: Continued, store: Checkpoints) -> None:
    """Refuses a config that no longer says what the newest checkpoint does, before arrays are compared."""
    for path in reversed(store.all()):
        try:
            metadata = read_metadata(path)
        except (CheckpointError, OSError):
            continue  # which is said where it is loaded
        if different := changed_setting(metadata.get("config"), run.config):
            name, then, now = different
            what = f"{run.path / CONFIG} says {name} = {now!r}, the checkpoint {then!r}"
            hint = "write that there, `lerax branch` makes a run of other settings"
            raise Failure("--resume", f"{what}; {hint}")
        return


def _check_length(run: Continued, parts: Parts, state: AlgorithmState) -> None:
    algorithm, steps = parts.algorithm, parts.plan.steps
    try:
        algorithm.check_length(state, steps)
    except SettingError as error:
        allowed = f"up to {int(state.total_iterations) * algorithm.steps_per_iteration:,}"
        line = run.branch_line("--steps", str(steps))
        wrong = f"{error.wrong} (got {steps:,}); allowed: {allowed}"
        raise BadInput(
            "--steps", f"{wrong}; `{line}` makes a new run of it, in which they fall anew"
        ) from None


def _check_layout(run: Continued, parts: Parts, warn: Callable[[str], None]) -> None:
    """Says where a run is divided otherwise than it was: sums are rounded otherwise then."""
    then, now = layout_of(run.config), parts.plan.layout
    if then != now:
        was, what = _said(**then), "no more bit for bit what it was"
        warn(f"{run.path.name} was divided among {was}, now {_said(**now)}: {what}")


def _said(processes: int = 1, devices: int = 1) -> str:
    """What a training is divided among, in words."""
    each = f"{devices} device{'s' * (devices != 1)}"
    return each if processes == 1 else f"{each} of each of {processes} processes"
