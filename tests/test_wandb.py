"""Weights & Biases: what a run leaves, read record by record, and what becomes of a run when wandb fails."""

import atexit
import dataclasses
import enum
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest
import terminal
import wandb_server
from wandb_files import config, history, records

from lerax import registry
from lerax.backend import dispatch, wandb
from lerax.callback import WandbBackend

KEY = "0123456789abcdef0123456789abcdef01234567"
NOWHERE = "http://127.0.0.1:9"  # nobody listens on the discard port
FRAMES = np.full((2, 32, 48, 3), 128, np.uint8) + np.arange(2, dtype=np.uint8)[:, None, None, None] * 64


def forget_the_user(patch, home):
    """No settings, key or mode of whoever runs the tests."""
    for name in os.environ:
        if name.startswith("WANDB_"):
            patch.delenv(name)
    home.mkdir()
    patch.setenv("HOME", str(home))
    patch.setenv("NETRC", str(home / ".netrc"))


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("user") / "home"
    forget_the_user(monkeypatch, folder)
    return folder


def run_of(folder):
    return next(record.run for record in records(folder) if record.HasField("run"))


def merged(rows):
    """Rows of one step as one, as the run's own tables have an iteration and its evaluation."""
    found = {}
    for row in rows:
        found.setdefault(row["step"], {}).update(row)
    return list(found.values())


def said(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "lerax"]


def brief(folder, *numbers, **options):
    """A run of a few numbers; returns its directory."""
    backend = WandbBackend(log_dir=folder, **options)
    backend.open("run")
    for step, number in enumerate(numbers or (1.0,), 1):
        backend.log_scalars({"x": number}, step)
    backend.close()
    return folder / "run"


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The directory of a run with everything in it, and the video that was written."""
    folder = tmp_path_factory.mktemp("wandb")
    with pytest.MonkeyPatch.context() as patch:
        forget_the_user(patch, folder / "home")
        hooks = []
        patch.setattr(atexit, "register", lambda function, *_, **__: hooks.append(function.__module__))
        before = sys.exit, sys.excepthook
        backend = WandbBackend(
            "mine", {"lr": 3e-4, "kept": "yes"}, tags=["a", "b"], group="g", log_dir=folder
        )
        backend.open("run")
        assert backend.run.name == "run"
        backend.log_hparams({"algorithm": "PPO", "lr": 1e-3, "sizes": (8, 8), "on": True})
        for step in (10, 20, 15, 30):  # a value of the past may come late
            backend.log_scalars({"train/loss": step / 3, "odd": math.nan}, step)
        backend.log_video("eval/video", FRAMES, 30, 10.0)
        backend.log_scalars({"odd": math.inf, "low": -math.inf}, 40)
        backend.log_phase("training")
        backend.close()
        assert before == (sys.exit, sys.excepthook) and not {"wandb", "opentelemetry"} & {
            module.partition(".")[0] for module in hooks
        }, "hooks into the end of the process"
        assert not [name for name in os.environ if name.startswith("WANDB_")]
        assert list((folder / "home").iterdir()) == []
    return folder / "run"


def test_the_config_is_the_users_and_what_training_logs(done):
    expected = {"kept": "yes", "lr": 1e-3, "algorithm": "PPO", "sizes": [8, 8], "on": True}
    assert config(done) == expected


def test_every_value_is_at_its_step_and_none_is_dropped(done):
    rows = [row for row in history(done) if "train/loss" in row]
    assert [(row["step"], row["train/loss"]) for row in rows] == [
        (step, step / 3) for step in (10, 20, 15, 30)
    ]
    assert all(math.isnan(row["odd"]) for row in rows)
    assert history(done)[-1] == {"step": 40, "odd": math.inf, "low": -math.inf}


def test_the_x_axis_is_the_steps(done):
    metrics = [record.metric for record in records(done) if record.HasField("metric")]
    assert {(m.name or m.glob_name, m.step_metric) for m in metrics} == {("step", ""), ("*", "step")}


def test_the_video_is_kept_as_mp4(done):
    (row,) = [row["eval/video"] for row in history(done) if "eval/video" in row]
    (path,) = done.glob(f"wandb/*/files/{row['path']}")
    assert row["_type"] == "video-file" and row["size"] == path.stat().st_size
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert container.streams.video[0].average_rate == 10
    np.testing.assert_allclose(np.stack(frames), FRAMES, atol=8)
    assert [file.name for file in done.glob("**/*.mp4")] == [path.name], "nothing else is left"


def test_the_run_is_named_as_lerax_names_it(done):
    run = run_of(done)
    assert (run.display_name, run.project, run.run_group, list(run.tags)) == ("run", "mine", "g", ["a", "b"])
    assert run.run_id.startswith("run-")
    assert {record.exit.exit_code for record in records(done) if record.HasField("exit")} == {0}


def test_nothing_is_recorded_of_machine_code_and_process(done):
    assert list(done.iterdir()) == [done / "wandb"]
    assert [path.name for path in done.glob("wandb/*/files/*")] == ["media"]
    kinds = {record.WhichOneof("record_type") for record in records(done)}
    assert not kinds & {"stats", "output", "output_raw", "environment"}
    assert not run_of(done).git.commit


def test_no_process_or_thread_is_left(done):
    listed = subprocess.run(["ps", "-o", "args", "--ppid", str(os.getpid())], capture_output=True, text=True)
    assert "wandb" not in listed.stdout
    assert not [thread.name for thread in threading.enumerate() if "wandb" in thread.name]


def test_without_a_key_a_run_is_offline_and_says_so_in_one_line(tmp_path, caplog, capfd, monkeypatch):
    monkeypatch.setattr(wandb, "_is_attended", lambda: True)
    run = brief(tmp_path)
    assert [row["x"] for row in history(run)] == [1.0]
    (line,) = said(caplog)
    assert "offline" in line and "wandb login" in line and f"{run}/wandb" in line
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("options", [{}, {"mode": "offline"}], ids=["WANDB_MODE", "mode"])
def test_who_asks_for_offline_is_told_nothing(tmp_path, caplog, capfd, monkeypatch, options):
    monkeypatch.setenv("WANDB_MODE", "online" if options else "offline")
    assert history(brief(tmp_path, **options))
    assert said(caplog) == [] and capfd.readouterr() == ("", "")


def test_wandbs_own_variables_decide_what_is_not_given(tmp_path, monkeypatch):
    variables = {
        "PROJECT": "p",
        "ENTITY": "e",
        "RUN_GROUP": "g",
        "TAGS": "a,b",
        "NOTES": "n",
        "NAME": "other",
    }
    for name, value in variables.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    run = run_of(brief(tmp_path / "one"))
    assert (run.project, run.entity, run.run_group, list(run.tags), run.notes) == (
        "p",
        "e",
        "g",
        ["a", "b"],
        "n",
    )
    assert run.display_name == "run"
    given = run_of(brief(tmp_path / "two", project="mine", entity="me", group="us", tags=["c"]))
    assert (given.project, given.entity, given.run_group, list(given.tags)) == ("mine", "me", "us", ["c"])


def test_seeds_of_one_training_are_a_group(tmp_path: Path):
    (tmp_path / "many").mkdir()
    (tmp_path / "many" / "seeds.json").write_text("{}")
    run = run_of(brief(tmp_path / "many"))
    assert (run.run_group, run.display_name) == ("many", "many/run")


def test_the_project_is_lerax_by_default(tmp_path):
    assert run_of(brief(tmp_path)).project == "lerax"


def test_a_run_that_goes_on_has_the_id_that_it_had(tmp_path):
    first = run_of(brief(tmp_path, 1.0)).run_id
    run = brief(tmp_path, 2.0)
    assert {record.run.run_id for record in records(run) if record.HasField("run")} == {first}
    assert sorted(row["x"] for row in history(run)) == [1.0, 2.0]
    other = run_of(brief(tmp_path / "other")).run_id
    assert other != first, "runs of one name on two machines are two runs"
    assert run_of(brief(tmp_path / "given", id="abc")).run_id == "abc"


def test_a_run_that_goes_on_gives_nothing_twice(tmp_path, monkeypatch):
    """W&B takes nothing back: what it has of the steps that come again is not sent again."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    run = tmp_path / "run"
    for begin, end in ((0, 6), (3, 4), (3, 9), (9, 11)):  # the second is killed before it has caught up
        backend = WandbBackend(log_dir=tmp_path)
        backend.open("run")
        if begin:
            backend.resume(begin)
        for step in range(begin + 1, end + 1):
            backend.log_scalars({"x": step / 3}, step)
            if step % 2 == 0:
                backend.log_scalars({"eval": step / 7}, step)
            if step == 5:
                backend.log_scalars({"late": 1.0}, step - 2)
                backend.log_video("eval/video", FRAMES, step, 10.0)
            backend.flush()
        backend.close()
    rows = history(run)
    steps = {
        name: [row["step"] for row in rows if name in row] for name in ("x", "eval", "late", "eval/video")
    }
    expected = {"x": [*range(1, 12)], "eval": [2, 4, 6, 8, 10], "late": [3], "eval/video": [5]}
    assert steps == expected and all(row["x"] == row["step"] / 3 for row in rows if "x" in row)
    assert len({record.run.run_id for record in records(run) if record.HasField("run")}) == 1
    own = [record.history.step.num for record in records(run) if record.HasField("history")]
    assert own == [*range(len(rows))], "uploaded one after the other, they are one history"


def test_what_a_killed_process_has_given_is_known(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    for begin in (0, 1):
        backend = WandbBackend(log_dir=tmp_path)
        backend.open("run")
        if begin:
            backend.resume(begin)
        for step in (begin + 1, begin + 2):
            backend.log_scalars({"x": float(begin)}, step)
        backend.flush()
        backend._process.close()  # kills it
    assert (tmp_path / "run" / "wandb" / "sent").read_text().split() == ["3", "3", "1", "-1"]


def test_a_failed_training_is_a_failed_run(tmp_path):
    backend = WandbBackend(log_dir=tmp_path)
    backend.open("run")
    backend.log_phase("failed")
    backend.close()
    assert {r.exit.exit_code for r in records(tmp_path / "run") if r.HasField("exit")} == {1}


def test_a_disabled_run_leaves_nothing(tmp_path, caplog):
    run = brief(tmp_path, mode="disabled")
    assert list(run.glob("**/*")) == [run / "wandb"] and not said(caplog)


def test_a_run_of_the_users_own_goes_on(tmp_path):
    """Its service is not ended with ours."""
    import wandb

    own = wandb.init(dir=tmp_path, mode="offline", settings=wandb.Settings(console="off", silent=True))
    try:
        brief(tmp_path / "logs")
        own.log({"x": 5.0})
    finally:
        own.finish()
        wandb.teardown()
    assert [row["x"] for row in history(tmp_path)] == [5.0]


def test_an_unknown_mode_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="mode: unknown .*'bogus'.*online, offline"):
        WandbBackend(mode="bogus")
    monkeypatch.setenv("WANDB_MODE", "bogus")
    with pytest.raises(ValueError, match="WANDB_MODE: unknown .*'bogus'.*online, offline"):
        WandbBackend()


def test_wandb_is_not_imported_before_a_run_begins(tmp_path):
    program = (
        "import sys; from lerax.callback import WandbBackend; WandbBackend().close();"
        "print('wandb' in sys.modules)"
    )
    assert terminal.finish([sys.executable, "-c", program], tmp_path, {}).stdout == "False\n"
    assert registry.BACKENDS["wandb"].load() is WandbBackend


def test_no_secret_reaches_a_file(tmp_path, home):
    """P9: neither the key nor a command line."""
    program = (
        "from lerax.callback import WandbBackend; backend = WandbBackend(config={'lr': 1.0});"
        "backend.open('run'); backend.log_scalars({'x': 1.0}, 1); backend.close()"
    )
    command = [sys.executable, "-c", program, "--token", "hunter2-in-the-arguments"]
    variables = {"WANDB_API_KEY": KEY, "WANDB_MODE": "offline", "MY_TOKEN": "hunter2-in-the-environment"}
    done = terminal.finish(command, tmp_path, variables)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    files = [path for folder in (tmp_path, home) for path in folder.glob("**/*") if path.is_file()]
    assert any(path.suffix == ".wandb" for path in files)
    for path in files:
        assert not [word for word in (KEY, "hunter2") if word.encode() in path.read_bytes()], path


@pytest.fixture
def server(monkeypatch):
    """A server, and a key for it."""
    with wandb_server.Server() as running:
        monkeypatch.setenv("WANDB_BASE_URL", running.url)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setenv("WANDB_MODE", "online")
        yield running


def same(rows):
    """As text: NaN is not equal to itself."""
    return json.dumps(rows, sort_keys=True)


def test_what_a_run_leaves_is_what_wandb_uploads(done, server, tmp_path):
    """`wandb sync` reads the directory and brings all of it to the server."""
    (folder,) = done.glob("wandb/offline-run-*")
    command = [sys.executable, "-m", "wandb", "sync", str(folder)]
    synced = terminal.finish(command, tmp_path, {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY})
    assert synced.returncode == 0, synced.stderr
    assert same(server.history) == same(history(done)) and len(server.history) == 6
    assert server.config == config(done)
    (video,) = [content for name, content in server.files.items() if name.endswith(".mp4")]
    assert video == next(done.glob("wandb/*/files/media/**/*.mp4")).read_bytes()


def test_with_a_key_but_no_terminal_a_run_is_offline_and_says_so_in_one_line(tmp_path, caplog, monkeypatch):
    """A job on a server may have no network; who knows that it has says WANDB_MODE=online."""
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    run = brief(tmp_path, 1.0)
    (line,) = said(caplog)
    assert line.startswith("W&B: no terminal") and "WANDB_MODE=online" in line
    assert history(run) == [{"x": 1.0, "step": 1}]


def test_a_run_that_is_asked_to_be_online_is(server, tmp_path, caplog, capfd):
    run = brief(tmp_path, 1.5, math.nan, 3.5, config={"lr": 1.0}, project="mine", group="us")
    assert same(server.history) == same([{"step": i, "x": x} for i, x in enumerate((1.5, math.nan, 3.5), 1)])
    first = server.runs[0]
    assert (first["displayName"], first["project"], first["groupName"]) == ("run", "mine", "us")
    assert server.config == {"lr": 1.0}
    assert said(caplog) == [] and capfd.readouterr() == ("", "")
    told = {path.split("/")[1] for path in server.paths}
    assert told == {"graphql", "files", "upload"}, "nothing else is reported to anybody"
    for path in run.glob("**/*"):
        assert not (path.is_file() and KEY.encode() in path.read_bytes()), path


def test_a_run_goes_on_online(server, tmp_path):
    brief(tmp_path, 1.0)
    brief(tmp_path, 2.0)
    assert [row["x"] for row in server.history] == [1.0, 2.0]
    assert len({run["name"] for run in server.runs}) == 1


def test_what_cannot_be_uploaded_in_time_stays_on_disk(server, tmp_path, monkeypatch):
    """P5: however long the server takes."""
    monkeypatch.setitem(wandb.SETTINGS, "finish_timeout", 1.0)
    backend = WandbBackend(log_dir=tmp_path)
    backend.open("run")
    server.silent.set()
    backend.log_scalars({"x": 1.0}, 1)
    with pytest.raises(TimeoutError, match="the rest: wandb sync .*run/wandb/run-"):
        backend.close()
    assert history(tmp_path / "run") == [{"x": 1.0, "step": 1}]


# The command.


def train(folder, *options, **variables):
    return terminal.run(
        "train", *terminal.BRIEF, "-q", "--backend", "wandb", *options, cwd=folder, **variables
    )


def test_the_command_logs_offline_without_a_key(tmp_path, home):
    """Exit 0, one line of explanation, the path alone on standard output; files nowhere but in the run."""
    done = train(tmp_path)
    run = terminal.only_run(tmp_path / "logs")
    assert (done.returncode, done.stdout) == (0, f"logs/{run.name}\n")
    (line,) = done.stderr.splitlines()
    assert line.startswith("W&B: no terminal")
    expected = [
        {tag: value for tag, value in row.items() if value is not None} for row in terminal.records(run)
    ]
    assert merged(history(run)) == expected
    assert config(run).items() >= {"algorithm": "PPO", "env": "CartPole-v1", "seed": 1}.items()
    assert list(home.iterdir()) == [] and [path.name for path in tmp_path.iterdir()] == ["logs"]


def test_the_command_logs_online_with_a_key_and_a_terminal(tmp_path, server):
    arguments = ("train", *terminal.BRIEF, "--backend", "wandb", "--progress", "off")
    variables = {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": server.url, "WANDB_MODE": None}
    with terminal.Terminal(*arguments, cwd=tmp_path, size=(200, 40), **variables) as shown:
        assert shown.finish() == 0, shown.text()
    assert f"online      {server.url}/me/lerax/runs/" in shown.text() and "warning" not in shown.text()
    rows = terminal.records(tmp_path / shown.output.decode().strip())
    sent = merged(server.history)
    assert [row["step"] for row in sent] == [row["step"] for row in rows]
    assert sent[-1] == rows[-1] and "eval/return" in rows[-1]


def test_nobody_is_asked_at_a_terminal(tmp_path):
    arguments = ("train", *terminal.BRIEF, "--backend", "wandb", "--progress", "off")
    with terminal.Terminal(*arguments, cwd=tmp_path, size=(200, 40)) as shown:
        assert shown.finish() == 0, shown.text()
    assert "no API key" in shown.text() and "finished after" in shown.text()


@pytest.mark.parametrize(
    "variables, words",
    [
        ({"WANDB_MODE": "online"}, ["no API key", "WANDB_MODE=offline"]),
        ({"WANDB_MODE": "online", "WANDB_API_KEY": KEY}, ["refused", "WANDB_MODE=offline"]),
        ({"WANDB_MODE": "online", "WANDB_API_KEY": "short"}, ["WANDB_API_KEY invalid", "WANDB_MODE=offline"]),
    ],
    ids=["no key", "no network", "an impossible key"],
)
def test_a_run_that_cannot_be_online_is_not_begun(tmp_path, variables, words):
    """Exit 1 before anything compiles, with a way out; never a prompt."""
    done = train(tmp_path, WANDB_BASE_URL=NOWHERE, WANDB_INIT_TIMEOUT="2", **variables)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1 and all(word in done.stderr for word in words), done.stderr
    assert KEY not in done.stderr
    assert terminal.facts(terminal.only_run(tmp_path / "logs"))["status"] == "failed"


def test_the_time_limits_keep_what_is_promised():
    """P5: open within 30 s, the end within 10 s."""
    assert wandb.INIT_SECONDS + 10 < dispatch.OPEN_SECONDS  # wandb adds up to 10 s of its own
    assert wandb.UPLOAD_SECONDS < wandb.CLOSE_SECONDS < dispatch.CLOSE_SECONDS <= 9


def test_an_unknown_mode_is_refused_by_the_command(tmp_path):
    done = train(tmp_path, WANDB_MODE="bogus")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("lerax: error: --backend: wandb: WANDB_MODE: unknown (got 'bogus')")
    assert "online, offline" in done.stderr and len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


FAULTY = """
import os, sys
from lerax.backend import wandb
from lerax.callback import run_log
from lerax.processes import children
from lerax_cli.app import run

whom, number, bulk = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
wandb.CLOSE_SECONDS, run_log.CLOSE_SECONDS = 1.0, 2.0
log_scalars = wandb.WandbBackend.log_scalars

def log(self, scalars, step):
    if step == 1024:
        own = self._process._process.pid
        (service,) = children(own)
        open("processes", "w").write(f"{own} {service}")
        os.kill(service if whom == "service" else own, number)
        self._process.tell("log", {"bulk": "x" * bulk})
    log_scalars(self, scalars, step)

wandb.WandbBackend.log_scalars = log
sys.exit(run(sys.argv[4:]))
"""


def is_gone(pid):
    try:
        return terminal.state_of(pid) in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize(
    "whom, signal, bulk",
    [("process", 9, 0), ("process", 19, 0), ("service", 9, 0), ("service", 19, 0), ("service", 19, 2**24)],
    ids=["killed", "stopped", "service killed", "service stopped", "service stopped, hangs in log"],
)
def test_training_outlives_wandbs_processes(tmp_path, whom, signal, bulk):
    """P1, P5: exit 0, one warning, and nothing is left, whatever has happened to them."""
    program = tmp_path / "faulty.py"
    program.write_text(FAULTY)
    arguments = (whom, str(signal), str(bulk), "train", *terminal.BRIEF, "-q", "--backend", "wandb")
    done = terminal.script(program, tmp_path, *arguments, strict=False, WANDB_MODE="offline")
    run = terminal.only_run(tmp_path / "logs")
    assert (done.returncode, done.stdout) == (0, f"logs/{run.name}\n"), done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("lerax: warning: WandbBackend")
    assert len(terminal.records(run)) == 4 and terminal.facts(run)["status"] == "finished"
    assert all(is_gone(int(pid)) for pid in (tmp_path / "processes").read_text().split())


KILLED = """
import os, signal
from lerax.backend import WandbBackend
from lerax.processes import children

backend = WandbBackend()
backend.open("run")
for step in range(1, 1001):
    backend.log_scalars({"x": step / 3}, step)
(own,) = children(os.getpid())
holder = os.fork()  # has the same files open
if holder == 0:
    signal.alarm(60)
    signal.pause()
print(holder, own, *children(own), flush=True)
signal.pause()
"""


def test_a_training_that_is_killed_leaves_no_process_and_all_that_it_logged(tmp_path):
    command = (sys.executable, "-c", KILLED)
    with terminal.started(*command, cwd=tmp_path, WANDB_MODE="offline") as process:
        holder, *pids = [int(word) for word in process.stdout.readline().split()]
        own = f"/proc/{pids[0]}"
        assert {os.readlink(f"{own}/fd/{number}") for number in range(3)} == {os.devnull}
        with open(f"{own}/maps") as file:
            assert "jaxlib" not in file.read()
        for number in (
            signal.SIGINT,
            signal.SIGTERM,
            signal.SIGHUP,
        ):  # as a terminal or scheduler sends to all
            os.killpg(pids[0], number)
        process.kill()
        process.wait()
        end = time.monotonic() + terminal.SECONDS
        while not all(map(is_gone, pids)) and time.monotonic() < end:
            time.sleep(0.01)
        assert not is_gone(holder), "the process ends only with what else has its line open"
        os.kill(holder, signal.SIGKILL)
    assert all(map(is_gone, pids))
    run = tmp_path / "logs" / "run"
    assert [(row["step"], row["x"]) for row in history(run)] == [(step, step / 3) for step in range(1, 1001)]
    assert {record.exit.exit_code for record in records(run) if record.HasField("exit")} == {1}


def test_no_open_stream_is_needed(tmp_path):
    program = (
        "from lerax.backend import WandbBackend; backend = WandbBackend(); backend.open('run');"
        "backend.log_scalars({'x': 1.0}, 1); backend.close()"
    )
    line = 'exec "$0" -c "$1" <&- >&- 2>&-'
    done = terminal.finish(["sh", "-c", line, sys.executable, program], tmp_path, {"WANDB_MODE": "offline"})
    assert done.returncode == 0 and history(tmp_path / "logs" / "run") == [{"x": 1.0, "step": 1}]


@dataclasses.dataclass
class Part:
    sizes: tuple[int, ...]
    kind: type


class Kind(enum.Enum):
    ONE = "one"


def test_values_of_any_type_are_what_wandb_makes_of_them(tmp_path):
    from wandb.util import json_friendly_val

    given = {
        "single": np.float32(0.1),
        "array": np.arange(3),
        "large": np.arange(100.0),
        "nothing": None,
        "path": Path("a/b"),
        "set": {1},
        "kind": Kind.ONE,
        "function": math.sqrt,
        "inner": {"part": Part((1, 2), Part), "more": [np.int64(3), (True, "x")]},
    }
    run = brief(tmp_path, mode="offline", config=given)
    assert config(run) == json_friendly_val(given)
