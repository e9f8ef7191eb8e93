"""What `lerax doctor --slurm` tries: SLURM's commands, and what a job has got against what it asked for."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from lerax import cores
from lerax.files import try_lock

from . import distributed, runtime
from .checks import Check

MIB = 2**20
SECONDS = 20.0  # that a command of SLURM's may take to say its version
MOUNTS = Path("/proc/self/mounts")
SHARED = ("nfs", "nfs4", "lustre", "gpfs", "beegfs", "ceph", "cephfs", "fuse.ceph", "panfs", "afs", "9p")
AT_THE_NODE = ("nolock", "localflock", "local_lock=all", "local_lock=flock")  # of a mount: locks end there


def slurm_checks() -> dict[str, Check]:
    """The checks by name, in the order in which they are shown; what a job has got only inside of one."""
    inside = "SLURM_JOB_ID" in os.environ
    module = "module load slurm"
    checks = {
        "slurm.sbatch": Check(lambda: _version("sbatch"), module, needed=not inside),
        "slurm.srun": Check(lambda: _version("srun"), module, needed=False),
        "slurm.scontrol": Check(lambda: _version("scontrol"), module),
        "slurm.locks": Check(_locks, "cd FOLDER, one that all nodes share"),
        "slurm.job": Check(_job, "srun lerax doctor --slurm", needed=False),
    }
    if inside:
        checks |= {
            "slurm.cores": Check(_cores, "srun --cpus-per-task; else the cluster's TaskPlugin"),
            "slurm.memory": Check(_memory, "--mem"),
            "slurm.gpus": Check(_gpus, "pip install 'jax[cuda12]'"),
        }
    return checks


def _version(name: str) -> str:
    """What a command of SLURM's says of itself, and where it is."""
    path = shutil.which(name)
    if path is None:
        raise FileNotFoundError(f"{name} is not on PATH")
    done = subprocess.run(
        [path, "--version"], capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False
    )
    if done.returncode:
        raise OSError(f"{path} ended with exit code {done.returncode}: {done.stderr.strip()}")
    return f"{done.stdout.strip()}, {path}"


def _locks() -> str:
    """A lock that a second one meets, in the working folder, and how far it counts."""
    folder = Path.cwd()
    kind, options = _mount(folder)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".lerax-doctor-") as file, open(file.name) as other:
        if not try_lock(file.fileno()) or try_lock(other.fileno()) is not False:
            raise OSError(f"{folder} ({kind}) has no locks: two jobs would not notice each other")
    if local := [option for option in options if option in AT_THE_NODE]:
        raise OSError(f"locks in {folder} ({kind}, {local[0]}) end at the node: two of them would not meet")
    where = "" if kind in SHARED else ": if that is a disk of this node, other nodes do not see its runs"
    return f"locks count in {folder} ({kind}){where}"


def _mount(folder: Path) -> tuple[str, list[str]]:
    """The kind of file system that a folder is on, and how it is mounted."""
    found = "", "unknown", ""
    for line in MOUNTS.read_text(errors="replace").splitlines():
        place, kind, options = line.split()[1:4]
        place = place.replace("\\040", " ")
        if folder.is_relative_to(place) and len(place) >= len(found[0]):  # the last one covers the others
            found = place, kind, options
    return found[1], found[2].split(",")


def _job() -> str:
    if "SLURM_JOB_ID" not in os.environ:
        raise OSError("this is no job: SLURM_JOB_ID is not set")
    said = f"job {os.environ['SLURM_JOB_ID']}"
    if (tasks := _number("SLURM_STEP_NUM_TASKS") or 1) > 1:
        if missing := [name for name in distributed.SLURM if name not in os.environ]:
            raise OSError(f"{missing[0]} is not set: the {tasks} tasks would not find each other")
        said += f", task {_number('SLURM_PROCID')} of {tasks} on {os.environ['SLURM_STEP_NODELIST']}"
    if restarts := _number("SLURM_RESTART_COUNT"):
        said += f", put back into the queue {restarts} times"
    end = _number("SLURM_JOB_END_TIME")
    return f"{said}, {(end - time.time()) / 60:,.0f} minutes left" if end else said


def _number(*names: str, read: Callable[[str], int] = int) -> int | None:
    """The first of some variables that is set, as a number."""
    return next((read(os.environ[name]) for name in names if os.environ.get(name)), None)


def _cores() -> str:
    asked, given = _number("SLURM_CPUS_PER_TASK"), _number("SLURM_CPUS_ON_NODE")
    seen = cores.count()
    said = f"lerax may use {seen} cores, the job has {given or 'unknown'} here and asked for {asked or 1}"
    if seen < (asked or 1):
        raise OSError(said)
    if given is not None and seen > given:
        raise OSError(f"{said}: it would use those of other jobs, too")
    return said


def _memory() -> str:
    from lerax.algorithm.footprint import available_here

    asked, there = _number("SLURM_MEM_PER_NODE"), available_here() / MIB
    if asked is None and (each := _number("SLURM_MEM_PER_CPU")):
        asked = each * (_number("SLURM_CPUS_ON_NODE") or 1)
    said = f"{there:,.0f} MiB can be had, the job asked for {f'{asked:,} MiB' if asked else 'all or nothing'}"
    if asked and there < 0.9 * asked:  # what runs already has some
        raise OSError(said)
    return said


def _gpus() -> str:
    listed = _number("SLURM_JOB_GPUS", "SLURM_STEP_GPUS", read=lambda text: len(text.split(",")))
    asked = _number("SLURM_GPUS_ON_NODE") or listed or 0
    if not asked:
        return "the job has none"
    found = [str(device) for device in runtime.find_devices("auto") if device.platform == "gpu"]
    if len(found) < asked:
        raise OSError(f"the job has {asked}, JAX sees {', '.join(found) or 'none'}")
    return f"the job has {asked}, JAX sees {', '.join(found)}"
