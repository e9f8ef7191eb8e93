"""`lerax watch`: the dashboard of a run that is written here, while it lives, when it died, afterwards."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen

import pytest
import terminal
from in_process import run as lerax
from made_runs import make
from test_cli_inputs import refuse

from lerax.backend import JSONLBackend

LIVES = """
import sys
from pathlib import Path
from lerax.run import RunDirectory
run = RunDirectory(Path(sys.argv[1]), env="CartPole-v1", algo="ppo", device="cpu:0")
print("begun", flush=True)
sys.stdin.readline()
run.finish("finished", steps=2048)
print("done", flush=True)
sys.stdin.readline()
"""
ROWS = tuple(
    {
        "step": 64 * i,
        "episode/return": float(i),
        "train/loss": 1 / i,
        "time/steps_per_second": 500.0,
        "time/elapsed": i,
    }
    for i in range(1, 17)
)


@pytest.fixture
def alive(tmp_path: Path) -> Iterator["Popen[str]"]:
    """A process that has begun the run `mine`, and finishes it at the first line that it is given."""
    run = make(tmp_path / "logs", "mine", rows=ROWS)
    (run / "run.json").unlink()
    with Popen([sys.executable, "-c", LIVES, str(run)], stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "begun\n"
        yield process
        process.kill()


def log(folder: Path) -> JSONLBackend:
    """What writes the metrics of the run `mine`."""
    backend = JSONLBackend(folder / "logs")
    backend.open("mine")
    return backend


def finish(process: "Popen[str]") -> None:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "done\n"


@pytest.mark.parametrize("status", ["finished", "interrupted", "paused", "diverged", "failed"])
def test_a_run_that_has_ended_is_shown_once(tmp_path: Path, status: str):
    """Exit 0, a line of what it had at its end, and how it goes on if it can."""
    make(tmp_path / "logs", "mine", status=status, rows=ROWS, steps=1024)
    for options in ([], ["--once"]):
        done = lerax("watch", "mine", *options, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, "")
        line, ending = done.stderr.splitlines()
        assert line.startswith(f"phase={status} step=1024 total=10000 ")
        assert "episode/return=16" in line and "train/loss=0.0625" in line
        way = "replay" if status == "diverged" else "resume"
        assert ending.startswith(f"lerax: mine {status} at step 1,024") and f"`lerax {way} mine`" in ending


def test_a_run_that_died_is_told(tmp_path: Path):
    """Why it counts as dead, since when, and how it goes on."""
    make(tmp_path / "logs", "mine", status="running", silent=600.0, rows=ROWS)
    done = lerax("watch", "mine", cwd=tmp_path)
    line, ending = done.stderr.splitlines()
    assert done.returncode == 0 and line.startswith("phase=died step=1024 ")
    for words in ("no sign of life from elsewhere", "at step 1,024", "10 min ago", "`lerax resume mine`"):
        assert words in ending


def test_a_run_that_lives_is_shown_once(tmp_path: Path, alive: "Popen[str]"):
    done = lerax("watch", "mine", "--once", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("phase=training step=1024 total=10000 episode/return=16 ")


def test_strange_ends_of_the_metrics_are_no_harm(tmp_path: Path):
    """A line that a kill has torn, and lines of another's making."""
    run = make(tmp_path / "logs", "mine", rows=ROWS)
    with open(run / "metrics.jsonl", "ab") as file:
        file.write(b'[]\n\xff\n{"step": "x"}\n{"step": 9999, "episode/ret')
    done = lerax("watch", "mine", cwd=tmp_path)
    assert done.returncode == 0 and "step=1024 " in done.stderr and "episode/return=16" in done.stderr
    lost = "lerax: warning: logs/mine: 3 lines of its metrics.jsonl cannot be read and stay out"
    assert done.stderr.splitlines()[1] == lost


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, ["RUN"]),
        (["mein"], 2, ["RUN", "did you mean mine"]),
        (["torn"], 1, ["logs/torn", "run.json is damaged"]),
        (["mine", "--interval", "0"], 2, ["--interval", "at least 0.1"]),
        (["mine", "--progress", "bar"], 2, ["--progress", "'bar'"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_what_cannot_be_is_refused(tmp_path: Path, arguments: list[str], code: int, words: list[str]):
    make(tmp_path / "logs", "mine")
    (make(tmp_path / "logs", "torn") / "run.json").write_text("{")
    refuse(lerax("watch", *arguments, cwd=tmp_path), code, words)


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
def test_the_dashboard_follows_a_run_to_its_end(tmp_path: Path, alive: "Popen[str]", size: tuple[int, int]):
    """What is logged shows up, what the run takes back goes, and the last frame stays in the terminal."""
    backend = log(tmp_path)
    with terminal.Terminal("watch", "mine", "--interval", "0.1", cwd=tmp_path, size=size) as shown:
        shown.wait_for(lambda: "1,024 of 10,000" in shown.text())
        lines = shown.text().splitlines()
        assert lines[0].startswith(" mine ") and lines[0].endswith("cpu  training")
        assert "files  logs/mine" in shown.text() and "episode/return" in shown.text()
        backend.log_scalars({"episode/return": 777.0, "late/value": 5.0}, 2048)
        backend.flush()
        shown.wait_for(lambda: "777" in shown.text() and "late/value" in shown.text())
        backend.log_scalars({"eval/return": 321.5}, 2048)  # the same line grows
        backend.flush()
        shown.wait_for(lambda: "321.5" in shown.text())
        backend.resume(512)
        shown.wait_for(lambda: "512 of 10,000" in shown.text() and "late/value" not in shown.text())
        assert "777" not in shown.text() and "eval/return" not in shown.text()
        finish(alive)
        assert shown.finish() == 0
        assert not shown.screen.second
        first, *_ = [line for line in shown.text().splitlines() if line]
        assert first.endswith("cpu  finished") and "mine finished at step 2,048" in shown.text()


def test_the_dashboard_says_that_a_run_died(tmp_path: Path, alive: "Popen[str]"):
    with terminal.Terminal("watch", "mine", "--interval", "0.1", cwd=tmp_path, size=(80, 24)) as shown:
        shown.wait_for(lambda: "1,024 of 10,000" in shown.text())
        alive.kill()
        alive.wait()
        assert shown.finish() == 0
        words = " ".join(shown.text().split())
        assert (
            "cpu died" in words and f"process {alive.pid} is gone" in words and "lerax resume mine" in words
        )


def test_ctrl_c_ends_watching_and_nothing_else(tmp_path: Path, alive: "Popen[str]"):
    """Exit 130; the last frame stays, and of the run nothing is touched."""
    look = lambda: {path.name: (path.read_bytes()) for path in (tmp_path / "logs" / "mine").iterdir()}
    before = look()
    with terminal.Terminal("watch", "mine", cwd=tmp_path, size=(80, 24)) as shown:
        shown.wait_for(lambda: "1,024 of 10,000" in shown.text())
        shown.type("\x03")
        shown.wait_for(lambda: True)
        assert shown.interrupt() == 130
        assert "training" in shown.text().splitlines()[0] and not shown.screen.second
    assert look() == before and alive.poll() is None


def test_plain_lines_follow_a_run(tmp_path: Path, alive: "Popen[str]"):
    """Where there is no terminal; the first says what there is, the last how it ended."""
    with terminal.started(terminal.LERAX, "watch", "mine", "--interval", "0.1", cwd=tmp_path) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("step=1024 total=10000 episode/return=16 ")
        finish(alive)
        rest = process.communicate(timeout=terminal.SECONDS)[1]
    assert process.returncode == 0
    assert rest.splitlines()[-2].startswith("phase=finished step=1024 total=10000")
    assert "mine finished at step 2,048" in rest


def test_neither_it_nor_its_help_imports_jax(tmp_path: Path):
    make(tmp_path / "logs", "mine", rows=ROWS)
    program = "import sys; from lerax_cli.app import run; run(sys.argv[1:]); sys.exit('jax' in sys.modules)"
    done = terminal.finish([sys.executable, "-c", program, "watch", "mine"], tmp_path, {})
    assert done.returncode == 0 and "step=1024" in done.stderr


def test_watching_a_quiet_run_takes_next_to_no_time(tmp_path: Path, alive: "Popen[str]"):
    """A part of the time that passes; the promise is 2 %, a busy machine is given more."""
    with terminal.Terminal("watch", "mine", cwd=tmp_path, size=(120, 40)) as shown:
        clock = lambda: shown.text().splitlines()[2].split("%")[-1].split()[0]
        shown.wait_for(lambda: "1,024 of 10,000" in shown.text())
        begun, before = clock(), terminal.cpu_seconds(shown.process.pid)
        shown.wait_for(lambda: seconds(clock()) >= seconds(begun) + 5)
        passed = seconds(clock()) - seconds(begun)
        assert terminal.cpu_seconds(shown.process.pid) - before < 0.05 * passed
        assert shown.interrupt() == 130


def seconds(clock: str) -> int:
    hours, minutes, rest = map(int, clock.split(":"))
    return 3600 * hours + 60 * minutes + rest


def test_metrics_are_json_for_the_reader_as_for_anyone(tmp_path: Path, alive: "Popen[str]"):
    """Null is not a number, and no line of the dashboard."""
    run = tmp_path / "logs" / "mine"
    with open(run / "metrics.jsonl", "a") as file:
        file.write(json.dumps({"step": 1088, "train/loss": None}) + "\n")
    done = lerax("watch", "mine", "--once", cwd=tmp_path)
    assert "train/loss=nan" in done.stderr and "episode/return=16" in done.stderr
