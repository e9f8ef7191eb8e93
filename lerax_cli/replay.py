"""`lerax replay`."""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lerax.archive import CheckpointError
from lerax.errors import NotFiniteWarning
from lerax.run import RunIsHeldError, hold

from . import continued, report, runtime
from .report import BadInput, Failure
from .runs import RunName
from .signals import Signals
from .train import Debug, Trust
from .values import Out
from .verify import Json

if TYPE_CHECKING:
    from lerax.replay import Found

    from .again import Again

KEPT = "diverged"  # the folder in that of the checkpoints; who goes on with a run does not look there
MORE = 3  # iterations: operation by operation numbers are rounded otherwise, and may become infinite later


def replay(
    run: RunName,
    trust: Trust = None,
    out: Out = "logs",
    debug: Debug = False,
    json: Json = False,
) -> int:
    """Find the operation that made the first number that is not finite in a run that has diverged."""
    warned = report.Warnings()
    warned.install(NotFiniteWarning)
    found = continued.read(run, out, "RUN")
    bad, status = found.run.facts.get("diverged_at_iteration"), found.run.status
    if status != "diverged" or not isinstance(bad, int):
        what = f"{found.path.name} has not diverged (got status {status!r}); there is nothing to find"
        raise BadInput(
            "RUN", f"{what}: `lerax verify {found.path.name} --replay 10` trains a part of it again"
        )
    plan = continued.plan_of(found, trust or [], warned.say)
    with Signals(quiet=True) as signals:
        signals.hold()
        runtime.prepare(continued.device_of(found), warned.say, devices=plan.devices)
        from .again import Again  # it imports JAX

        signals.release()
        kept, cause = _search(Again(found, plan, signals), found.path, bad, warned.say)
    told = {"run": str(found.path), "diverged_at_iteration": bad, "state": str(kept)} | _tell(cause)
    if json:
        report.result_json(told)
    else:
        report.result("\n".join(f"{name:<10} {text}" for name, text in _lines(told)))
    return 0


def _search(again: "Again", path: Path, bad: int, warn: Any) -> "tuple[Path, Found]":
    """Where the state before an iteration is saved, and what in that was not finite first."""
    from lerax.replay import search

    try:
        state, metadata, damaged = again.store.load_newest(again.template)
        for error in damaged:
            warn(f"{error}; an older checkpoint is begun with")
        state = again.train(state, bad - 1)
        kept = _keep(again, path, state, metadata)
    except (RunIsHeldError, CheckpointError) as error:
        raise Failure("RUN", str(error)) from None
    found = None
    for _ in range(MORE):
        found, state = search(again.algorithm, state) if found is None else (found, state)
    if found is None:
        what = f"iteration {bad} is finite where it is made operation by operation, which rounds otherwise"
        raise Failure("RUN", f"{what}; the state before it is {kept}")
    if not found.source.first.line:  # it was there before
        found = _earlier(again, found.source.first.operation) or found
    return kept, found


def _keep(again: "Again", path: Path, state: Any, metadata: dict[str, Any]) -> Path:
    """Saves a state beside the checkpoints."""
    from lerax import checkpoint

    lock = hold(path)
    try:
        iteration = int(state.iteration_count)
        about = {
            "steps": iteration * again.algorithm.steps_per_iteration,
            "iteration": iteration,
            "score": None,
        }
        kept = again.store.folder / KEPT / f"{about['steps']:012d}.lerax"
        kept.parent.mkdir(exist_ok=True)
        checkpoint.save(kept, state, metadata | about)
    finally:
        os.close(lock)
    return kept


def _earlier(again: "Again", part: str) -> "Found | None":
    """What made a part of the learner not finite, before it did harm; None where all is of later."""
    import numpy as np

    from lerax import checkpoint
    from lerax.replay import StopOnPart, part_of, search

    finite = lambda state: (value := part_of(state, part)) is not None and bool(np.isfinite(value).all())
    for saved in reversed(again.store.all()):
        if finite(state := checkpoint.load(saved, again.template)):
            first = again.train(state, again.last, StopOnPart(part))
            before = again.train(state, int(first.iteration_count) - 1)
            return search(again.algorithm, before, part)[0]
    return None


def _tell(found: "Found") -> dict[str, Any]:
    """What was found, as `--json` prints it: the operations from the first one to the last."""
    chain = [dataclasses.asdict(dataclasses.replace(one, cause=None)) for one in found.source.chain]
    for one in chain:
        del one["cause"], one["number"]
    told = {"iteration": found.iteration, "became": found.became, "operations": chain}
    return told | {"time_step": found.source.first.step, "env": found.env, "given": found.given}


def _lines(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The same for people to read."""
    first, *others = told["operations"]
    yield "iteration", f"{told['iteration']:,}"
    yield "first", _made(first)
    for i, loop in enumerate(first["loops"]):
        turn = f"{loop['step'] + 1}" + (f" of {loop['length']}" if loop["length"] else "")
        if i == 0 and told["time_step"] is not None:
            env = "" if told["env"] is None else f", environment {told['env'] + 1}"
            yield "in", f"time step {turn} of the rollout{env}"
        else:
            yield "in", f"turn {turn} of the loop at {loop['line']}"
    for text in first["inputs"]:
        yield "of", text
    if told["given"]:
        yield "given by", f"the environment: its {told['given'].removeprefix('next_')}"
    for later in others:
        yield "then", _made(later)
    yield "became", f"{', '.join(told['became'])}: not finite"
    yield "state", f"{told['state']}: what iteration {told['diverged_at_iteration']:,} began with"


def _made(source: dict[str, Any]) -> str:
    where = f" at {list(source['element'])} of {list(source['shape'])}" if source["shape"] else ""
    if not source["line"]:
        return f"{source['operation']} was {source['kind']}{where} before"
    return f"{source['operation']} made {source['kind']}{where}, {source['line']}"
