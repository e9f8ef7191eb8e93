"""`lerax train`."""

import contextlib
import functools
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from lerax.errors import NotFiniteWarning
from lerax.settings import Limits, Setting

from . import continued, naming, options, report, runtime, words
from .progress import dashboard
from .signals import Signals
from .summary import summarize
from .values import (
    KEYS,
    Out,
    check_quiet,
    option,
    read_setting,
    read_steps,
    read_time,
    read_value,
    read_wrap,
)

PROGRESS = Setting("progress", "auto", "", Limits(choices=("auto", "full", "plain", "off")))
DEVICE = Setting("device", "auto", "", Limits(choices=("auto", "cpu", "gpu")))
SURE_STEPS = range(
    100_000, 2**31
)  # more than an iteration of any preset has, and no more than can be counted


Run = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run: its path, its name or how that begins, or `latest`.",
        autocompletion=words.runs,
        show_default=False,
    ),
]
Progress = Annotated[str, option(PROGRESS, "How to show progress.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
Steps = Annotated[
    Any,
    typer.Option(
        metavar="N",
        help="Environment steps; the preset's, else 1,000,000. +N for more of a run that goes on.",
        parser=read_steps,
    ),
]
Backend = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Logging backend, see `lerax list-backends`; may be repeated. `none` for none.",
        autocompletion=words.backends,
    ),
]
Set = Annotated[
    list[Any] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A setting, such as gamma=0.98, policy.activation=relu or env.max_episode_steps=200, see "
        "`lerax list-algos NAME` and `list-envs ENV`; may be repeated.",
        parser=read_setting,
        autocompletion=words.set_option,
    ),
]
Name = Annotated[str | None, typer.Option(metavar="NAME", help="Name of the run; generated.")]
Trust = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MODULE:CLASS",
        help="A class of your own that the run's files name and that may be imported, also FILE.py:CLASS; "
        "may be repeated.",
    ),
]
SaveEvery = Annotated[
    str | None,
    typer.Option(metavar="N|5%|10m", help="Save the whole state every N steps, 5% or 10m; 10m."),
]
TimeLimit = Annotated[
    Any,
    typer.Option(
        metavar="TIME",
        help="Save and end after so long, such as 2h or 90m; --resume goes on.",
        parser=functools.partial(read_time, "--time-limit"),
    ),
]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 1 if there was any warning.")]
Json = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show nothing but warnings and errors.")]


EnvPackage = Annotated[
    str | None,
    typer.Option(metavar="PACKAGE", help="Package that registers ENV, which is gymnasium:ID."),
]


def train(
    env: Annotated[
        str | None,
        typer.Argument(
            help="Environment, see `lerax list-envs`, or a class of your own: MODULE:CLASS or FILE.py:CLASS.",
            autocompletion=words.envs,
            show_default=False,
        ),
    ] = None,
    env_package: EnvPackage = None,
    algo: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Algorithm, see `lerax list-algos --env ENV`; that whose preset reaches its score soonest, "
            "else ppo.",
            autocompletion=words.algorithms,
        ),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Policy to train, see `lerax list-policies`; the algorithm's.",
            autocompletion=words.trainable,
        ),
    ] = None,
    steps: Steps = None,
    seed: Annotated[int | None, option(KEYS["seed"], "Seed of all randomness; random.", "S")] = None,
    backend: Backend = None,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="auto|none|NAME",
            help="Tuned settings: the environment's own, none, or another environment's; auto.",
            autocompletion=words.presets,
        ),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.toml",
            help="A config file, as every run leaves one.",
            autocompletion=words.configs,
        ),
    ] = None,
    set_: Set = None,
    wrap: Annotated[
        list[Any] | None,
        typer.Option(
            metavar="NAME[=VALUE]",
            help="A wrapper around the environment, see `lerax list-wrappers`, such as frame_stack=4 or "
            "'clip_reward={low = 0, high = 1}'; may be repeated, the innermost first. `none` for none.",
            parser=read_wrap,
            autocompletion=words.wrappers,
        ),
    ] = None,
    num_envs: Annotated[
        Any,
        typer.Option(
            metavar="N",
            help="Environments side by side; short for --set num_envs=N.",
            parser=read_value,
        ),
    ] = None,
    out: Out = "logs",
    name: Name = None,
    progress: Progress = "auto",
    device: Annotated[str, option(DEVICE, "What to train on.")] = "auto",
    nan: Annotated[
        str | None, option(KEYS["nan"], "What to do when a loss or a parameter is not finite; stop.")
    ] = None,
    video_interval: Annotated[
        int | None,
        option(KEYS["video_interval"], "Record a video of the policy every N iterations; 0, for never."),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="RUN|latest|auto",
            help="Go on with a run; auto: with the run of this --name if there is one.",
            autocompletion=words.resumable,
        ),
    ] = None,
    save_every: SaveEvery = None,
    keep: Annotated[
        int | None, option(KEYS["keep"], "Newest checkpoints that are kept, beside the best; 2.")
    ] = None,
    time_limit: TimeLimit = None,
    strict: Strict = False,
    debug: Debug = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Train a policy; prints the path of the run on standard output."""
    warned = report.Warnings()
    warned.install()
    check_quiet(quiet, progress)
    began = time.monotonic()
    going_on = continued.find(resume, out, name, steps) if resume is not None else None
    plan = options.plan(
        naming.of_package(env, env_package),
        algo=algo,
        policy=policy,
        wrap=wrap,
        steps=steps,
        seed=seed,
        backends=backend,
        preset=preset,
        config=config,
        settings=set_ or [],
        num_envs=num_envs,
        nan=nan,
        video_interval=video_interval,
        warn=warned.say,
        save_every=save_every,
        keep=keep,
        going_on=going_on and going_on.layer,
    )
    folder = options.check_place(out, name) if going_on is None else going_on.folder
    # Settings can be refused once their classes are imported, and a refusal is one line.
    asked = config or set_ or wrap or backend or policy or num_envs is not None
    asked = asked or plan.env.source or plan.algorithm.source
    checked = not asked and device != "gpu" and plan.steps in SURE_STEPS
    return carry_out(
        plan,
        folder,
        name,
        warned,
        began,
        going_on,
        checked=checked,
        device=device,
        progress=progress,
        time_limit=time_limit,
        strict=strict,
        json=json,
        quiet=quiet,
    )


def carry_out(
    plan: options.TrainingPlan,
    folder: Path,
    name: str | None,
    warned: report.Warnings,
    began: float,
    going_on: continued.Continued | None,
    *,
    checked: bool = False,
    device: str = "auto",
    progress: str,
    time_limit: float | None,
    strict: bool,
    json: bool,
    quiet: bool,
) -> int:
    """Trains what is planned and says how that ended; returns the exit code.

    Args:
        plan: What is trained.
        folder: The folder that holds the runs.
        name: Name of the run; None for a generated one.
        warned: The warnings.
        began: When the command began, of `time.monotonic`.
        going_on: The run that goes on, or that a new one branches off from.
        checked: Whether nothing of it can be refused any more.
        device: What to train on.
        progress: How to show progress.
        time_limit: Seconds after which it saves and ends.
        strict: Whether any warning makes the exit code 1.
        json: Whether the outcome is printed as JSON.
        quiet: Whether nothing but warnings and errors is shown.
    """
    if plan.nan == "off":
        warned.install(NotFiniteWarning)
    facts = {"algo": plan.algorithm.name, "env": plan.env.name, "seed": plan.seed} if checked else None
    algorithm, env = (naming.written(entry.name) for entry in (plan.algorithm, plan.env))
    title = f"{algorithm if plan.algorithm.source else algorithm.upper()} on {env}"
    shown = dashboard("off" if quiet else progress, title, facts)
    with Signals(quiet=quiet) as signals, shown as console:
        if console is not None:
            signals.at_once = console.give_back
            signals.rest_with(console.rest)
        signals.hold()  # compiled modules crash where an exception ends their import
        found = runtime.prepare(device, warned.say)
        from .job import Job  # it imports JAX, which takes seconds: what is refused is refused by now

        until = began + time_limit if time_limit is not None else None
        with contextlib.redirect_stdout(sys.stderr):  # what an environment prints is no result
            job = Job(plan, folder, name, found, console, signals, warned, began, going_on, until)
            complete = going_on is not None and going_on.at is None and going_on.is_complete(plan.steps)
            outcome = {} if complete else job.run()
        if going_on is not None and not outcome:
            return _already(going_on, job.parts.algorithm.falling(), json=json, quiet=quiet)
    job.tell_losses()
    if json:
        report.result_json(outcome)
    else:
        if not quiet:
            summarize(job, outcome)
        report.result(outcome["run"])
    if outcome["status"] == "interrupted" and signals.received is not None:
        return 128 + signals.received
    if outcome["status"] in ("diverged", "failed") or warned.lost:
        return 1
    return 1 if strict and warned.count else 0


def _already(run: continued.Continued, falling: list[str], *, json: bool, quiet: bool) -> int:
    """Says of a run that there is nothing to go on with, and what trains on where its schedules allow it."""
    if not quiet:
        further = "--steps +N trains it further"
        if falling:
            line = run.branch_line()
            further = f"{' and '.join(falling)} came to an end with it: `{line}` makes a new run of it"
        report.say(f"{run.path.name} is complete after {run.run.steps:,} steps; {further}")
    if json:
        report.result_json({"run": str(run.path)} | run.run.facts)
    else:
        report.result(str(run.path))
    return 0
