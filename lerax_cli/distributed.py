"""Which of several processes this is, and how they find each other: told by the launcher, or by options."""

import ctypes
import os
import re
import signal
import sys
from collections.abc import Callable, Mapping
from shlex import quote
from typing import Any, NamedTuple

from lerax import cores
from lerax.ending import end_at_once

from . import report
from .report import BadInput, Failure

SLURM = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NTASKS")
LAUNCHERS = "`srun lerax train ...`, `mpirun lerax train ...`, an indexed Job of Kubernetes"
LOST, GO_ON = "another process of the training has ended", "--resume goes on where it was last saved"
HEARTBEAT_SECONDS = 15  # after which a process that says nothing is taken for dead
START_SECONDS = 300  # that the others may take to begin
_handler: Any = None  # which C calls, so that it has to stay


class Place(NamedTuple):
    """The place of this process among several.

    Attributes:
        number: Which it is, from 0.
        of: How many there are; None where JAX asks the cluster.
        coordinator: Where the first one is found, `HOST:PORT`; None where JAX asks the cluster.
        local: Which it is of those on its machine; None where nobody says.
        beside: How many these are.
    """

    number: int
    of: int | None = None
    coordinator: str | None = None
    local: int | None = None
    beside: int = 1

    @property
    def leads(self) -> bool:
        """Whether it is the first."""
        return self.number == 0

    @property
    def options(self) -> str:
        """The options that say it again: that a launcher is asked, or all of them, with this number."""
        told = "" if self.coordinator is None else f" --coordinator {quote(self.coordinator)}"
        if told and self.of is not None and self.local is None:
            return f"{told} --num-processes {self.of} --process-id {self.number}"
        return f" --distributed{told}"

    @property
    def sharing(self) -> int:
        """How many processes share its cores: those of its machine, unless the launcher divides them."""
        return self.beside if cores.count() == os.cpu_count() else 1

    def gpus(self, devices: int | str, environ: Mapping[str, str] = os.environ) -> list[int]:
        """The numbers of its GPUs, where it sees those of others, too; none where it may have all it sees.

        Args:
            devices: How many it is to have, or `all`.
            environ: The environment variables.
        """
        seen = environ.get("CUDA_VISIBLE_DEVICES")
        if self.local is None or self.beside == 1 or isinstance(devices, str):
            return []
        if seen is not None and len(seen.split(",")) <= devices:
            return []
        return list(range(self.local * devices, (self.local + 1) * devices))


def find(
    distributed: bool,
    coordinator: str | None = None,
    count: int | None = None,
    number: int | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Place | None:
    """The place of this process among several; None where it is alone.

    A launcher's variables count where they are complete and tell of more than one task: a shell within an
    allocation has some of them, too. Open MPI comes first: what it starts within SLURM has both.

    Args:
        distributed: Whether a launcher is looked for.
        coordinator: What `--coordinator` says.
        count: What `--num-processes` says.
        number: What `--process-id` says.
        environ: The environment variables.

    Raises:
        BadInput: The options do not say all, or contradict each other; or nothing tells of other processes.
    """
    if coordinator is not None:
        _check(coordinator)
    if count is not None or number is not None or (coordinator is not None and not distributed):
        given = {"--coordinator": coordinator, "--num-processes": count, "--process-id": number}
        missing = [option for option, value in given.items() if value is None]
        if missing:
            raise BadInput(missing[0], "missing; the three are given together, or left to --distributed")
        return _told(str(coordinator), int(count or 0), int(number or 0))
    if not distributed:
        return None
    if "OMPI_COMM_WORLD_SIZE" in environ:
        local, beside = "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"
        found = _one_of(environ, "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", local, beside)
        if found is not None and coordinator is None and "OMPI_MCA_orte_hnp_uri" not in environ:
            raise BadInput(
                "--coordinator", "missing; this Open MPI tells no address: give the first task's HOST:PORT"
            )
    elif all(name in environ for name in SLURM):
        local, beside = "SLURM_LOCALID", "SLURM_STEP_TASKS_PER_NODE"
        found = _one_of(environ, "SLURM_STEP_NUM_TASKS", "SLURM_PROCID", local, beside)
    elif "KUBERNETES_SERVICE_HOST" in environ and "JOB_COMPLETION_INDEX" in environ:
        found = Place(_number(environ, "JOB_COMPLETION_INDEX"))
    else:
        explicit = "--coordinator HOST:PORT --num-processes N --process-id I"
        raise BadInput("--distributed", f"no launcher found; start it with {LAUNCHERS}, or give {explicit}")
    return found if found is None else found._replace(coordinator=coordinator)


def _check(coordinator: str) -> None:
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise BadInput("--coordinator", f"not HOST:PORT (got {coordinator!r}); such as node1:12345")


def _told(coordinator: str, count: int, number: int) -> Place | None:
    if number >= count:
        what = f"not one of {count} (got {number})"
        raise BadInput("--process-id", f"{what}; allowed: 0 to {count - 1}, each once")
    return Place(number, count, coordinator) if count > 1 else None


def _one_of(environ: Mapping[str, str], count: str, number: str, local: str, beside: str) -> Place | None:
    """A place that a launcher tells of; None for the only one."""
    tasks = _number(environ, count) if count in environ else 1
    if tasks == 1:
        return None
    here = [_number(environ, name) if name in environ else 1 for name in (local, beside)]
    return Place(_number(environ, number), tasks, None, here[0] if local in environ else None, here[1])


def _number(environ: Mapping[str, str], name: str) -> int:
    """A number, the first one of several: SLURM writes `2(x3),1` for four nodes."""
    if (found := re.match(r"\d+", environ[name], re.ASCII)) is None:
        raise BadInput("--distributed", f"{name} is not a number (got {environ[name]!r})")
    return int(found[0])


def join(place: Place, devices: int | str, abandon: Callable[[], None]) -> None:
    """Waits until all processes are there, by JAX's distributed runtime, before anything is computed.

    Args:
        place: The place of this one.
        devices: How many devices it is to have, or `all`.
        abandon: Called where another one has ended, before this one does.

    Raises:
        Failure: They do not find each other.
    """
    import jax

    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM for itself
    try:
        jax.distributed.initialize(
            place.coordinator,
            place.of,
            place.number,
            place.gpus(devices),
            initialization_timeout=START_SECONDS,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
            shutdown_timeout_seconds=HEARTBEAT_SECONDS,
        )
    except (RuntimeError, ValueError) as error:
        why = " ".join(str(error).split())[:200]
        raise Failure("--distributed", f"process {place.number} does not find the others ({why})") from None
    _instead_of_abort(lambda: _leave(abandon))


def part() -> None:
    """Ends what `join` began, when all processes have done their work."""
    import jax

    jax.distributed.shutdown()


def _instead_of_abort(leave: Callable[[], None]) -> None:
    """What is done where JAX's runtime aborts the process, as it does when another one is lost.

    There is no public way to be asked before, and a handler of Python's own would come too late: `abort` ends
    the process as soon as C's handler has returned. A thread of the runtime's calls it, which holds nothing.
    """
    global _handler
    _handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda number: leave())
    ctypes.CDLL(None).signal(int(signal.SIGABRT), _handler)


def _leave(abandon: Callable[[], None]) -> None:
    try:
        abandon()
        report.say(f"lerax: error: --distributed: {LOST}; {GO_ON}")
    finally:
        end_at_once(1)


def count() -> int:
    """How many processes train together; JAX is asked where it is imported."""
    jax = sys.modules.get("jax")
    return 1 if jax is None else jax.process_count()
