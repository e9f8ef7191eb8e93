"""The directory of a run, made for it or held: from then on it says how the run ends."""

import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lerax import provenance
from lerax.run import RunDirectory, RunIsHeldError, claim, generated_name, joined_name

from .begun import Begun
from .branched import fill
from .continued import Continued
from .parts import Parts
from .report import BadInput, Failure
from .values import MOST_SEEDS

LANE = "lane"  # in run.json and checkpoints, where seeds were lanes of one program: which one of how many
BESIDE_POLICY = 2**14  # bytes that the rest of a run's directory takes before training


def make(
    parts: Parts,
    out: Path,
    name: str | None,
    about: dict[str, Any],
    going_on: Continued | None,
    begun: Begun | None,
) -> RunDirectory:
    """The directory of a run, with its config and room for its policy.

    Args:
        parts: What the run is made of.
        out: The folder that holds the runs.
        name: Name of the run; None for a generated one.
        about: What its checkpoints say beside the steps.
        going_on: The run that goes on, or that a new one branches off from.
        begun: What it begins with.

    Raises:
        BadInput: The name is taken.
        Failure: It cannot be written.
    """
    plan, made = parts.plan, None
    facts = {
        "argv": sys.argv[1:],
        "env": plan.env.name,
        "algo": plan.algorithm.name,
        "seed": plan.seed,
        "total_steps": parts.total_steps,
        **{name: about[name] for name in ("device", "versions", LANE) if name in about},
    } | provenance.facts()
    try:
        if going_on is None or begun is None or begun.lock is None:
            path = made = new(out, name, lambda: _wanted(parts, going_on))
            if going_on is not None and begun is not None:
                facts["branched_from"] = fill(path, going_on, begun, about)
            directory = RunDirectory(path, **facts)
        else:
            directory = RunDirectory(going_on.path, lock=begun.lock, **facts)
        directory.write_config(parts.config())
        directory.reserve(parts.policy_bytes)
    except RunIsHeldError as error:  # another process took it for left behind
        raise Failure("--name", str(error)) from None
    except OSError as error:
        what = f"cannot be written (got {str(out)!r}): {error.strerror}"
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)
            free = shutil.disk_usage(out).free
            what += (
                f"; policy and run.json take {parts.policy_bytes + BESIDE_POLICY:,} bytes, {free:,} are free"
            )
        raise Failure("--out", what) from None
    return directory


def lane_of(facts: Mapping[str, Any]) -> tuple[int, int] | None:
    """Which lane of how many a training is, as a file says it; None where it is by itself."""
    match facts.get(LANE):
        case [int(number), int(width)] if 0 <= number < width <= MOST_SEEDS:
            return number, width
    return None


def new(out: Path, name: str | None, otherwise: Callable[[], str]) -> Path:
    """A new directory in a folder.

    Args:
        out: The folder.
        name: Its name.
        otherwise: What it is called where it has none, if that is not taken.

    Raises:
        BadInput: The name is taken.
        OSError: It cannot be made.
    """
    path = out / claim(name or otherwise(), [out])
    if name is not None and path.name != name:
        path.rmdir()  # somebody took the name since it was checked
        raise BadInput("--name", f"a run of that name exists (got {name!r}); choose another")
    return path


def usual_name(parts: Parts) -> str:
    """What a training without a name is called."""
    return generated_name(parts.algorithm.name, parts.policy_form.name, parts.env.name)


def _wanted(parts: Parts, source: Continued | None) -> str:
    """What a run without a name is called, where that is not taken."""
    if source is not None:
        return joined_name(source.run.name, after="-branch")
    return usual_name(parts)
