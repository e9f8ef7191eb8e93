"""`lerax sweep`."""

import importlib.util
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from lerax.settings import Limits, Setting
from lerax.sweep.plan import GOALS, PRUNERS, SAMPLERS

from . import naming, report, swept, words
from .parsing import WORDS
from .report import BadInput, Failure
from .train import (
    DEVICE,
    Algo,
    Backend,
    Debug,
    EnvPackage,
    Json,
    Out,
    Policy,
    Preset,
    Progress,
    Quiet,
    SaveEvery,
    Set,
    TimeLimit,
    Wrap,
    which_seeds,
)
from .values import KEYS, check_quiet, option, read_seeds, read_steps, read_value

# What options.plan takes as it was given.
PLANNED = ("algo", "policy", "steps", "preset", "num_envs", "wrap", "nan", "save_every")
COUNT = Setting("count", 0, "", Limits(at_least=0, at_most=swept.MOST_TRIALS))
SHOW = "show"
SHOWN = 20  # trials of a ranking
INSTALL = "Optuna is missing; pip install 'lerax[sweep]'"
ADDRESS = re.compile(r"local|auto|[\w.-]+:[0-9]{1,5}|\[[0-9a-fA-F:.]+\]:[0-9]{1,5}", re.ASCII)
OF_RAY = ("ray", "pandas", "pyarrow")  # without the latter two there is no ray.tune
INSTALL_RAY = "Ray Tune is missing; pip install 'lerax[ray]'"


def read_address(text: str) -> str:
    """Where a Ray is: of this machine's own, one that runs here, or a cluster's."""
    if not ADDRESS.fullmatch(text):
        raise BadInput("--ray", f"not an address (got {text!r}); local, auto or HOST:PORT")
    return text


def sweep(
    context: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            metavar="ENV|FILE.toml|SWEEP",
            help="An environment, a file that says what is swept, or a sweep to be worked on by its folder "
            "or name. `show SWEEP` prints its ranking.",
            autocompletion=words.sweepable,
            show_default=False,
        ),
    ],
    shown: Annotated[
        str | None,
        typer.Argument(
            metavar="[SWEEP]",
            help="Behind `show`: the sweep.",
            autocompletion=words.sweeps,
            show_default=False,
        ),
    ] = None,
    env_package: EnvPackage = None,
    algo: Algo = None,
    policy: Policy = None,
    try_: Annotated[
        list[Any] | None,
        typer.Option(
            "--try",
            metavar="KEY=A,B|LOW..HIGH|log:LOW..HIGH",
            help="A setting, named as for --set, and what is tried of it: values, or all between two, "
            "with log: by their logarithms; may be repeated.",
            parser=swept.read_try,
            autocompletion=words.set_option,
        ),
    ] = None,
    trials: Annotated[
        int | None,
        option(
            swept.TRIALS,
            "Trials of all workers together; 20, or those of the grid. More later go on with it.",
        ),
    ] = None,
    sampler: Annotated[
        str | None,
        option(
            swept.choice("sampler", SAMPLERS),
            "What chooses settings; grid of up to 20 listed ones, else tpe.",
        ),
    ] = None,
    pruner: Annotated[
        str | None, option(swept.choice("pruner", PRUNERS), "What ends trials early that do badly; none.")
    ] = None,
    goal: Annotated[
        str | None,
        option(
            swept.choice("goal", GOALS),
            "What of the seeds' mean returns in the final evaluation is maximised; iqm.",
        ),
    ] = None,
    seeds: Annotated[
        Any,
        typer.Option(
            metavar="N|3,4|0..9", help="Seeds of each trial: how many, or which; 1.", parser=read_seeds
        ),
    ] = None,
    seed: Annotated[int | None, option(KEYS["seed"], "The first seed; 0.", "S")] = None,
    steps: Annotated[
        Any,
        typer.Option(
            metavar="N",
            help="Environment steps of a training; the preset's, else 1,000,000.",
            parser=read_steps,
        ),
    ] = None,
    backend: Backend = None,
    preset: Preset = None,
    set_: Set = None,
    wrap: Wrap = None,
    num_envs: Annotated[
        Any,
        typer.Option(metavar="N", help="Environments side by side, as for train.", parser=read_value),
    ] = None,
    out: Out = "logs",
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Name of the sweep; made of what is swept, so that the same line joins it."
        ),
    ] = None,
    progress: Progress = "auto",
    device: Annotated[str, option(DEVICE, "What to train on.")] = "auto",
    nan: Annotated[
        str | None, option(KEYS["nan"], "What to do when a loss or a parameter is not finite; stop.")
    ] = None,
    save_every: SaveEvery = None,
    time_limit: TimeLimit = None,
    count: Annotated[
        int | None,
        option(COUNT, "Trials that this process trains at most, then it ends; as many as there are."),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="local|auto|HOST:PORT",
            help="Let Ray Tune place the trials: a Ray of this machine's own, one that runs here, or a "
            "cluster's. pip install 'lerax[ray]'.",
            parser=read_address,
            autocompletion=words.begin(("local", "auto")),
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Behind `show`: all trials, not the first 20.")
    ] = False,
    debug: Debug = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Try settings in many trainings, side by side in as many processes as are started; prints its path."""
    given = locals()  # what the options say, by parameter
    if what == SHOW:
        return show(shown, out, everything=everything, json=json)
    began = time.monotonic()
    warned = report.Warnings()
    warned.install()
    source, wanted = decide(given, warned)
    check_installed(ray)
    from lerax.sweep.study import JournalError  # it imports Optuna

    how: dict[str, Any] = {
        "device": device,
        "progress": "off" if quiet else progress,
        "time_limit": time_limit,
        "count": count,
        "json": json,
        "quiet": quiet,
    }
    try:
        if ray is not None:
            from . import by_ray

            return by_ray.work(wanted, context.meta[WORDS], warned, began, address=ray, **how)
        from .sweeping import work

        return work(wanted, source.folder or Path(out), name, warned, began, **how)
    except JournalError as error:
        raise Failure("SWEEP", str(error)) from None


def decide(given: Mapping[str, Any], warned: report.Warnings) -> tuple[swept.Source, swept.Wanted]:
    """Decides what a command line of `lerax sweep` means, as far as that can be told without importing JAX.

    Args:
        given: What its options say, by the names of `sweep`'s parameters.
        warned: The warnings.

    Raises:
        BadInput: Something is wrong with it.
    """
    what, shown = given["what"], given["shown"]
    if shown is not None:
        raise BadInput(
            "lerax sweep",
            f"takes one argument (got {what!r} and {shown!r}); `lerax sweep show SWEEP` shows one",
        )
    check_quiet(given["quiet"], given["progress"])
    source = swept.find(what, given["out"], given["name"])
    seed = given["seed"]
    seeds = which_seeds(given["seeds"], seed, {}, None) or ([seed] if seed is not None else [])
    wanted = swept.want(
        source,
        naming.of_package(None if source.file else what, given["env_package"]),
        tried=given["try_"] or [],
        how={"seeds": seeds} | {key: given[key] for key in ("trials", "sampler", "pruner", "goal")},
        backends=given["backend"],
        settings=given["set_"] or [],
        warn=warned.say,
        **{key: given[key] for key in PLANNED},
    )
    return source, wanted


def check_installed(ray: str | None = None) -> None:
    """Raises: Failure: Optuna is not installed, or Ray, where it is asked for."""
    if importlib.util.find_spec("optuna") is None:
        raise Failure("lerax sweep", INSTALL)
    if ray is not None and any(importlib.util.find_spec(name) is None for name in OF_RAY):
        raise Failure("--ray", INSTALL_RAY)


def show(text: str | None, out: str, *, everything: bool, json: bool) -> int:
    """Prints the ranking of a sweep."""
    if text is None:
        known = ", ".join(words.sweeps_in(out))
        raise BadInput("SWEEP", f"missing; {f'there is {known}' if known else f'there is none in {out}'}")
    folder = swept.find(text, out, None).folder
    if folder is None:
        raise BadInput("SWEEP", f"no sweep (got {text!r}); give its folder, or its name in {out}")
    check_installed()
    from lerax.sweep.study import JournalError

    from . import standings

    try:
        return standings.show(folder, None if everything else SHOWN, json=json)
    except JournalError as error:
        raise Failure("SWEEP", str(error)) from None
