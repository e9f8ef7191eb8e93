"""What is planned is trained, and how that ended is said."""

import contextlib
import functools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lerax import cores
from lerax.errors import NotFiniteWarning

from . import continued, distributed, naming, options, report, runtime
from .distributed import Place
from .progress import dashboard
from .signals import Signals
from .values import ALL


def carry_out(
    plan: options.TrainingPlan,
    folder: Path,
    name: str | None,
    warned: report.Warnings,
    began: float,
    going_on: continued.Continued | None,
    *,
    seeds: Sequence[int] = (),
    group: Mapping[int, continued.Continued] = MappingProxyType({}),
    checked: bool = False,
    device: str = "auto",
    profile: bool = False,
    progress: str,
    time_limit: float | None,
    strict: bool,
    json: bool,
    quiet: bool,
    place: Place | None = None,
) -> int:
    """Trains what is planned and says how that ended; returns the exit code.

    Args:
        plan: What is trained.
        folder: The folder that holds the runs.
        name: Name of the run; None for a generated one.
        warned: The warnings.
        began: When the command began, of `time.monotonic`.
        going_on: The run that goes on, or that a new one branches off from.
        seeds: Those that are trained side by side; none for one run.
        group: The runs of these that go on, by seed.
        checked: Whether nothing of it can be refused any more.
        device: What to train on.
        profile: Whether some iterations are traced; not of several seeds.
        progress: How to show progress.
        time_limit: Seconds after which it saves and ends.
        strict: Whether any warning makes the exit code 1.
        json: Whether the outcome is printed as JSON.
        quiet: Whether nothing but warnings and errors is shown.
        place: The place of this process among several that train together; None where it is alone.
    """
    quiet = quiet or not (place is None or place.leads)  # the first process speaks for all
    if plan.nan == "off":
        warned.install(NotFiniteWarning)
    facts = {"algo": plan.algorithm.name, "env": plan.env.name, "seed": plan.seed} if checked else None
    algorithm, env = (naming.written(entry.name) for entry in (plan.algorithm, plan.env))
    title = f"{algorithm if plan.algorithm.source else algorithm.upper()} on {env}"
    shown = dashboard("off" if quiet else progress, title, facts, seeds)
    sharing = cores.divided(1 if place is None else place.sharing)
    with Signals(quiet=quiet) as signals, shown as console, sharing:
        if console is not None:
            signals.at_once = console.give_back
            signals.rest_with(console.rest)
        signals.hold()  # compiled modules crash where an exception ends their import
        from lerax import provenance

        provenance.begin()  # while JAX is imported
        join: Any = lambda: None
        if place is not None:
            join = functools.partial(distributed.join, place, plan.devices, lambda: signals.at_once())
        found = runtime.prepare(device, warned.say, devices=plan.devices, join=join)
        if plan.devices == ALL:
            plan = replace(plan, devices=len(runtime.find_devices(device)))
        count = distributed.count()
        if plan.processes not in (1, count) and (going_on is None or going_on.at):
            warned.say(
                f"the config is of {plan.processes} processes (here: {count}): not bit for bit the same"
            )
        plan = replace(plan, processes=count)
        if device == "gpu" and options.simulate_on_gpu(plan) and not quiet:
            native = "--set env.physics=native leaves it to MuJoCo's engine on the host"
            report.say(f"lerax: the physics of {env} is computed on the GPU, by MJX; {native}")
        from . import joining
        from .job import Job  # it imports JAX, which takes seconds: what is refused is refused by now
        from .parts import build

        until = began + time_limit if time_limit is not None else None
        stdout = report.without_greetings(place is not None)
        with contextlib.redirect_stdout(sys.stderr), stdout:  # what an environment prints is no result
            make: Any = functools.partial(Job, profile=profile, placed="" if place is None else place.options)
            trainings = 1
            if seeds:
                from .side_by_side import SideBySide, to_fit

                make = functools.partial(SideBySide, seeds=seeds, group=group)
                trainings = to_fit(seeds, found)
            parts = build(plan, trainings)
            if place is not None:
                parts = joining.agreed(parts, 0 if going_on is None else going_on.run.saved_steps)
            job = make(parts, folder, name, found, console, signals, warned, began, going_on, until)
            alone = [going_on] if going_on is not None and not going_on.at else []
            ours = list(group.values()) or alone
            whole = len(ours) == len(seeds or alone) > 0
            complete = whole and all(run.is_complete(plan.steps) for run in ours)
            if place is not None and not place.leads:
                if not complete:
                    joining.follow(parts, going_on, signals)
                return 0
            if not complete and (why := parts.algorithm.idle(plan.steps)):
                warned.say(why)
            outcome = {} if complete else job.run()
            if not complete and place is not None:
                joining.let_go(parts)
        if going_on is not None and not outcome:
            path = going_on.folder if group else going_on.path
            known = job.known() if group else {"run": str(path)} | going_on.run.facts
            if not quiet:
                report.say(_complete(going_on, path, job.parts.algorithm.falling()))
            report.result_json(known) if json else report.result(str(path))
            return 0
    job.tell_losses()
    if json:
        report.result_json(outcome)
    else:
        if not quiet:
            job.summarize(outcome)
        report.result(outcome["run"])
    if outcome["status"] == "interrupted" and signals.received is not None:
        return 128 + signals.received
    if outcome["status"] in ("diverged", "failed") or warned.lost:
        return 1
    return 1 if strict and warned.count else 0


def _complete(run: continued.Continued, path: Path, falling: list[str]) -> str:
    """That there is nothing to go on with, and what trains on where its schedules allow it."""
    further = "--steps +N trains it further"
    if falling:
        line = run.branch_line()
        further = f"{' and '.join(falling)} came to an end with it: `{line}` makes a new run of it"
    return f"{path.name} is complete after {run.run.steps:,} steps; {further}"
