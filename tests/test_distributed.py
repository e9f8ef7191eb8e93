"""One training of several processes: how they find each other, and what they do together."""

import os
import re
import signal
import socket
from pathlib import Path
from typing import Any

import in_process
import jax
import numpy as np
import pytest
import terminal
from jax import numpy as jnp
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding, PartitionSpec
from test_cli_resume import check_same, learned, saved

from lerax import cores
from lerax.algorithm import together
from lerax.devices import AXIS, mesh_of
from lerax_cli import distributed, joining
from lerax_cli.distributed import Place
from lerax_cli.report import BadInput, Failure

SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_NODELIST": "node[1-2]",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "0",
    "SLURM_NTASKS": "2",
    "SLURM_STEP_NUM_TASKS": "2",
}
OPEN_MPI = {
    "OMPI_COMM_WORLD_SIZE": "4",
    "OMPI_COMM_WORLD_RANK": "3",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_MCA_orte_hnp_uri": "1.0;tcp://10.0.0.1:1",
}
KUBERNETES = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "0"}


@pytest.mark.parametrize(
    ("environ", "place"),
    [
        (SLURM, Place(1, 2, local=0)),
        (SLURM | {"SLURM_STEP_TASKS_PER_NODE": "2(x3),1"}, Place(1, 2, local=0, beside=2)),
        (SLURM | {"SLURM_STEP_NUM_TASKS": "1", "SLURM_NTASKS": "1", "SLURM_PROCID": "0"}, None),
        ({name: value for name, value in SLURM.items() if name != "SLURM_STEP_NUM_TASKS"}, None),
        (OPEN_MPI, Place(3, 4, local=1, beside=2)),
        (SLURM | OPEN_MPI, Place(3, 4, local=1, beside=2)),  # mpirun within a job of SLURM
        (OPEN_MPI | {"OMPI_COMM_WORLD_SIZE": "1", "OMPI_COMM_WORLD_RANK": "0"}, None),
        (KUBERNETES, Place(0)),
    ],
)
def test_launchers_tell_of_more_than_one_task(environ: dict[str, str], place: Place | None):
    assert distributed.find(True, environ=environ) == place
    assert distributed.find(False, environ=environ) is None


@pytest.mark.parametrize(
    ("place", "options"),
    [
        (Place(1, 2, local=0), "--distributed"),
        (Place(0), "--distributed"),  # of Kubernetes
        (Place(3, 4, "node1:9", 1, 2), "--distributed --coordinator node1:9"),
        (Place(1, 2, "[::1]:9"), "--coordinator '[::1]:9' --num-processes 2 --process-id 1"),
    ],
)
def test_a_place_says_how_it_is_taken_again(place: Place, options: str):
    assert place.options == f" {options}"


@pytest.mark.parametrize(
    ("place", "devices", "seen", "own"),
    [
        (Place(1, 2, local=1, beside=2), 1, None, [1]),  # all tasks of a machine see all of its GPUs
        (Place(1, 2, local=1, beside=2), 4, "0,1,2,3,4,5,6,7", [4, 5, 6, 7]),
        (Place(1, 2, local=1, beside=2), 1, "3", []),  # or each its own
        (Place(1, 2, local=0, beside=1), 4, None, []),  # or there is one task
        (Place(1, 2, local=1, beside=2), "all", "2,3", []),
        (Place(1, 2, "node1:1"), 1, None, []),
    ],
)
def test_a_task_takes_its_own_gpus(place: Place, devices: int | str, seen: str | None, own: list[int]):
    environ = {} if seen is None else {"CUDA_VISIBLE_DEVICES": seen}
    assert place.gpus(devices, environ) == own


@pytest.mark.parametrize(("bound", "share"), [(8, 2), (4, 1)])
def test_tasks_share_the_cores_that_nobody_divided(bound: int, share: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(cores, "count", lambda: bound)
    assert Place(1, 2, local=1, beside=2).sharing == share and Place(1, 2).sharing == 1


def test_an_array_of_several_devices_is_gathered_in_pieces(monkeypatch: pytest.MonkeyPatch):
    array = jnp.arange(60.0).reshape(15, 4)
    by_env = NamedSharding(mesh_of(2), PartitionSpec(None, AXIS))  # type: ignore[arg-type]
    divided = jax.device_put(array, by_env)
    sizes: list[int] = []

    def gather(piece: jax.Array, *, tiled: bool) -> np.ndarray:
        sizes.append(piece.nbytes)
        return np.asarray(piece)

    monkeypatch.setattr(multihost_utils, "process_allgather", gather)
    monkeypatch.setattr(together, "PIECE", 64)
    np.testing.assert_array_equal(together._gathered(divided), array)
    assert sizes == [64, 64, 64, 48]


def test_an_open_mpi_that_tells_no_address_is_told_one():
    environ = {name: value for name, value in OPEN_MPI.items() if name != "OMPI_MCA_orte_hnp_uri"}
    with pytest.raises(BadInput, match="--coordinator: missing; this Open MPI tells no address"):
        distributed.find(True, environ=environ)
    assert distributed.find(True, "node1:9", environ=environ) == Place(3, 4, "node1:9", 1, 2)


@pytest.mark.parametrize("missing", ["SLURM_STEP_NODELIST", "SLURM_LOCALID"])
def test_a_part_of_the_variables_of_slurm_is_none(missing: str):
    """As in a shell of `salloc`, or in the script itself."""
    environ = {name: value for name, value in SLURM.items() if name != missing}
    with pytest.raises(BadInput, match="no launcher found; start it with `srun lerax train ...`"):
        distributed.find(True, environ=environ)


def test_options_say_it_where_there_is_no_launcher():
    assert distributed.find(False, "node1:1234", 2, 1, {}) == Place(1, 2, "node1:1234")
    assert distributed.find(True, "[::1]:1234", 2, 0, SLURM) == Place(0, 2, "[::1]:1234")
    assert distributed.find(False, "node1:1234", 1, 0, {}) is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--distributed",), "--distributed: no launcher found"),
        (("--coordinator", "a:1"), "--num-processes: missing; the three are given together"),
        (("--process-id", "0", "--num-processes", "2"), "--coordinator: missing"),
        (
            ("--coordinator", "a", "--num-processes", "2", "--process-id", "0"),
            "--coordinator: not HOST:PORT (got 'a')",
        ),
        (
            ("--coordinator", "a:0", "--num-processes", "2", "--process-id", "0"),
            "--coordinator: not HOST:PORT",
        ),
        (
            ("--coordinator", "a:9", "--num-processes", "2", "--process-id", "2"),
            "--process-id: not one of 2 (got 2)",
        ),
        (
            ("--coordinator", "a:9", "--num-processes", "0", "--process-id", "0"),
            "--num-processes: out of range",
        ),
        (
            ("--coordinator", "a:9", "--num-processes", "2", "--process-id", "0", "--seeds", "2"),
            "--distributed: not beside several seeds (got 2)",
        ),
    ],
)
def test_what_does_not_say_where_the_others_are_is_refused(tmp_path: Path, given: tuple[str, ...], said: str):
    done = in_process.run("train", "CartPole-v1", "--progress", "off", *given, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.startswith(f"lerax: error: {said}") and done.stderr.count("\n") == 1, done.stderr


class Parts:
    """What is to be agreed on."""

    def __init__(self, **config: Any):
        from lerax_cli.options import TrainingPlan

        nothing = dict.fromkeys(TrainingPlan.__dataclass_fields__)
        self.plan = TrainingPlan(**(nothing | {"seed": 5}))  # type: ignore[arg-type]
        self._config, self.mesh = config, None

    def config(self) -> dict[str, Any]:
        return self._config | {"seed": self.plan.seed}


@pytest.mark.parametrize(("column", "what"), [(1, "settings"), (2, "checkpoints")])
def test_processes_that_would_train_something_else_are_refused(
    monkeypatch: pytest.MonkeyPatch, column: int, what: str
):
    def others(mine: Any) -> Any:
        both = np.stack([mine, mine]).view(np.int64)
        both[1, column] += 1
        return both.view(np.uint32)

    monkeypatch.setattr(multihost_utils, "process_allgather", others)
    with pytest.raises(Failure, match=f"--distributed: process 1 has other {what} than the first; start all"):
        joining.agreed(Parts(steps=1), 0)  # type: ignore[arg-type]


@pytest.mark.parametrize("ignored", [False, True])
def test_a_signal_of_another_process_is_heard_where_the_first_ignores_it(
    monkeypatch: pytest.MonkeyPatch, ignored: bool
):
    heard: list[int] = []
    hear = lambda number, frame: heard.append(number)
    said = (together.Order.ITERATE, 1, signal.SIGHUP)
    monkeypatch.setattr(together.devices, "is_shared", lambda mesh: True)
    monkeypatch.setattr(together, "_exchange", lambda *told: said)
    handlers = {signal.SIGHUP: signal.SIG_IGN if ignored else hear, signal.SIGTERM: hear}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        together.tell(None, together.Order.ITERATE, 1)
        assert heard == [signal.SIGHUP]
        together.tell(None, together.Order.SHOW)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # of a program that leaves it to Python
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        together.tell(None, together.Order.ITERATE, 1)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert heard == [signal.SIGHUP]


class Together:
    """Two processes of one training, each with one device."""

    def __init__(self, folder: Path, name: str, *options: str):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.run = folder / "logs" / name
        self._started = [
            terminal.started(
                terminal.LERAX,
                *TRAIN,
                *("--name", name, "--coordinator", f"127.0.0.1:{port}"),
                *("--num-processes", "2", "--process-id", str(number)),
                *options,
                cwd=folder,
            )
            for number in range(2)
        ]

    def __enter__(self) -> "Together":
        self.processes = [one.__enter__() for one in self._started]
        return self

    def __exit__(self, *told: Any) -> None:
        for one in self._started:
            one.__exit__(*told)

    def finish(self) -> list[tuple[int, str, str]]:
        """Exit code, output and errors of both."""
        said = [process.communicate(timeout=terminal.SECONDS) for process in self.processes]
        return [(process.returncode, *texts) for process, texts in zip(self.processes, said, strict=True)]


TRAIN = ("train", "CartPole-v1", "--preset", "none", "--steps", "40960", "--seed", "1", "--progress", "off")
TRAIN += ("--set", "num_epochs=1", "--save-every", "8192", "--resume", "auto")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which two processes have trained."""
    folder = tmp_path_factory.mktemp("distributed")
    with Together(folder, "whole") as both:
        (code, output, errors), follower = both.finish()
    assert (code, output) == (0, "logs/whole\n"), errors
    assert "finished after 40,960 steps" in errors
    assert re.search(
        "repeat +lerax .*config.toml --coordinator .* --num-processes 2 --process-id 0\n", errors
    )
    assert follower == (0, "", "")
    return folder


def test_two_processes_do_what_one_does_with_two_devices(folder: Path):
    """Two numbers have the same sum in either order: with more they would differ in their last bits."""
    assert "\nprocesses = 2\n" in (folder / "logs" / "whole" / "config.toml").read_text()
    options = (*TRAIN[:-2], "--devices", "2", "--name", "one")
    done = terminal.run(*options, cwd=folder)
    assert done.returncode == 0, done.stderr
    check_same(folder / "logs" / "one", folder / "logs" / "whole")


FAULTS = [(1, signal.SIGKILL)]
if os.environ.get("LERAX_FAULTS") == "all":
    FAULTS += [(0, signal.SIGKILL), (0, signal.SIGTERM), (1, signal.SIGTERM), (1, signal.SIGINT)]
    FAULTS += [(2, signal.SIGTERM), (2, signal.SIGINT)]  # both, as schedulers and terminals do


@pytest.mark.parametrize(("which", "number"), FAULTS)
def test_a_process_that_ends_ends_all_and_they_go_on_bitwise(
    folder: Path, which: int, number: signal.Signals
):
    name = f"{number.name.lower()}_{which}"
    with Together(folder, name) as both:
        terminal.wait_for(lambda: saved(both.run)[-1:] > [0], both.processes[0])
        for process in both.processes[which : which + 1] or both.processes:
            process.send_signal(number)
        ended = both.finish()
    if number == signal.SIGKILL:
        other = ended[1 - which]
        assert (other[0], other[1]) == (1, "")
        last = other[2].splitlines()[-1]
        assert last.startswith("lerax: error: --distributed: another process of the training has ended")
        assert last.endswith("--resume goes on where it was last saved")
    else:  # it is passed on to the first, which saves and ends all
        assert [code for code, *_ in ended] == [128 + number, 0], ended
        assert "interrupted after" in ended[0][2]
    assert 0 < saved(both.run)[-1] < 40_960
    with Together(folder, name) as both:
        first, follower = both.finish()
    assert (first[0], follower) == (0, (0, "", "")), first
    whole = folder / "logs" / "whole"
    assert learned(both.run) == learned(whole)


def test_the_first_process_alone_says_that_a_run_is_complete(folder: Path):
    with Together(folder, "whole") as both:
        (code, output, errors), follower = both.finish()
    assert (code, output) == (0, "logs/whole\n") and "whole is complete after 40,960 steps" in errors
    assert follower == (0, "", "")


def test_another_number_of_processes_goes_on_and_says_so(folder: Path):
    done = in_process.run("resume", "whole", "--steps", "+512", "--progress", "off", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert (
        "warning: whole was divided among 1 device of each of 2 processes, now 1 device: no more bit"
        in done.stderr
    )
    assert "processes" not in (folder / "logs" / "whole" / "config.toml").read_text()
