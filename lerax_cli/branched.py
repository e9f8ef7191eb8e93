"""What a run that branches off from another one begins with, in memory and on the disk."""

import contextlib
import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomli_w
from jax import numpy as jnp

from lerax import branch, checkpoint
from lerax.archive import SEGMENTS, CheckpointError, Segments
from lerax.archive.folder import path_at, segments_of, steps_of
from lerax.files import parse_toml
from lerax.runs import CONFIG

from .begun import Begun
from .continued import CHECKPOINTS, Continued
from .declared import TABLES, setting_name
from .parts import Parts, build
from .report import BadInput, Failure
from .values import Given, as_text


def branch_off(run: Continued, at: Path, parts: Parts, callbacks: list[Any]) -> Begun:
    """What a new run begins with; nothing is written.

    Args:
        run: The run that it branches off from.
        at: The checkpoint.
        parts: What the new one is made of.
        callbacks: Of the kinds that the old one has trained with.

    Raises:
        BadInput: The checkpoint does not fit the settings.
        Failure: It cannot be read.
    """
    algorithm, steps = parts.algorithm, steps_of(at)
    try:
        saved, metadata = checkpoint.load_with_metadata(at, parts.template(callbacks))
    except checkpoint.MisfitError as error:
        what = " and ".join(_unfit(at, parts, callbacks)) or str(error)
        anew = shlex.join(["lerax", "train", "--config", str(run.path / CONFIG), "--set", "..."])
        hint = f"a branch keeps what the saved arrays depend on: leave it out, or begin anew with `{anew}`"
        raise BadInput("--set", f"{what}; {hint}") from None
    except (CheckpointError, OSError) as error:
        raise Failure("--at", f"{error}; lerax runs show {run.path} lists all checkpoints") from None
    iteration, rest = divmod(steps, algorithm.steps_per_iteration)
    if rest:
        each = f"{algorithm.steps_per_iteration:,} steps each"
        raise BadInput("--set", f"the {steps:,} steps of {at.name} are no whole iterations of {each}")
    fresh = parts.initial_state()[0]
    total = jnp.full_like(fresh.total_iterations, algorithm.num_iterations(parts.plan.steps))
    fresh = replace(fresh, total_iterations=total)
    state = branch.branch_off(saved, fresh, iteration=iteration)
    return Begun(None, state, metadata | {"iteration": iteration})


def _unfit(at: Path, parts: Parts, callbacks: list[Any]) -> list[str]:
    """The settings that a checkpoint does not fit: of those that it was not saved with."""
    saved, given = checkpoint.read_metadata(at).get("config"), parts.plan.settings
    now = parse_toml(tomli_w.dumps(parts.config()))
    if not isinstance(saved, dict):
        return []
    then = {
        (table, name): saved[table][name]
        for table in TABLES
        for name, value in now[table].items()
        if name in saved.get(table, {}) and saved[table][name] != value
    }

    def fits(changed: tuple[str, str]) -> bool:
        settings = {table: dict(values) for table, values in given.items()}
        for (table, name), value in then.items():
            if (table, name) != changed:
                settings[table][name] = Given(value, str(at), name)
        try:
            checkpoint.load(at, build(replace(parts.plan, settings=settings)).template(callbacks))
        except (Failure, CheckpointError):
            return False
        return True

    return [
        f"{setting_name(table, name)} = {as_text(now[table][name])} does not fit (saved: {as_text(value)})"
        for (table, name), value in then.items()
        if not fits((table, name))
    ]


def fill(path: Path, run: Continued, begun: Begun, about: dict[str, Any]) -> dict[str, Any]:
    """Gives a new directory the logs of the old run up to the checkpoint, and that as its first.

    Args:
        path: The directory.
        run: The old run.
        begun: What the new one begins with.
        about: What its checkpoints say beside the steps.

    Returns:
        What `run.json` says of where it comes from.

    Raises:
        OSError: Something cannot be written.
    """
    assert run.at is not None
    steps, folder = steps_of(run.at), path / CHECKPOINTS
    branch.copy_logs(run.path, path, steps)
    folder.mkdir()
    _link_segments(run.at, folder / SEGMENTS)
    segments = Segments(folder / SEGMENTS)
    checkpoint.save(path_at(folder, steps), begun.state, begun.metadata | about, segments=segments)
    return {"run": run.run.name, "path": str(run.path.resolve()), "step": steps}


def _link_segments(checkpoint: Path, folder: Path) -> None:
    """Lets two runs share what they have in common of the disk, where it can do that."""
    with contextlib.suppress(OSError, CheckpointError):  # what is not there is written
        for name in segments_of([checkpoint]):
            folder.mkdir(exist_ok=True)
            os.link(checkpoint.parent / SEGMENTS / name, folder / name)
