"""A stand-in for SLURM, for one node, after the manual pages of its commands and slurm.conf, and the source.

`sbatch`, `srun`, `scancel` and `scontrol` beside this file are what stands on PATH; they know jobs from the
folder STANDIN_SLURM. A test is the rest of SLURM: it starts jobs, says that their time is nearly up, preempts
them.
"""

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

FOLDER = "STANDIN_SLURM"
FIRST_ID = 4711
VERSION = "slurm 23.11.4"
PARTITIONS = ("cpu", "gpu")  # the first is the default
GRACE_SECONDS = 30.0  # slurm.conf's KillWait, a partition's GraceTime: between SIGTERM and SIGKILL
WITH_VALUE = {
    **{"job-name": "J", "partition": "p", "account": "A", "array": "a", "output": "o", "nodes": "N"},
    **{"ntasks": "n", "cpus-per-task": "c", "gpus": "G", "time": "t", "chdir": "D", "qos": "q"},
    **dict.fromkeys(("mem", "signal", "open-mode", "gres", "ntasks-per-node", "gpus-per-node"), ""),
}
OF_SRUN = re.compile("--(kill-on-bad-exit|wait|cpus-per-task)=(.+)")
FLAGS = ("requeue", "no-requeue", "parsable")


def fail(command: str, *lines: str) -> NoReturn:
    """Ends a command as SLURM's end that refuse something."""
    sys.exit("\n".join(f"{command}: error: {line}" for line in lines))


def options(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """Options of sbatch by their long names, and what stands behind them."""
    found: dict[str, str] = {}
    left = iter(words)
    short = {f"-{letter}": name for name, letter in WITH_VALUE.items() if letter}
    for word in left:
        if not word.startswith("-"):
            return found, [word, *left]
        name, equals, value = word.partition("=")
        name = short.get(name, name.removeprefix("--"))
        if name in FLAGS and not equals:
            found[name] = ""
        elif name in WITH_VALUE:
            found[name] = value if equals else next(left)
        else:
            sys.exit(f"sbatch: unrecognized option '{word}'\nTry \"sbatch --help\" for more information")
    return found, []


def directives(script: str) -> dict[str, str]:
    """What the `#SBATCH` lines of a script say, which end at its first command."""
    found: dict[str, str] = {}
    for line in script.splitlines():
        if line.startswith("#SBATCH "):
            found |= options(shlex.split(line.removeprefix("#SBATCH "), comments=True))[0]
        elif line.strip() and not line.startswith("#"):
            break
    return found


def tasks(array: str) -> list[int]:
    """The numbers of an array: 0-4, 0-15:4, 1,3 and any of these with %N behind it."""
    found: list[int] = []
    for part in array.partition("%")[0].split(","):
        first, last, step = re.fullmatch(r"(\d+)(?:-(\d+)(?::(\d+))?)?", part).groups()  # type: ignore
        found += range(int(first), int(last or first) + 1, int(step or 1))
    return found


def sbatch() -> None:
    """Puts a script into the queue, from a file or from standard input."""
    if sys.argv[1:] == ["--version"]:
        sys.exit(print(VERSION))
    given, words = options(sys.argv[1:])
    script = Path(words[0]).read_text() if words else sys.stdin.read()
    if not script.startswith("#!"):
        fail("sbatch", "This does not look like a batch script.  The first line must start with #!")
    asked = directives(script) | given
    if (partition := asked.get("partition", PARTITIONS[0])) not in PARTITIONS:
        failed = "Batch job submission failed: Invalid partition name specified"
        fail("sbatch", f"invalid partition specified: {partition}", failed)
    folder = Path(os.environ[FOLDER])
    folder.mkdir(exist_ok=True)
    number = FIRST_ID + len(list(folder.glob("*.json")))
    common = {"asked": asked, "script": script, "cwd": os.getcwd(), "env": dict(os.environ)}
    for at, task in enumerate(tasks(asked["array"]) if "array" in asked else [None]):
        # The first task's own number is the array's.
        job = common | {"id": number + at, "array": number, "task": task, "state": "PENDING", "restarts": 0}
        (folder / f"{number + at}.json").write_text(json.dumps(job))
    print(number if "parsable" in given else f"Submitted batch job {number}")


def srun() -> None:
    """Starts a step: a command as the tasks of a job, each as a child of SLURM's and not of the script's.

    It ends with the highest exit code of them all. SIGTERM and SIGHUP have it ask for their end by SIGKILL,
    which is turned down where the job runs no more: after a preemption or scancel. SIGINT says how they are,
    other signals are passed on.
    """
    if sys.argv[1:] == ["--version"]:
        sys.exit(print(VERSION))
    words = sys.argv[1:]
    asked: dict[str, str] = {}
    while found := OF_SRUN.fullmatch(words[0]):
        asked[found[1]] = found[2]
        del words[0]
    number = int(os.environ["SLURM_JOB_ID"])
    path = Path(os.environ[FOLDER]) / f"{number}.json"
    count = int(os.environ["SLURM_NTASKS_PER_NODE"])
    step = {
        **{"SLURM_STEP_ID": 0, "SLURM_STEPID": 0, "SLURM_STEP_NODELIST": socket.gethostname()},
        **{"SLURM_NTASKS": count, "SLURM_STEP_NUM_TASKS": count, "SLURM_STEP_TASKS_PER_NODE": count},
        **{"SLURM_STEP_NUM_NODES": 1, "SLURM_CPUS_PER_TASK": asked["cpus-per-task"]},
    }
    tasks = [
        subprocess.Popen(
            words,
            env={key: str(value) for key, value in (os.environ | step | own).items()},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        for own in ({"SLURM_PROCID": at, "SLURM_LOCALID": at} for at in range(count))
    ]
    path.with_suffix(".step").write_text(json.dumps([task.pid for task in tasks]))

    def answer(number: int, frame: Any) -> None:
        if number in (signal.SIGTERM, signal.SIGHUP):
            print("srun: forcing job termination", file=sys.stderr)
            if json.loads(path.read_text())["state"] == "RUNNING":
                to_tasks(path, signal.SIGKILL)
        elif number not in (signal.SIGINT, signal.SIGCONT):
            to_tasks(path, number)

    for name in ("INT", "TERM", "HUP", "CONT", "USR1", "USR2"):
        signal.signal(getattr(signal, f"SIG{name}"), answer)
    told = 0.0
    while None in (codes := [task.poll() for task in tasks]):
        if any(codes) and not told and asked.get("kill-on-bad-exit") == "1":
            told = time.monotonic()
            to_tasks(path, signal.SIGTERM)
        if told and time.monotonic() > told + GRACE_SECONDS:
            to_tasks(path, signal.SIGKILL)
        time.sleep(0.02)
    path.with_suffix(".step").unlink()
    sys.exit(max(code if code >= 0 else 128 - code for code in codes if code is not None))


def to_tasks(path: Path, number: int) -> None:
    """Sends a signal to the tasks of a job's step, if it has one."""
    with contextlib.suppress(FileNotFoundError):
        for pid in json.loads(path.with_suffix(".step").read_text()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def end(path: Path, pid: int) -> None:
    """SIGCONT and SIGTERM to all of a job that runs no more: tasks, its script and what that has started."""
    for number in (signal.SIGCONT, signal.SIGTERM):
        to_tasks(path, number)
        os.killpg(pid, number)


def named(command: str, name: str) -> list[tuple[Path, dict[str, Any]]]:
    """The jobs that a name is of: `JOB`, `ARRAY_TASK`, or an array's number for all of its tasks."""
    number, _, task = name.partition("_")
    jobs = [(path, json.loads(path.read_text())) for path in Path(os.environ[FOLDER]).glob("*.json")]
    of_array = lambda job: job["array"] == int(number) and (not task or job["task"] == int(task))
    meant = [(path, job) for path, job in jobs if of_array(job) or (not task and job["id"] == int(number))]
    if not meant:
        fail(command, f"Invalid job id specified for job {name}")
    return meant


def scontrol() -> None:
    """`scontrol requeue JOB`: ends a job and has it start again; of an array's number all of its tasks."""
    if sys.argv[1:] == ["--version"]:
        sys.exit(print(VERSION))
    command, name = sys.argv[1:]
    assert command == "requeue", command
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it belongs to the job itself
    for path, job in named("scontrol", name):
        path.write_text(json.dumps(job | {"state": "REQUEUED"}))
        if job["state"] == "RUNNING":
            end(path, job["pid"])


def scancel() -> None:
    """`scancel --signal=SIGNAL JOB`, to tasks and not to the script; or `scancel JOB`, which ends all."""
    *options, name = sys.argv[1:]
    for path, job in named("scancel", name):
        if options:
            number = signal.Signals[f"SIG{options[0].removeprefix('--signal=')}"]
            to_tasks(path, number)
        else:
            path.write_text(json.dumps(job | {"state": "CANCELLED"}))
            end(path, job["pid"])


class Job:
    """A job that runs: its batch step is a group of processes, whose first is the shell."""

    def __init__(self, path: Path):
        self._path, facts = path, json.loads(path.read_text())
        self.facts: dict[str, Any] = facts
        asked = self.asked = facts["asked"]
        script = path.with_suffix(".sh")
        script.write_text(facts["script"])
        script.chmod(0o755)
        of_node = "ntasks-per-node"
        of_task = {"SLURM_ARRAY_JOB_ID": facts["array"], "SLURM_ARRAY_TASK_ID": facts["task"]}
        variables = {
            **(of_task if facts["task"] is not None else {}),
            **({"SLURM_RESTART_COUNT": facts["restarts"]} if facts["restarts"] else {}),
            "SLURM_JOB_ID": facts["id"],
            "SLURM_JOB_NAME": asked["job-name"],
            "SLURM_CPUS_PER_TASK": asked["cpus-per-task"],
            **({"SLURM_NTASKS_PER_NODE": asked[of_node]} if of_node in asked else {}),
        }
        words = {"%x": asked["job-name"], "%j": facts["id"], "%A": facts["array"], "%a": facts["task"]}
        log = re.sub("%[xjAa]", lambda found: str(words[found[0]]), asked["output"])
        cwd = Path(asked.get("chdir", facts["cwd"]))
        with open(cwd / log, "a" if asked.get("open-mode") == "append" else "w") as file:
            self.process = subprocess.Popen(
                [script],
                cwd=cwd,
                env=facts["env"] | {name: str(value) for name, value in variables.items()},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        self._write(state="RUNNING", pid=self.process.pid)

    def time_is_nearly_up(self) -> None:
        """What `--signal=[B:]SIGNAL[@SECONDS]` asks for; without B: only steps of srun's would get it."""
        whom, number = re.fullmatch(r"(B:)?([A-Z0-9]+)(?:@\d+)?", self.asked["signal"]).groups()  # type: ignore
        if whom:
            self.process.send_signal(signal.Signals[f"SIG{number}"])

    def preempt(self) -> int:
        """SIGCONT and SIGTERM to all, SIGKILL after the grace; with --requeue it is in the queue again."""
        assert "requeue" in self.asked
        self._write(state="REQUEUED")
        end(self._path, self.process.pid)
        return self.end()

    def end(self) -> int:
        """Waits until it has ended, as long as SLURM does after a SIGTERM; the exit code of its script."""
        code = self.process.wait(GRACE_SECONDS)
        now = json.loads(self._path.read_text())
        requeued = now["state"] == "REQUEUED"
        ended = now["state"] if now["state"] == "CANCELLED" else "FAILED" if code else "COMPLETED"
        self._write(
            state="PENDING" if requeued else ended,
            restarts=now["restarts"] + requeued,
        )
        return code

    def kill(self) -> None:
        """Kills what is left of it."""
        to_tasks(self._path, signal.SIGKILL)
        self._path.with_suffix(".step").unlink(missing_ok=True)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _write(self, **facts: Any) -> None:
        self.facts = json.loads(self._path.read_text()) | facts
        self._path.write_text(json.dumps(self.facts))


class Cluster:
    """The queue, and what the commands need to find it.

    Attributes:
        variables: Of the environment.
    """

    def __init__(self, folder: Path):
        self._folder = folder / "queue"
        commands = str(Path(__file__).parent)
        self.variables = {FOLDER: str(self._folder), "PATH": os.pathsep.join((commands, os.environ["PATH"]))}

    def queue(self) -> dict[int, dict[str, Any]]:
        """All jobs by their numbers."""
        return {int(path.stem): json.loads(path.read_text()) for path in self._folder.glob("*.json")}

    @contextlib.contextmanager
    def started(self, number: int) -> Iterator[Job]:
        """A job of the queue, running; it is killed at the end, if it is still there."""
        assert self.queue()[number]["state"] == "PENDING"
        job = Job(self._folder / f"{number}.json")
        try:
            yield job
        finally:
            job.kill()
