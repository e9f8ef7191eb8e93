"""`lerax resume`."""

import functools

from . import continued
from .report import BadInput, Failure
from .train import (
    Backend,
    Debug,
    Json,
    Out,
    Progress,
    Quiet,
    Run,
    SaveEvery,
    Steps,
    Strict,
    TimeLimit,
    Trust,
    train,
)


def resume(
    run: Run,
    steps: Steps = None,
    backend: Backend = None,
    trust: Trust = None,
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
    if run == continued.AUTO:
        line = "lerax train ENV --name NAME --resume auto"
        raise BadInput("RUN", f"auto may have to begin a run, and has to know which one; `{line}` says it")
    named = continued.trusted(continued.read(run, out, "RUN"), trust or [])
    begin = functools.partial(
        train,
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
    try:
        return begin()
    except Failure as error:
        error.where = "RUN" if error.where == "--resume" else error.where
        raise
