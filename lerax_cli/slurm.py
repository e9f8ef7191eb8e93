"""`lerax slurm`: job scripts of trainings that are stopped and started until they are complete."""

import functools
import inspect
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from shlex import join, quote
from typing import Annotated, Any, NamedTuple

import typer

from lerax.processes import python
from lerax.run import generated_name
from lerax.settings import Limits, Setting

from . import naming, options, report, sweep
from .continued import AUTO
from .parsing import WORDS, without
from .report import BadInput, Failure
from .train import decide, refuse_seeds, train
from .values import KEYS, convert, option

CPUS = Setting("cpus", 4, "", Limits(at_least=1, at_most=2**16))
GPUS = Setting("gpus", 0, "", Limits(at_least=0, at_most=2**10))
NODES = Setting("nodes", 1, "", Limits(at_least=1, at_most=2**16))
TASKS = Setting("tasks_per_node", 1, "", Limits(at_least=1, at_most=2**10))
SIGNAL_SECONDS = 90  # before the time is up: what trains saves within seconds, SLURM may be a minute early
LEAST_SECONDS = 300  # of a job: less would be starts and nothing else
WORD = re.compile(r"[\w.,:+=@%/\[\]-]+", re.ASCII)  # what stands behind an option of sbatch as it is
TIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", re.ASCII)
MEM = re.compile(r"\d+[KMGT]?", re.ASCII)
ARRAY = re.compile(r"\d+(-\d+(:\d+)?)?(,\d+(-\d+(:\d+)?)?)*(%[1-9]\d*)?", re.ASCII)
TASK = "$SLURM_ARRAY_TASK_ID"
SBATCH = "sbatch"
OF_PROCESSES = ("coordinator", "num_processes", "process_id")
REPLACED = ("--name", "--resume")  # by those of the job

SCRIPT = """\
#!/bin/bash
{directives}

cd -- {folder} || exit 1

# {why}
{command} &
training=$!
time_is_up=
trap 'time_is_up=1; {end}' USR1  # {seconds} s before the end: it saves, and ends
trap '{pass_on}' TERM  # a preemption or scancel: this shell waits for it

while kill -0 "$training" 2>/dev/null; do
    wait "$training"  # which a trap ends early
done
wait "$training"
code=$?

if [ -n "$time_is_up" ] && [ "$code" = 143 ]; then
    scontrol requeue {job}  # after a preemption SLURM does it
fi
exit "$code"
"""
WHY_ALONE = "Not with srun: a SIGTERM makes it kill what it has started, before that is saved."
WHY_SRUN = "A SIGTERM makes srun kill its tasks before they have saved: SLURM itself tells these."
# --wait=0: no WaitTime of the cluster's, after which those are killed that outlive the first that has ended.
SRUN = "srun --kill-on-bad-exit=1 --wait=0 --cpus-per-task={cpus} "
TO_ALONE = 'kill -TERM "$training" 2>/dev/null'
TO_TASKS = "scancel --signal=TERM {job}"  # which leaves out this shell and srun
# A preemption and scancel signal the tasks, too; from here it would be a second time, maybe late enough to
# end what is being saved. An srun that gets it as well has nothing killed then: slurmctld turns that down,
# unless the job is running.
TASKS_KNOW = ":"


def read_duration(text: str) -> str:
    """A time limit in a form of sbatch: minutes, M:S, H:M:S, D-H, D-H:M or D-H:M:S."""
    found = TIME.fullmatch(text)
    if found is None:
        raise BadInput("--time", f"not a time limit (got {text!r}); such as 90, 04:00:00 or 2-12:00:00")
    days, *parts = found.groups()
    numbers = [int(part) for part in parts if part is not None]
    if days is not None:
        hours, minutes, seconds = [*numbers, 0, 0][:3]
    else:
        hours, minutes, seconds = numbers if len(numbers) == 3 else [0, *numbers, 0][:3]
    total = int(days or 0) * 86_400 + hours * 3600 + minutes * 60 + seconds
    if total < LEAST_SECONDS:
        raise BadInput(
            "--time", f"at least {LEAST_SECONDS // 60} minutes, to start, train and save (got {text!r})"
        )
    return text


def _matching(where: str, pattern: re.Pattern[str], such_as: str) -> Callable[[str], str]:
    """A parser of a text that goes to sbatch as it is."""

    def read(text: str) -> str:
        if not pattern.fullmatch(text):
            raise BadInput(where, f"not what sbatch takes (got {text!r}); such as {such_as}")
        return text

    return read


def read_sbatch(text: str) -> str:
    """An option of sbatch, as it stands behind `#SBATCH`."""
    if not (text.startswith("-") and text.isprintable()):
        raise BadInput("--sbatch", f"not an option of sbatch (got {text!r}); such as --sbatch=--qos=long")
    return text


class Job(NamedTuple):
    """What a job asks for, as `lerax slurm`'s options say; tasks are those of a node."""

    time: str
    partition: str | None
    account: str | None
    nodes: int
    tasks: int
    gpus: int
    cpus: int
    mem: str
    array: str | None
    sbatch: list[str]
    submit: bool

    @property
    def several(self) -> str:
        """The options that ask for more than one task; nothing for one."""
        asked = {"--nodes": self.nodes, "--tasks-per-node": self.tasks}
        return " ".join(f"{option} {number}" for option, number in asked.items() if number > 1)

    def directives(self, name: str) -> list[str]:
        """The options of sbatch, those of the user last, which count."""
        # GPUs by the node: with --gpus-per-task each task would see its own alone, which NCCL pays for.
        tasks = {"ntasks": 1, "cpus-per-task": self.cpus, "mem": self.mem, "gpus": self.gpus or None}
        if self.several:
            own = {"ntasks-per-node": self.tasks, "gpus-per-node": self.tasks * self.gpus or None}
            tasks = own | {key: tasks[key] for key in ("cpus-per-task", "mem")}
        asked = {
            "job-name": re.sub(r"[^\w.=+-]", "-", name, flags=re.ASCII),  # a folder's may be anything
            "partition": self.partition,
            "account": self.account,
            "array": self.array,
            "output": "%x-%A_%a.log" if self.array else "%x-%j.log",
            "open-mode": "append",  # one log for all starts
            "nodes": self.nodes,
            **tasks,
            "time": self.time,
            "signal": f"B:USR1@{SIGNAL_SECONDS}",
        }
        given = [f"--{key}={value}" for key, value in asked.items() if value is not None]
        return [*given, "--requeue", *self.sbatch]

    def script(self, name: str, command: str) -> str:
        """The whole script.

        Args:
            name: The job's.
            command: What follows `lerax`, as a shell takes it.
        """
        lerax, _ = python("-m", "lerax_cli")
        # A task of an array by its number: the id of one of them is that of the array, too.
        job = f'"${{SLURM_ARRAY_JOB_ID}}_{TASK}"' if self.array else '"$SLURM_JOB_ID"'
        to_tasks = TO_TASKS.format(job=job)
        return SCRIPT.format(
            directives="\n".join(f"#SBATCH {one}" for one in self.directives(name)),
            folder=quote(os.getcwd()),
            why=WHY_SRUN if self.several else WHY_ALONE,
            command=f"{SRUN.format(cpus=self.cpus) if self.several else ''}{join(lerax)} {command}",
            end=to_tasks if self.several else TO_ALONE,
            pass_on=TASKS_KNOW if self.several else TO_ALONE,
            seconds=SIGNAL_SECONDS,
            job=job,
        )


def slurm(
    context: typer.Context,
    time: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="Time limit of a start, in a form of sbatch; the job is started again.",
            parser=read_duration,
        ),
    ] = "04:00:00",
    partition: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Partition.", parser=_matching("--partition", WORD, "gpu")),
    ] = None,
    account: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Account.", parser=_matching("--account", WORD, "lab")),
    ] = None,
    nodes: Annotated[int, option(NODES, "Nodes, for train --distributed.")] = 1,
    tasks_per_node: Annotated[int, option(TASKS, "Tasks on each, for train --distributed.")] = 1,
    gpus: Annotated[int, option(GPUS, "GPUs of each task.")] = 0,
    cpus: Annotated[int, option(CPUS, "Cores of each task.")] = 4,
    mem: Annotated[
        str,
        typer.Option(metavar="SIZE", help="Memory of each node.", parser=_matching("--mem", MEM, "8G")),
    ] = "4G",
    array: Annotated[
        str | None,
        typer.Option(
            metavar="0-4",
            help="A job for each number. Of train it is the seed, and stands behind the run's name.",
            parser=_matching("--array", ARRAY, "0-4, 1,3 or 0-31%8"),
        ),
    ] = None,
    sbatch: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OPTION",
            help="Another option of sbatch, such as --qos=long; may be repeated.",
            parser=read_sbatch,
        ),
    ] = None,
    submit: Annotated[bool, typer.Option("--submit", help="Submit it; prints what sbatch says.")] = False,
) -> None:
    """Print a SLURM job script that trains, and starts again until all is complete; --submit submits it."""
    if context.invoked_subcommand is None:
        raise BadInput("COMMAND", "missing; `lerax slurm --time 04:00:00 train CartPole-v1`")
    context.obj = Job(
        time, partition, account, nodes, tasks_per_node, gpus, cpus, mem, array, sbatch or [], submit
    )


def _job_of(command: Callable[..., int], plan: Callable[[Job, dict[str, Any], list[str]], str]) -> Any:
    """A command with the options of another one, which makes a job script of these.

    Args:
        command: The other one.
        plan: Takes the job, the options' values and words, and returns the script.
    """

    @functools.wraps(command)
    def make(context: typer.Context, **given: Any) -> int:
        job = context.obj
        if given["time_limit"] is not None:
            raise BadInput("--time-limit", "the job has one of its own; give --time before the command")
        script = plan(job, given, context.meta[WORDS])
        report.result(_submit(script) if job.submit else script.removesuffix("\n"))
        return 0

    own = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    signature = inspect.signature(command)
    others = [one for name, one in signature.parameters.items() if name != own.name]
    make.__signature__ = signature.replace(parameters=[own, *others])  # type: ignore
    make.__annotations__ = {"context": typer.Context, **command.__annotations__}
    make.__doc__ = f"Write a job of `lerax {command.__name__}`, whose options it has."
    return make


def _train(job: Job, given: dict[str, Any], words: list[str]) -> str:
    """The script of a training: a run, or one for each seed of the array."""
    resume, name = given["resume"], given["name"]
    _check_processes(job, given)
    if resume == "latest":
        raise BadInput("--resume", "another may be the latest when the job starts (got 'latest'); name it")
    if job.array:
        for key in ("seed", "seeds", *(("resume",) if resume not in (None, AUTO) else ())):
            if given[key] is not None:
                what = "it has runs of its own" if key == "resume" else "it says the seeds"
                raise BadInput(f"--{key}", f"not beside --array ({what}); leave one of them out")
    warned = report.Warnings()
    warned.install()
    if resume not in (None, AUTO):
        run = decide(given, warned).going_on
        assert run is not None, "what --resume names is found or refused"
        return job.script(run.run.name, join(["train", *words]))
    options.check_place(given["out"], name, taken=True)
    first: dict[str, Any] = {}  # what the first task of the array has of its own
    if job.array:
        first["seed"] = convert("--array", KEYS["seed"], int(re.split("[-,%]", job.array)[0]))
    own = f"{name}-{first['seed']}" if name and first else name
    decided = decide(given | first | {"name": own, "resume": AUTO if name else None}, warned)
    plan = decided.plan
    if job.several:
        refuse_seeds(decided.seeds)
    name = name or generated_name(naming.label(plan.algorithm.name), naming.label(plan.env.name))
    named = f'"{name}-{TASK}" --seed "{TASK}"' if job.array else name
    return job.script(name, f"train --name {named} --resume {AUTO} {join(without(words, REPLACED))}")


def _check_processes(job: Job, given: dict[str, Any]) -> None:
    """Several tasks are one training, and one training has several tasks."""
    for key in OF_PROCESSES:
        if given[key] is not None:
            raise BadInput(
                f"--{key.replace('_', '-')}", f"SLURM says it to the tasks (got {given[key]}); leave it out"
            )
    if given["distributed"] and not job.several:
        raise BadInput(
            "--distributed",
            "of one task; give --nodes or --tasks-per-node before the command, or leave it out",
        )
    if job.several and not given["distributed"]:
        raise BadInput(job.several.split()[0], f"more than one task (got {job.several}): add --distributed")
    if job.tasks > 1 and job.gpus and given["devices"] == "all":
        raise BadInput(
            "--devices", f"the tasks of a node see all of its GPUs (got 'all'); --devices {job.gpus} for each"
        )


def _sweep(job: Job, given: dict[str, Any], words: list[str]) -> str:
    """The script of a sweep, which each task of the array joins: by its name, or as the same line."""
    if job.several:
        raise BadInput(job.several.split()[0], f"a sweep's job has one task (got {job.several}); use --array")
    if given["what"] == sweep.SHOW:
        raise BadInput("show", "trains nothing; `lerax sweep show SWEEP` needs no job")
    warned = report.Warnings()
    warned.install()
    options.check_place(given["out"], given["name"], taken=True)
    source, wanted = sweep.decide(given, warned)
    sweep.check_installed(given["ray"])
    own = source.folder.absolute().name if source.folder else given["name"]
    labels = (naming.label(entry.name) for entry in (wanted.base.algorithm, wanted.base.env))
    return job.script(own or generated_name("sweep", *labels), join(["sweep", *words]))


def _submit(script: str) -> str:
    """Gives a script to sbatch; returns what that says.

    Raises:
        Failure: There is none, or it refuses the script.
    """
    if shutil.which(SBATCH) is None:
        raise Failure("--submit", "sbatch is not on PATH; leave it out, and give the script to sbatch")
    done = subprocess.run([SBATCH], input=os.fsencode(script), capture_output=True, check=False)
    said, answer = (os.fsdecode(one).strip() for one in (done.stderr, done.stdout))
    if done.returncode:
        why = "; ".join(said.splitlines()) or "without a word"
        raise Failure("--submit", f"{why} (sbatch ended with {done.returncode})")
    if said:
        report.say_lines(said)
    return answer


SUBCOMMANDS = {"train": _job_of(train, _train), "sweep": _job_of(sweep.sweep, _sweep)}
