"""`lerax slurm` under a stand-in for SLURM: scripts run to their end, through a preemption and a limit."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import in_process
import pytest
import terminal
from slurm.cluster import FIRST_ID, Cluster, Job
from test_cli_resume import TRAIN, check_same, learned, saved

from lerax.run import read_facts
from lerax_cli import slurm_checks
from lerax_cli.slurm_checks import slurm_checks as all_checks

SEED = TRAIN.index("--seed")
ASKED = (*TRAIN[:SEED], *TRAIN[SEED + 2 :], "--save-every", "1d")  # so that checkpoints come of signals alone
TINY = ("train", "CartPole-v1", "--steps", "2048")
TASK_OF_TWO = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1", "SLURM_LOCALID": "0", "SLURM_NTASKS": "2"}
TASKS = ("--tasks-per-node", "2", "--cpus", "1")


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    """An empty queue."""
    return Cluster(tmp_path)


def submit(cluster: Cluster, *arguments: str, cwd: Path) -> terminal.Finished:
    """`lerax slurm --submit` with the stand-in on PATH."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.variables.items():
            patch.setenv(name, value)
        return in_process.run("slurm", "--submit", *arguments, cwd=cwd)


def until_it_trains(run: Path, job: Job) -> None:
    """Waits until a job has trained further than what is saved."""
    before = saved(run)[-1] if run.exists() else 0
    trains = lambda: (run / "run.json").exists() and read_facts(run).get("steps", 0) > before
    terminal.wait_for(trains, job.process)


def test_a_job_is_preempted_and_comes_to_its_limit_and_ends_as_if_nothing_had_been(
    tmp_path: Path, cluster: Cluster
):
    """Bitwise. Of an array, whose first task's number is that of the array: no other task is touched."""
    done = submit(cluster, "--array", "1,2", *ASKED, "--name", "job", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"Submitted batch job {FIRST_ID}\n"), done.stderr
    run = tmp_path / "logs" / "job-1"
    with cluster.started(FIRST_ID) as first:
        until_it_trains(run, first)
        assert first.preempt() == 143
    facts = terminal.facts(run)
    assert facts["status"] == "interrupted" and saved(run)[-1] == facts["steps"]
    with cluster.started(FIRST_ID) as second:
        until_it_trains(run, second)
        second.time_is_nearly_up()
        assert second.end() == 143
    assert cluster.queue()[FIRST_ID]["state"] == "PENDING"
    assert cluster.queue()[FIRST_ID]["restarts"] == 2
    with cluster.started(FIRST_ID) as last:
        assert last.process.wait() == 0
        last.end()
    assert [job["state"] for job in cluster.queue().values()] == ["COMPLETED", "PENDING"]
    assert cluster.queue()[FIRST_ID + 1]["restarts"] == 0
    facts = terminal.facts(run)
    assert [one["status"] for one in facts["sessions"]] == ["interrupted", "interrupted"]
    assert facts["status"] == "finished" and facts["seed"] == 1
    log = (tmp_path / f"job-{FIRST_ID}_1.log").read_text()
    assert log.splitlines().count("logs/job-1") == 3, log
    whole = terminal.warm(*TRAIN, "--name", "whole", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    check_same(run, tmp_path / "logs" / "whole")


def test_a_job_of_several_tasks_is_one_training_that_goes_on_after_a_preemption_and_a_limit(
    tmp_path: Path, cluster: Cluster
):
    """Bitwise what one process learns with two devices, as two processes do that nothing ends."""
    training = (*ASKED, "--seed", "1", "--set", "num_epochs=1")
    job = ("--name", "job", "--distributed")
    assert submit(cluster, *TASKS, *training, *job, cwd=tmp_path).returncode == 0
    run = tmp_path / "logs" / "job"
    with cluster.started(FIRST_ID) as first:
        until_it_trains(run, first)
        assert first.preempt() == 143
    assert terminal.facts(run)["status"] == "interrupted" and saved(run)[-1] > 0
    with cluster.started(FIRST_ID) as second:
        until_it_trains(run, second)
        second.time_is_nearly_up()
        assert second.end() == 143
    assert (cluster.queue()[FIRST_ID]["state"], cluster.queue()[FIRST_ID]["restarts"]) == ("PENDING", 2)
    with cluster.started(FIRST_ID) as last:
        assert last.process.wait() == 0  # nothing asks it to end: there is no grace to keep
        last.end()
    facts = terminal.facts(run)
    assert [one["status"] for one in facts["sessions"]] == ["interrupted", "interrupted"]
    assert facts["status"] == "finished" and cluster.queue()[FIRST_ID]["state"] == "COMPLETED"
    log = (tmp_path / f"job-{FIRST_ID}.log").read_text()
    assert log.splitlines().count("logs/job") == 3, log
    whole = terminal.whole(*training, "--name", "whole", "--devices", "2", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    assert learned(run) == learned(tmp_path / "logs" / "whole")


def test_a_job_that_fails_is_not_started_again(tmp_path: Path, cluster: Cluster):
    """It ends with the training's own exit code."""
    assert submit(cluster, *TINY, "--name", "taken", cwd=tmp_path).returncode == 0
    (tmp_path / "logs" / "taken").mkdir(parents=True)
    (tmp_path / "logs" / "taken" / "other").touch()
    with cluster.started(FIRST_ID) as job:
        job.process.wait()
        assert job.end() == 1
    assert cluster.queue()[FIRST_ID]["state"] == "FAILED"
    assert "--resume" in (tmp_path / f"taken-{FIRST_ID}.log").read_text()


@pytest.mark.parametrize(
    "arguments",
    [
        (*TINY, "--name", "one"),
        ("--array", "0-4%2", "--gpus", "1", "--partition", "gpu", "--sbatch", "--qos=long", *TINY),
        (*TINY, "--seeds", "3", "--set", "policy.activation=relu", "--out", "a folder's"),
        ("--array", "1-2", "sweep", "CartPole-v1", "--try", "gamma=0.9,0.99", "--steps", "2048"),
        ("--nodes", "2", "--array", "0-2", *TINY, "--distributed"),
    ],
    ids=["one", "array", "seeds", "sweep", "tasks"],
)
def test_scripts_pass_shellcheck(tmp_path: Path, cluster: Cluster, arguments: tuple[str, ...]):
    """Also where folders have names that a shell would take apart; and sbatch knows all that they ask for."""
    folder = tmp_path / "it's a folder & more"
    folder.mkdir()
    done = in_process.run("slurm", *arguments, cwd=folder)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    syntax = subprocess.run(["bash", "-n"], input=done.stdout, text=True, capture_output=True)
    assert (syntax.returncode, syntax.stderr) == (0, "")
    if (shellcheck := shutil.which("shellcheck")) is not None:
        found = subprocess.run([shellcheck, "-"], input=done.stdout, text=True, capture_output=True)
        assert found.returncode == 0, found.stdout
    assert submit(cluster, *arguments, cwd=folder).returncode == 0
    asked = cluster.queue()[FIRST_ID]["asked"]
    assert (asked["signal"], asked["open-mode"], "requeue" in asked) == ("B:USR1@90", "append", True)
    into = next(line for line in done.stdout.splitlines() if line.startswith("cd "))
    assert subprocess.check_output(["bash", "-c", f"{into}; pwd"], text=True) == f"{folder}\n"
    assert not list(folder.iterdir()), "nothing is made before the job starts"


def test_the_script_of_the_docs_is_what_is_printed(tmp_path: Path):
    """Somebody else's folder and Python instead of these."""
    page = (Path(__file__).parents[1] / "docs" / "cluster.md").read_text()
    block = page.partition("```bash\n")[2].partition("```")[0]
    printed = in_process.run(
        "slurm", "--array", "0-4", "train", "Hopper-v5", "--name", "hopper", cwd=tmp_path
    )
    assert printed.stdout.replace(str(tmp_path), "/home/me/work").replace(sys.executable, "python") == block


def test_a_run_is_named_for_all_starts_of_its_job(tmp_path: Path):
    """By the user or by lerax; of an array with the seed behind it; a run that goes on has its name."""

    def line(*words: str) -> str:
        script = in_process.run("slurm", *words, cwd=tmp_path).stdout
        return next(line for line in script.splitlines() if "lerax_cli" in line)

    assert "train --name mine --resume auto CartPole-v1 --steps 2048 &" in line(*TINY, "--name=mine")
    assert " --name ppo_CartPole-v1_2" in line(*TINY, "--resume", "auto")
    task = "$SLURM_ARRAY_TASK_ID"
    assert f'--name "mine-{task}" --seed "{task}" --resume auto' in line("--array=1", *TINY, "--name", "mine")


def test_a_job_of_several_tasks_says_what_each_has_and_tells_the_tasks_alone(tmp_path: Path):
    """Those of a node see all of its GPUs; of an array's job those of this task of it are meant."""
    asked = ("--nodes", "3", "--tasks-per-node", "4", "--gpus", "2", "--cpus", "6", "--mem", "9G")
    words = ("--array", "5", *TINY, "--distributed", "--devices", "2", "--name", "big")
    lines = in_process.run("slurm", *asked, *words, cwd=tmp_path).stdout.splitlines()
    wanted = ("nodes=3", "ntasks-per-node=4", "gpus-per-node=8", "cpus-per-task=6", "mem=9G")
    assert {f"#SBATCH --{one}" for one in wanted} <= set(lines)
    assert not [line for line in lines if re.match("#SBATCH --(ntasks|gpus)=", line)]
    (start,) = (line for line in lines if line.startswith("srun "))
    assert start.startswith(f"srun --kill-on-bad-exit=1 --wait=0 --cpus-per-task=6 {sys.executable} ")
    task = "$SLURM_ARRAY_TASK_ID"
    named = f'train --name "big-{task}" --seed "{task}" --resume auto'
    assert start.endswith(f"{named} CartPole-v1 --steps 2048 --distributed --devices 2 &")
    this = f'"${{SLURM_ARRAY_JOB_ID}}_{task}"'
    assert any(f"scancel --signal=TERM {this}' USR1" in line for line in lines)
    assert not [line for line in lines if "kill -TERM" in line]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "COMMAND: missing"),
        (("trian",), "trian"),
        (("train",), "ENV: missing"),
        (("train", "CartPole-v9"), "CartPole-v1"),
        ((*TINY, "--set", "gama=1"), "gamma"),
        ((*TINY, "--set", "gamma=2"), "--set"),
        ((*TINY, "--time-limit", "3h"), "--time-limit: the job has one of its own"),
        ((*TINY, "--resume", "latest"), "--resume: another may be the latest"),
        ((*TINY, "--resume", "nothing"), "--resume"),
        ((*TINY, "--name", "../x"), "--name: not a name"),
        ((*TINY, "--distributed"), "--distributed: of one task; give --nodes or --tasks-per-node"),
        (("--nodes", "2", *TINY), "--nodes: more than one task (got --nodes 2): add --distributed"),
        ((*TASKS, *TINY), "--tasks-per-node: more than one task (got --tasks-per-node 2): add"),
        ((*TASKS, *TINY, "--distributed", "--seeds", "2"), "--distributed: not beside several seeds (got 2)"),
        ((*TASKS, *TINY, "--distributed", "--num-processes", "2"), "--num-processes: SLURM says it"),
        ((*TINY, "--coordinator", "node1:9"), "--coordinator: SLURM says it to the tasks (got node1:9)"),
        (
            (*TASKS, "--gpus", "2", *TINY, "--distributed", "--devices", "all"),
            "--devices: the tasks of a node see all of its GPUs (got 'all'); --devices 2",
        ),
        ((*TASKS, "sweep", "CartPole-v1", "--try", "gamma=0.9,1"), "--tasks-per-node: a sweep's job has one"),
        (("--array", "0-2", *TINY, "--seed", "1"), "--seed: not beside --array"),
        (("--array", "0-2", *TINY, "--seeds", "2"), "--seeds: not beside --array"),
        (("--array", "0-2", *TINY, "--resume", "old"), "--resume: not beside --array"),
        (("--array", "4294967296", *TINY), "--array: "),
        (("--array", "a-b", *TINY), "--array: not what sbatch takes (got 'a-b')"),
        (("--time", "soon", *TINY), "--time: not a time limit (got 'soon')"),
        (("--time", "00:01:00", *TINY), "--time: at least 5 minutes"),
        (("--partition", "a b", *TINY), "--partition"),
        (("--mem", "much", *TINY), "--mem"),
        (("--cpus", "0", *TINY), "--cpus"),
        (("--sbatch", "qos\n", *TINY), "--sbatch"),
        (("sweep", "CartPole-v1"), "--try: missing"),
        (("sweep", "CartPole-v1", "--try", "gamma=0.9,1", "--name", "a\nb"), "--name: not a name"),
        (("sweep", "show", "one"), "show: trains nothing"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_is_submitted(
    tmp_path: Path, cluster: Cluster, arguments: tuple[str, ...], words: str
):
    done = submit(cluster, *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert words in done.stderr and len(done.stderr.splitlines()) == 1
    assert not cluster.queue()


@pytest.mark.parametrize("time", ["5", "5:00", "0:05:00", "0-1", "1-0:30", "1-00:00:30"])
def test_all_forms_of_a_time_limit_are_taken(tmp_path: Path, time: str):
    assert f"#SBATCH --time={time}\n" in in_process.run("slurm", "--time", time, *TINY, cwd=tmp_path).stdout


def test_sbatch_that_refuses_or_is_missing_is_one_line(tmp_path: Path, cluster: Cluster):
    """Exit 1, and nothing on standard output."""
    done = submit(cluster, "--partition", "nowhere", *TINY, cwd=tmp_path)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert "Invalid partition name specified" in done.stderr
    cluster.variables["PATH"] = str(tmp_path)
    done = submit(cluster, *TINY, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "--submit: sbatch is not on PATH" in done.stderr


@pytest.fixture
def node(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A node with SLURM's commands, outside of a job."""
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)
    for name, value in cluster.variables.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_doctor_finds_the_commands_and_says_that_it_is_no_job(node: pytest.MonkeyPatch, tmp_path: Path):
    checks = all_checks()
    assert list(checks) == [f"slurm.{name}" for name in ("sbatch", "srun", "scontrol", "locks", "job")]
    assert checks["slurm.scontrol"].try_it().startswith("slurm 23.11.4, ")
    with pytest.raises(OSError, match="no job: SLURM_JOB_ID"):
        checks["slurm.job"].try_it()
    assert not checks["slurm.job"].needed and checks["slurm.sbatch"].needed
    node.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="sbatch is not on PATH"):
        checks["slurm.sbatch"].try_it()


@pytest.mark.parametrize(
    ("name", "variables", "said"),
    [
        (
            "job",
            {"SLURM_RESTART_COUNT": "2", "SLURM_JOB_END_TIME": "0"},
            "job 1, put back into the queue 2 times",
        ),
        ("job", TASK_OF_TWO | {"SLURM_STEP_NODELIST": "node[1-2]"}, "job 1, task 1 of 2 on node[1-2]"),
        ("cores", {"SLURM_CPUS_PER_TASK": "4", "SLURM_CPUS_ON_NODE": "4"}, "may use 4 cores"),
        ("cores", {"SLURM_CPUS_PER_TASK": "3", "SLURM_CPUS_ON_NODE": "4"}, "asked for 3"),
        ("memory", {"SLURM_MEM_PER_NODE": "1"}, "asked for 1 MiB"),
        ("gpus", {}, "the job has none"),
    ],
)
def test_doctor_holds_what_a_job_has_against_what_it_asked_for(
    node: pytest.MonkeyPatch, name: str, variables: dict[str, str], said: str
):
    node.setattr(slurm_checks.cores, "count", lambda: 4)
    for key, value in {"SLURM_JOB_ID": "1", **variables}.items():
        node.setenv(key, value)
    assert said in all_checks()[f"slurm.{name}"].try_it()


@pytest.mark.parametrize(
    ("name", "variables", "said"),
    [
        ("job", TASK_OF_TWO, "SLURM_STEP_NODELIST is not set: the 2 tasks would not find each other"),
        ("cores", {"SLURM_CPUS_PER_TASK": "8", "SLURM_CPUS_ON_NODE": "8"}, "may use 4 cores"),
        ("cores", {"SLURM_CPUS_ON_NODE": "2"}, "those of other jobs"),
        (
            "memory",
            {"SLURM_MEM_PER_CPU": "900000000", "SLURM_CPUS_ON_NODE": "4"},
            "asked for 3,600,000,000 MiB",
        ),
        ("gpus", {"SLURM_JOB_GPUS": "0,1"}, "the job has 2, JAX sees none"),
    ],
)
def test_doctor_says_what_a_job_has_not_got(
    node: pytest.MonkeyPatch, name: str, variables: dict[str, str], said: str
):
    node.setattr(slurm_checks.cores, "count", lambda: 4)
    for key, value in {"SLURM_JOB_ID": "1", **variables}.items():
        node.setenv(key, value)
    with pytest.raises(OSError, match=said):
        all_checks()[f"slurm.{name}"].try_it()


def test_doctor_tells_how_far_locks_count(node: pytest.MonkeyPatch, tmp_path: Path):
    """A file system of the node, one of all nodes, and one whose locks end at the node."""
    node.chdir(tmp_path)
    mounts = tmp_path / "mounts"
    node.setattr(slurm_checks, "MOUNTS", mounts)
    try_it = all_checks()["slurm.locks"].try_it
    mounts.write_text("disk / ext4 rw 0 0\n")
    assert "other nodes do not see" in try_it()
    mounts.write_text(f"disk / ext4 rw 0 0\nserver:/home {tmp_path} nfs4 rw,hard 0 0\n")
    assert try_it() == f"locks count in {tmp_path} (nfs4)"
    mounts.write_text(f"server:/home {tmp_path} nfs rw,local_lock=all 0 0\n")
    with pytest.raises(OSError, match="local_lock=all.*end at the node"):
        try_it()
    node.setattr(slurm_checks, "try_lock", lambda file: None)
    with pytest.raises(OSError, match="has no locks"):
        try_it()
