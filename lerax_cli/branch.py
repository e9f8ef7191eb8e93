"""`lerax branch`."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from lerax.archive import Archive, CheckpointError
from lerax.archive.folder import best_of, files_in, path_at, steps_of

from . import continued, options, report, words
from .carry_out import carry_out
from .continued import CHECKPOINTS, Continued
from .report import BadInput, Failure
from .train import (
    Backend,
    Debug,
    Json,
    Progress,
    Quiet,
    Run,
    SaveEvery,
    Set,
    Strict,
    TimeLimit,
    Trust,
)
from .values import KEYS, SHORT, More, check_quiet, option, read_steps, read_value

NEWEST, BEST = "newest", "best"
OWN = ("seed", "steps", "backend", "save_every")  # keys that have an option here


def branch(
    run: Run,
    at: Annotated[
        str,
        typer.Option(
            metavar="STEP|best|newest",
            help="The checkpoint to begin with: that of a step, the best, or the newest.",
            autocompletion=words.checkpoints,
        ),
    ] = NEWEST,
    set_: Set = None,
    steps: Annotated[
        Any,
        typer.Option(
            metavar="N",
            help="Environment steps, those up to the checkpoint included; +N for so many beyond it. "
            "The run's, where that is not complete.",
            parser=read_steps,
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the new run; RUN-branch.")] = None,
    seed: Annotated[int | None, option(KEYS["seed"], "Seed of all randomness; the run's.", "S")] = None,
    backend: Backend = None,
    trust: Trust = None,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="Folder that holds the runs and takes the new one; logs, or where RUN lies."
        ),
    ] = None,
    progress: Progress = "auto",
    save_every: SaveEvery = None,
    time_limit: TimeLimit = None,
    strict: Strict = False,
    debug: Debug = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Train a new run from a checkpoint of another, with other settings; prints the path of the new run."""
    warned = report.Warnings()
    warned.install()
    check_quiet(quiet, progress)
    began = time.monotonic()
    source = continued.read(run, out or "logs", "RUN")
    if source.loss:
        warned.say(source.loss)
    source = source._replace(at=find_checkpoint(source.path, at))
    for table, key, _ in set_ or []:
        _check_own(table, key)
    named = continued.trusted(source, trust or [])
    plan = options.plan(
        named.get("env"),
        algo=named.get("algorithm"),
        policy=named.get("policy"),
        steps=None,
        seed=seed,
        backends=backend,
        preset=None,
        config=None,
        settings=set_ or [],
        num_envs=None,
        nan=None,
        video_interval=None,
        warn=warned.say,
        save_every=save_every,
        going_on=source.layer,
    )
    plan = replace(plan, steps=_length(source, steps), steps_from="--steps")
    return carry_out(
        plan,
        options.check_place(out or str(source.runs_folder), name),
        name,
        warned,
        began,
        source,
        progress=progress,
        time_limit=time_limit,
        strict=strict,
        json=json,
        quiet=quiet,
    )


def find_checkpoint(run: Path, at: str) -> Path:
    """A checkpoint of a run: that of a step, the best, or the newest.

    Raises:
        BadInput: There is none; the message names those that there are.
    """
    folder = run / CHECKPOINTS
    files = files_in(folder)
    if not files:
        raise BadInput("--at", f"{run} has no checkpoint (got {at!r}); `lerax train` begins a run")
    found = {NEWEST: files[-1], BEST: best_of(files)}
    there = ", ".join([*(str(steps_of(path)) for path in files), *(word for word in found if found[word])])
    if at in found:
        path, wrong = found[at], "no checkpoint has a score"
        if path is None and (problem := _whole(files)):
            raise Failure("--at", f"no checkpoint can be read (got {at!r}): {problem}")
    else:
        path, wrong = path_at(folder, _step(at)), f"{run} has no such checkpoint"
    if path is None or path not in files:
        raise BadInput("--at", f"{wrong} (got {at!r}); there are: {there}")
    return path


def _whole(files: list[Path]) -> str:
    """What is wrong with the newest checkpoint, where none can be read; else ""."""
    problems = []
    for path in files:
        try:
            with Archive(path):
                pass
        except (OSError, CheckpointError) as error:
            problems.append(str(error))
    return problems[-1] if len(problems) == len(files) else ""


def _step(text: str) -> int:
    """The whole number in a text, written as steps are; -1 for none."""
    value = read_value(text)
    return int(value) if type(value) in (int, float) and value >= 0 and value % 1 == 0 else -1


def _check_own(table: str, key: str) -> None:
    """Refuses to set what is no setting: a branch has it of its run, or there is an option for it."""
    if key == "name" or (table == "algorithm" and key in SHORT):
        raise BadInput("--set", f"a branch keeps its run's environment, algorithm and policy (got {key!r})")
    if table == "algorithm" and key in KEYS:
        instead = f"it is the option --{key.replace('_', '-')}" if key in OWN else "a branch keeps its run's"
        raise BadInput("--set", f"no setting of the algorithm (got {key!r}); {instead}")


def _length(source: Continued, steps: int | None) -> int:
    """Environment steps of the whole training.

    Raises:
        BadInput: They are not said where they have to be, or have come to their end before the checkpoint.
    """
    assert source.at is not None
    done, whole = steps_of(source.at), int(source.layer.keys["steps"])
    if steps is None:
        if source.is_complete(whole):
            raise BadInput("--steps", f"missing; {source.path.name} is complete: give N, or +N for more")
        steps = whole
    total = done + steps if isinstance(steps, More) else steps
    if total <= done:
        raise BadInput("--steps", f"not beyond the checkpoint at {done:,} (got {steps:,}); give more, or +N")
    return total
