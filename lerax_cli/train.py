"""`lerax train`."""

import functools
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from lerax.settings import Limits, Setting

from . import continued, naming, options, report, words
from .carry_out import carry_out
from .distributed import find as find_place
from .report import BadInput
from .values import (
    KEYS,
    Count,
    Out,
    check_quiet,
    convert,
    option,
    read_devices,
    read_seeds,
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
# What options.plan takes as it was given.
PLANNED = ("algo", "policy", "wrap", "steps", "preset", "config", "num_envs", "nan", "video_interval")
PLANNED += ("save_every", "keep", "devices")


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
Device = Annotated[str, option(DEVICE, "What to train on.")]
Devices = Annotated[
    Any,
    typer.Option(
        metavar="N|all",
        help="Devices that the environments are divided among: GPUs, or cores of a CPU; 1.",
        parser=read_devices,
        autocompletion=words.begin(("all",)),
    ),
]
Distributed = Annotated[
    bool,
    typer.Option(
        "--distributed",
        help="One training of all tasks that SLURM, Open MPI or Kubernetes has started.",
    ),
]
Coordinator = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="Of several processes, where the first is found by the others."),
]
NumProcesses = Annotated[
    int | None,
    option(Setting("num_processes", 1, "", Limits(at_least=1, at_most=65_536)), "How many there are."),
]
ProcessId = Annotated[
    int | None,
    option(Setting("process_id", 0, "", Limits(at_least=0, at_most=65_535)), "Which this is, from 0.", "I"),
]
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
        help="Save and end after so long, such as 2h or 90m; it can go on later.",
        parser=functools.partial(read_time, "--time-limit"),
    ),
]
Profile = Annotated[
    bool,
    typer.Option(
        "--profile", help="Trace the second to fourth iteration: RUN/profile/, for https://ui.perfetto.dev."
    ),
]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 1 if there was any warning.")]
Json = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show nothing but warnings and errors.")]

Env = Annotated[
    str | None,
    typer.Argument(
        help="Environment, see `lerax list-envs`, or a class of your own: MODULE:CLASS or FILE.py:CLASS.",
        autocompletion=words.envs,
        show_default=False,
    ),
]
Algo = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Algorithm, see `lerax list-algos --env ENV`; that whose preset reaches its score soonest, "
        "else ppo.",
        autocompletion=words.algorithms,
    ),
]
Policy = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Policy to train, see `lerax list-policies`; the algorithm's.",
        autocompletion=words.trainable,
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        metavar="auto|none|NAME|FILE.toml",
        help="Tuned settings: the environment's own, none, another environment's, or a file's; auto.",
        autocompletion=words.presets,
    ),
]
Config = Annotated[
    str | None,
    typer.Option(
        metavar="FILE.toml",
        help="A config file, as every run leaves one.",
        autocompletion=words.configs,
    ),
]
Wrap = Annotated[
    list[Any] | None,
    typer.Option(
        metavar="NAME[=VALUE]",
        help="A wrapper around the environment, see `lerax list-wrappers`, such as frame_stack=4 or "
        "'clip_reward={low = 0, high = 1}'; may be repeated, the innermost first. `none` for none.",
        parser=read_wrap,
        autocompletion=words.wrappers,
    ),
]
EnvPackage = Annotated[
    str | None,
    typer.Option(metavar="PACKAGE", help="Package that registers ENV, which is gymnasium:ID."),
]


def train(
    env: Env = None,
    env_package: EnvPackage = None,
    algo: Algo = None,
    policy: Policy = None,
    steps: Steps = None,
    seed: Annotated[int | None, option(KEYS["seed"], "Seed of all randomness; random.", "S")] = None,
    seeds: Annotated[
        Any,
        typer.Option(
            metavar="N|3,4|0..9",
            help="Several seeds side by side, each a run of its own: how many, from --seed on, else from 0, "
            "or which.",
            parser=read_seeds,
        ),
    ] = None,
    backend: Backend = None,
    preset: Preset = None,
    config: Config = None,
    set_: Set = None,
    wrap: Wrap = None,
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
    device: Device = "auto",
    devices: Devices = None,
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
    """Train a policy; prints the path of the run on standard output."""
    given = locals()  # what the options say, by parameter
    began = time.monotonic()
    warned = report.Warnings()
    warned.install()
    decided = decide(given, warned)
    plan = decided.plan
    place = find_place(distributed, coordinator, num_processes, process_id)
    if place is not None:
        refuse_seeds(decided.seeds)
    # Settings can be refused once their classes are imported, and a refusal is one line.
    asked = config or set_ or wrap or backend or policy or num_envs is not None
    asked = asked or plan.env.source or plan.algorithm.source or decided.seeds or plan.devices != 1 or place
    checked = not asked and device != "gpu" and plan.steps in SURE_STEPS
    return carry_out(
        plan,
        decided.folder,
        name,
        warned,
        began,
        decided.going_on,
        seeds=decided.seeds,
        group=decided.group,
        checked=checked,
        device=device,
        profile=profile,
        progress=progress,
        time_limit=time_limit,
        strict=strict,
        json=json,
        quiet=quiet,
        place=place,
    )


class Decided(NamedTuple):
    """What is to be trained, as far as that can be told without importing JAX.

    Attributes:
        plan: What each run is to be.
        folder: The folder that holds the runs.
        seeds: Those that are trained side by side; none for one run.
        going_on: The run that goes on, or the first of these.
        group: The runs that go on, by seed, where there are several.
    """

    plan: options.TrainingPlan
    folder: Path
    seeds: list[int]
    going_on: continued.Continued | None
    group: dict[int, continued.Continued]


def decide(given: Mapping[str, Any], warned: report.Warnings) -> Decided:
    """Decides what a command line of `lerax train` means.

    Args:
        given: What its options say, by the names of `train`'s parameters.
        warned: The warnings.

    Raises:
        BadInput: Something is wrong with it.
        Failure: The run that it names cannot go on.
    """
    check_quiet(given["quiet"], given["progress"])
    resume, out, name, seed = (given[key] for key in ("resume", "out", "name", "seed"))
    found = continued.find_group(resume, out, name) if resume is not None else {}
    group = {seed: run for seed, run in found.items() if run is not None}
    going_on = next(iter(group.values()), None)
    if resume is not None and going_on is None:
        going_on = continued.find(resume, out, name, given["steps"])
    chosen = which_seeds(given["seeds"], seed, found, going_on)
    if going_on is not None and (anew := [f"seed_{one}" for one in found if one not in group]):
        warned.say(f"{going_on.folder}: nothing is there of {' and '.join(anew)}: begun anew")
    if given["profile"] and chosen:
        first = f"profile one of them with --seed {chosen[0]}"
        raise BadInput(
            "--profile", f"not beside several seeds (got {len(chosen)}), all in one process; {first}"
        )
    plan = options.plan(
        naming.of_package(given["env"], given["env_package"]),
        seed=chosen[0] if chosen else seed,
        backends=given["backend"],
        settings=given["set_"] or [],
        warn=warned.say,
        going_on=going_on and going_on.layer,
        **{key: given[key] for key in PLANNED},
    )
    if chosen and plan.devices != 1:
        raise BadInput(
            "--devices", f"not beside several seeds (got {plan.devices}), which share the cores already"
        )
    folder = options.check_place(out, name) if going_on is None else going_on.folder
    return Decided(plan, folder, chosen, going_on, group)


def refuse_seeds(seeds: list[int]) -> None:
    """Refuses several seeds beside several processes."""
    if seeds:
        raise BadInput("--distributed", f"not beside several seeds (got {len(seeds)}); give each a job")


def which_seeds(
    seeds: Any, seed: int | None, group: Collection[int], going_on: continued.Continued | None
) -> list[int]:
    """The seeds that are trained side by side; none for a run by itself.

    Args:
        seeds: What `--seeds` says.
        seed: What `--seed` says.
        group: The seeds of a training of several that goes on.
        going_on: The first of its runs, or the only run that goes on.

    Raises:
        BadInput: The two do not go together, or a training that goes on has others.
    """
    if seed is not None and (group or isinstance(seeds, list)):
        named = "--seeds names them" if seeds is not None else "what goes on has its own"
        raise BadInput("--seed", f"not beside several seeds (got {seed}): {named}; leave it out")
    if seeds is None:
        return list(group)
    if isinstance(seeds, Count):
        first = seed or 0
        last = convert("--seeds", KEYS["seed"], first + seeds - 1)
        seeds = list(range(first, last + 1))
    if going_on is not None and set(seeds) != set(group):
        own = ", ".join(map(str, group)) or str(going_on.layer.keys["seed"])
        what = f"{going_on.folder if group else going_on.path} has {own} (got {', '.join(map(str, seeds))})"
        raise BadInput("--seeds", f"{what}; what goes on keeps its seeds: leave it out")
    return seeds
