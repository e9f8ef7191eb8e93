"""`lerax resume`."""

from . import continued
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
    named = continued.trusted(continued.read(run, out), trust or [])
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
