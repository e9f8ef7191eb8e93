"""Ctrl-C and its kin: what was learned is kept, and the command ends as a shell expects."""

import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import jax
import pytest
import terminal
from jax import random as jr

from lerax import checkpoint
from lerax.env.classic_control import CartPole
from lerax.policy import MLPActorCriticPolicy
from lerax.run import read_facts

ENDLESS = (terminal.LERAX, "train", *terminal.ENDLESS, "--progress", "off")
STEPS = re.compile(r"([\d,]+) of [\d,]+ steps")
HEARD = "lerax: stopping {}; again to end at once"
BUSY = """
import hashlib, sys, time
from lerax_cli.signals import Signals
with Signals() as signals:
    signals.phase = sys.argv[1]
    signals.at_once = lambda: print('last words', flush=True)
    print('inside', flush=True)
    hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)
"""
EARLY = """
import os, signal, sys
wanted = sys.argv[1]
class Finder:
    def find_spec(self, name, *_):
        if name == wanted:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
sys.argv = ['lerax', 'doctor']
from lerax_cli.__main__ import main
main()
"""
SAVES = """
import os, signal, sys
from lerax import archive
write, name = archive.write, sys.argv.pop(1)
def told(path, *arguments, **options):
    if path.name == name:
        os.kill(os.getpid(), signal.SIGTERM)
    write(path, *arguments, **options)
archive.write = told
from lerax_cli.__main__ import main
main()
"""
LATE = """
import atexit, os, signal, sys
atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT))
sys.argv = ['lerax', '--version']
from lerax_cli.__main__ import main
main()
"""
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


def wait_until_inside(process: subprocess.Popen[str]) -> None:
    """Waits until `BUSY` computes in compiled code: from the word to there it needs no time to speak of."""
    assert process.stdout is not None and process.stdout.readline() == "inside\n"
    began = terminal.cpu_seconds(process.pid)
    terminal.wait_for(lambda: terminal.cpu_seconds(process.pid) > began + 0.2, process)


def lines(folder: Path) -> int:
    """Iterations that the one run has logged so far."""
    return (terminal.only_run(folder / "logs") / "metrics.jsonl").read_bytes().count(b"\n")


def newest(run: Path) -> int:
    """The steps of a run's newest checkpoint, which is verified."""
    return checkpoint.check(max((run / "checkpoints").glob("*.lerax")))["steps"]


@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
def test_signal_in_training_saves_the_policy(tmp_path: Path, number: signal.Signals):
    """P4: the run is marked, its policy can be loaded, its path is printed; exit 128 + the number."""
    with terminal.started(*ENDLESS, cwd=tmp_path) as process:
        terminal.wait_for(lambda: terminal.trains(tmp_path), process)
        process.send_signal(number)
        out, err = process.communicate(timeout=terminal.SECONDS)
    run = terminal.only_run(tmp_path / "logs")
    assert process.returncode == CODES[number]
    assert out == f"logs/{run.name}\n"
    assert "interrupted after" in err and "Traceback" not in err
    facts = terminal.facts(run)
    assert facts["status"] == "interrupted" and newest(run) == facts["steps"] > 0
    fresh = MLPActorCriticPolicy(env=CartPole(), key=jr.key(0))
    loaded = checkpoint.load(run / "policy.eqx", fresh)
    assert jax.tree.structure(loaded) == jax.tree.structure(fresh)


def test_metrics_are_complete_after_a_signal(tmp_path: Path):
    """P3: every iteration that was made is logged, and the steps in run.json are its last."""
    with terminal.started(*ENDLESS, cwd=tmp_path) as process:
        terminal.wait_for(lambda: terminal.trains(tmp_path), process)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=terminal.SECONDS)
    run = terminal.only_run(tmp_path / "logs")
    steps = [row["step"] for row in terminal.records(run)]
    assert steps == list(range(512, terminal.facts(run)["steps"] + 1, 512))


def test_second_signal_ends_at_once(tmp_path: Path):
    """P4: the code is that of one of them, nothing half-written is left, and the run is marked."""
    with terminal.started(*ENDLESS, cwd=tmp_path) as process:
        terminal.wait_for(lambda: terminal.trains(tmp_path), process)
        process.send_signal(signal.SIGSTOP)  # so that the two come together
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
        out, err = process.communicate(timeout=terminal.SECONDS)
    assert process.returncode in (130, 143)  # signals that come together have no order
    assert (out, err) == ("", "")
    run = terminal.only_run(tmp_path / "logs")
    names = {path.name for path in run.iterdir()}
    # The chunk may have ended, and the policy been saved, in the moment that the run was marked.
    always = {"run.json", "run.lock", "config.toml", "metrics.jsonl", "checkpoints"}
    assert names - {"policy.eqx"} == always
    assert terminal.facts(run)["status"] == "interrupted"


def test_signal_while_importing_crashes_nothing(tmp_path: Path):
    """P4: compiled modules are imported to their end; then the command ends, and there is no run."""
    with terminal.started(*ENDLESS, cwd=tmp_path, anew=True) as process:
        terminal.wait_for(lambda: "jaxlib" in Path(f"/proc/{process.pid}/maps").read_text(), process)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=terminal.SECONDS)
    assert (process.returncode, out) == (143, "")
    *heard, last = err.splitlines()
    assert heard in ([], [HEARD.format("once all is imported")]) and "stopped by a signal" in last
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("module", ["lerax_cli.app", "typer", "lerax.render.gl"])
def test_interrupt_before_anything_is_imported_is_one_line(tmp_path: Path, module: str):
    """P4: from the first import on, and (the relative) in a command that catches no signals of its own."""
    done = terminal.finish([sys.executable, "-c", EARLY, module], tmp_path, {})
    said = "lerax: stopped by a signal (exit 130)\n"
    assert (done.returncode, done.stdout, done.stderr) == (130, "", said)


def test_sigusr1_before_anything_is_imported_is_no_end(tmp_path: Path):
    """A scheduler that asks for a checkpoint too early does not kill what would make one."""
    early = EARLY.replace("SIGINT", "SIGUSR1").replace("doctor", "--version")
    done = terminal.finish([sys.executable, "-c", early, "typer"], tmp_path, {})
    assert (done.returncode, done.stderr) == (0, "")


def test_interrupt_after_the_end_says_nothing(tmp_path: Path):
    """A relative of P4: nothing is left to be done, and Python's last steps report no exception."""
    done = terminal.finish([sys.executable, "-c", LATE], tmp_path, {})
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "") and done.stdout


def test_installed_command_begins_where_it_is_guarded():
    """So does `python -m lerax_cli`, which is the same file."""
    project = tomllib.loads(Path(__file__).parent.with_name("pyproject.toml").read_text())
    assert project["project"]["scripts"] == {"lerax": "lerax_cli.__main__:main"}


@pytest.mark.parametrize(
    ("phase", "when"), [("compiling", "once this program is compiled"), ("x", "as soon as possible")]
)
def test_signal_is_heard_while_compiled_code_runs(phase: str, when: str):
    """P4: the main thread runs no handler there; the answer comes all the same, while it is still inside."""
    with terminal.started(sys.executable, "-c", BUSY, phase, cwd=Path.cwd()) as process:
        wait_until_inside(process)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None and process.stderr.readline() == HEARD.format(when) + "\n"
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)  # and the second one ends it, which would take minutes
        out, err = process.communicate(timeout=terminal.SECONDS)
    assert (process.returncode, out, err) == (143, "last words\n", "")


@pytest.mark.parametrize("seconds", [600, 0], ids=["soon", "later"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_that_is_sent_twice_counts_once(number: signal.Signals, seconds: int):
    """SLURM ends a job's steps with two SIGTERMs, and a shell passes on a SIGHUP that its jobs have got."""
    busy = f"import lerax_cli.signals; lerax_cli.signals.AGAIN_SECONDS = {seconds}\n{BUSY}"
    with terminal.started(sys.executable, "-c", busy, "compiling", cwd=Path.cwd()) as process:
        wait_until_inside(process)
        process.send_signal(number)
        assert process.stderr is not None and process.stderr.readline().startswith("lerax: stopping")
        process.send_signal(number)
        if seconds:
            process.send_signal(signal.SIGINT)  # and another one ends it
        out, err = process.communicate(timeout=terminal.SECONDS)
    code = 130 if seconds else CODES[number]
    assert (process.returncode, out, err) == (code, "last words\n", "")


def test_what_hangs_at_the_second_signal_is_left_behind(tmp_path: Path):
    """A relative: what is done before the end, on a disk that hangs for instance, does not hold it up."""
    hanging = BUSY.replace("print('last words', flush=True)", "time.sleep(1000)")
    with terminal.started(sys.executable, "-c", hanging, "compiling", cwd=tmp_path) as process:
        wait_until_inside(process)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        assert process.wait(terminal.SECONDS) in (130, 143)


@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
@pytest.mark.parametrize("backend", ["none", "tensorboard"])
def test_signal_before_training_ends_with_one_line(tmp_path: Path, number: signal.Signals, backend: str):
    """P4: while all is made ready nothing can be lost, and nothing of a run stays."""
    cold = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache"), "XLA_FLAGS": None}
    with terminal.started(*ENDLESS, "--backend", backend, cwd=tmp_path, **cold) as process:
        terminal.wait_for(lambda: list(tmp_path.glob("logs/*/config.toml")), process)
        process.send_signal(number)
        out, err = process.communicate(timeout=terminal.SECONDS)
    assert process.returncode == CODES[number]
    assert out == ""
    *heard, last = err.splitlines()
    assert len(heard) < 2 and all(line.startswith("lerax: stopping ") for line in heard)
    assert "stopped by a signal" in last
    assert not list((tmp_path / "logs").iterdir())


def test_signal_while_evaluating_loses_nothing(tmp_path: Path):
    """P4: the policy is saved by then; code and status say that the command was told to end."""
    brief = (terminal.LERAX, "train", *terminal.BRIEF, "-q")
    with terminal.started(*brief, cwd=tmp_path) as process:
        terminal.wait_for(lambda: list(tmp_path.glob("logs/*/policy.eqx")), process)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=terminal.SECONDS)
    assert (process.returncode, err) == (143, "")
    run = terminal.only_run(tmp_path / "logs")
    assert out == f"logs/{run.name}\n"
    facts = terminal.facts(run)
    assert (facts["status"], facts["steps"]) == ("interrupted", 2048) and "evaluation" not in facts
    assert newest(run) == 2048


@pytest.mark.parametrize("name", ["000000000000.lerax", "000000002048.lerax", "policy.eqx"])
def test_signal_while_something_is_saved_leaves_all_of_it(tmp_path: Path, name: str):
    """The first checkpoint, the last one, and the policy; the first ends training after the chunk."""
    line = ("train", *terminal.BRIEF, "--name", "mine", "--progress", "off")
    program = tmp_path / "saves.py"
    program.write_text(SAVES)
    done = terminal.script(program, tmp_path, name, *line, strict=False)
    assert (done.returncode, done.stdout) == (143, "logs/mine\n"), done.stderr
    run = tmp_path / "logs" / "mine"
    facts = terminal.facts(run)
    assert facts["status"] == "interrupted" and newest(run) == facts["steps"]
    assert checkpoint.read_metadata(run / "policy.eqx")["steps"] == facts["steps"]


def test_signal_while_encoding_keeps_the_videos_that_are_complete(tmp_path: Path):
    """P4: one signal is enough, nothing half-written is left, and what was found before is in run.json."""
    small = (
        "--set",
        "num_envs=2",
        "--set",
        "num_steps=128",
        "--set",
        "num_batches=1",
        "--video-interval",
        "1",
    )
    brief = (terminal.LERAX, "train", *terminal.BRIEF, *small, "-q")
    with terminal.started(*brief, cwd=tmp_path) as process:
        terminal.wait_for(lambda: list(tmp_path.glob("logs/*/videos/step-*.mp4")), process)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=terminal.SECONDS)
    assert (process.returncode, err) == (143, "")
    run = terminal.only_run(tmp_path / "logs")
    assert out == f"logs/{run.name}\n"
    facts, files = terminal.facts(run), [file.name for file in (run / "videos").iterdir()]
    assert facts["status"] == "interrupted" and "evaluation" in facts
    assert newest(run) == facts["steps"] == 2048
    counts = {"due": 8, "made": len(files), "thinned": 0, "failed": 0, "dropped": 8 - len(files)}
    assert facts["videos"] == counts and len(files) < 8
    assert all(re.fullmatch(r"step-\d{10}\.mp4", name) for name in files)


def test_job_in_the_background_ends_by_sigterm(tmp_path: Path):
    """P4: a shell starts `lerax ... &` with SIGINT ignored, and so it stays."""
    line = f"{' '.join(ENDLESS)} & echo $!; wait $!; echo $?"
    with terminal.started("sh", "-c", line, cwd=tmp_path) as shell:
        assert shell.stdout is not None
        pid = int(shell.stdout.readline())
        terminal.wait_for(lambda: terminal.trains(tmp_path), shell)
        before = lines(tmp_path)
        os.kill(pid, signal.SIGINT)
        terminal.wait_for(lambda: lines(tmp_path) > before + 400, shell)  # chunks later it still trains
        os.kill(pid, signal.SIGTERM)
        out, _ = shell.communicate(timeout=terminal.SECONDS)
    run = terminal.only_run(tmp_path / "logs")
    assert out == f"logs/{run.name}\n143\n"
    assert terminal.facts(run)["status"] == "interrupted"


def test_stopped_process_goes_on(tmp_path: Path):
    """Ctrl-Z and `fg`: training rests and goes on."""
    with terminal.started(*ENDLESS, cwd=tmp_path) as process:
        terminal.wait_for(lambda: terminal.trains(tmp_path), process)
        process.send_signal(signal.SIGSTOP)
        terminal.wait_for(lambda: terminal.state_of(process.pid) == "T", process)
        before = lines(tmp_path)
        process.send_signal(signal.SIGCONT)
        terminal.wait_for(lambda: lines(tmp_path) > before, process)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=terminal.SECONDS)
    assert process.returncode == 143
    steps = [row["step"] for row in terminal.records(terminal.only_run(tmp_path / "logs"))]
    assert steps == [512 * (i + 1) for i in range(len(steps))]  # without gap


def test_run_that_is_killed_keeps_its_metrics(tmp_path: Path):
    """P3: all that was shown is written, in whole lines; who reads of the run learns that it died."""
    cache = {"JAX_COMPILATION_CACHE_DIR": str(terminal.own_cache(tmp_path))}
    with terminal.Terminal("train", *terminal.ENDLESS, cwd=tmp_path, size=(100, 30), **cache) as t:
        shown: list[str] = []
        while len(shown) < 2:
            t.wait_for(lambda: (found := STEPS.search(t.text())) and found[1] not in [*shown, "0"])
            shown.extend(STEPS.findall(t.text()))
        t.process.kill()
        t.finish()
    run = terminal.only_run(tmp_path / "logs")
    assert (run / "metrics.jsonl").read_bytes().endswith(b"}\n")
    steps = [row["step"] for row in terminal.records(run)]
    assert steps == [512 * (i + 1) for i in range(len(steps))]
    assert steps[-1] >= int(shown[0].replace(",", ""))
    facts = read_facts(run)
    assert (facts["status"], facts["steps"]) == ("died", steps[-1])
