"""`lerax resume`."""

import functools
from typing import Annotated

import typer

from . import continued, words
from .report import BadInput, Failure
from .train import (
    Backend,
    Coordinator,
    Debug,
    Devices,
    Distributed,
    Json,
    NumProcesses,
    Out,
    ProcessId,
    Profile,
    Progress,
    Quiet,
    SaveEvery,
    Steps,
    Strict,
    TimeLimit,
    Trust,
    train,
)


def resume(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="A run, or a training of several seeds: its path, its name or how that begins, or `latest`.",
            autocompletion=words.runs_and_groups,
            show_default=False,
        ),
    ],
    steps: Steps = None,
    backend: Backend = None,
    devices: Devices = None,
    trust: Trust = None,
    out: Out = "logs",
    progress: Progress = "auto",
    save_every: SaveEvery = None,
    time_limit: TimeLimit = None,
    profile: Profile = False,
    distributed: Distributed = False,
    coordinator: Coordinator = None,
    num_processes: NumProcesses = None,
    process_id: ProcessId = None,
    strict: Strict = False,
    debug: Debug = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Go on with a run where its newest checkpoint is; prints the path of the run on standard output."""
    if run == continued.AUTO:
        line = "lerax train ENV --name NAME --resume auto"
        raise BadInput("RUN", f"auto may have to begin a run, and has to know which one; `{line}` says it")
    group = continued.find_group(run, out, None)
    named = continued.trusted(
        next(filter(None, group.values()), None) or continued.read(run, out, "RUN"), trust or []
    )
    begin = functools.partial(
        train,
        env=named.get("env"),
        algo=named.get("algorithm"),
        policy=named.get("policy"),
        steps=steps,
        backend=backend,
        devices=devices,
        out=out,
        progress=progress,
        resume=run,
        save_every=save_every,
        time_limit=time_limit,
        profile=profile,
        distributed=distributed,
        coordinator=coordinator,
        num_processes=num_processes,
        process_id=process_id,
        strict=strict,
        debug=debug,
        json=json,
        quiet=quiet,
    )
    try:
        return begin()
    except Failure as error:
        error.where = "RUN" if error.where == "--resume" else error.where
        raise
