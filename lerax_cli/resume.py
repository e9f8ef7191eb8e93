"""`lerax resume`."""

from typing import Annotated

import typer

from . import continued, words
from .train import (
    Backend,
    Debug,
    Json,
    Out,
    Progress,
    Quiet,
    SaveEvery,
    Steps,
    Strict,
    TimeLimit,
    train,
)


def resume(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="A run: its path, its name or how that begins, or `latest`.",
            autocompletion=words.runs,
            show_default=False,
        ),
    ],
    steps: Steps = None,
    backend: Backend = None,
    trust: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODULE:CLASS",
            help="Import a class of your own that the run names; may be repeated.",
        ),
    ] = None,
    out: Out = "logs",
    progress: Progress = "auto",
    save_every: SaveEvery = None,
    time_limit: TimeLimit = None,
    strict: Strict = False,
    debug: Debug = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Go on with a run where its newest checkpoint is; prints the path of the run on standard output."""
    named = continued.trusted(run, out, trust or [])
    return train(
        env=named.get("env"),
        algo=named.get("algorithm"),
        policy=named.get("policy"),
        steps=steps,
        backend=backend,
        out=out,
        progress=progress,
        resume=run,
        save_every=save_every,
        time_limit=time_limit,
        strict=strict,
        debug=debug,
        json=json,
        quiet=quiet,
    )
