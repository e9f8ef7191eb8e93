"""Results go to standard output, everything else to standard error, and neither can stop a training."""

import fcntl
import functools
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
import terminal
from prefork import CLOSED

from lerax import __version__, registry
from lerax_cli import report

TRAIN = f"$LERAX train {' '.join(terminal.BRIEF)}"
LISTS = {"list-envs": "ENVS", "list-algos": "ALGORITHMS", "list-backends": "BACKENDS"}


def finished(folder: Path) -> bool:
    """Whether the one run in `logs` has come to its end, and its policy is there."""
    run = terminal.only_run(folder / "logs")
    return terminal.facts(run)["status"] == "finished" and (run / "policy.eqx").is_file()


def piped(command: str, end: str, folder: Path, **changes: str | None) -> terminal.Finished:
    """Runs a command before a redirection or a pipe; the exit code is the command's own."""
    done = terminal.sh(f"{{ {command}; echo $? >code; }} {end}", folder, **changes)
    return subprocess.CompletedProcess(command, int((folder / "code").read_text()), done.stdout, done.stderr)


@pytest.mark.parametrize("lines", [0, 1], ids=["true", "head -1"])
def test_nobody_reads_standard_output(tmp_path: Path, lines: int):
    """P1: the training is not lost, and nothing is said of it."""
    reader, writer = os.pipe()

    def read(pid: int) -> None:
        with open(reader) as pipe:
            for _ in range(lines):
                assert pipe.readline().startswith("logs/")

    words = ("train", *terminal.BRIEF, "-q")
    done = terminal.forked_beside(read, *words, cwd=tmp_path, stdout=f"/proc/{os.getpid()}/fd/{writer}")
    os.close(writer)
    assert finished(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("end", [CLOSED, "/dev/full"])
def test_path_that_cannot_be_printed_is_told_otherwise(tmp_path: Path, end: str):
    """P1: the training is not lost, and one line says where it is; a script finds out by exit code 1."""
    done = terminal.warm("train", *terminal.BRIEF, "-q", cwd=tmp_path, out=end)
    assert finished(tmp_path)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("lerax: error: standard output cannot be written (")
    assert done.stderr.endswith(f"lost: logs/{terminal.only_run(tmp_path / 'logs').name}\n")


@pytest.mark.parametrize("progress", ["plain", "off"])
@pytest.mark.parametrize("end", [CLOSED, "/dev/full"])
def test_nobody_reads_standard_error(tmp_path: Path, end: str, progress: str):
    """P1: the path of the run is still the only result."""
    done = terminal.warm("train", *terminal.BRIEF, "--progress", progress, cwd=tmp_path, err=end)
    assert finished(tmp_path)
    assert done.returncode == 0
    assert done.stdout == f"logs/{terminal.only_run(tmp_path / 'logs').name}\n"


def test_all_streams_are_closed(tmp_path: Path):
    """P1: not even then, nor while Python starts; no file of the run takes what was meant for a stream."""
    done = terminal.sh(f"{TRAIN} --progress plain <&- >&- 2>&-", tmp_path)
    assert done.returncode == 1  # the path is lost
    assert finished(tmp_path)
    run = terminal.only_run(tmp_path / "logs")
    assert len(terminal.records(run)) == 4


@pytest.mark.parametrize("end", [">&-", ">/dev/full", "| true"])
@pytest.mark.parametrize("command", ["--help", "--version", "list-envs", "list-algos ppo --json", "complete"])
def test_nobody_reads_a_table(tmp_path: Path, command: str, end: str):
    """Where somebody stops reading all is well; a text that cannot be written is an error of one line.

    What the completions ask for is of the same kind.
    """
    asked = {"_LERAX_COMPLETE": "complete_bash", "COMP_WORDS": "lerax ", "COMP_CWORD": "1"}
    if command != "complete":
        done = piped(f"$LERAX {command}", end, tmp_path)
    else:
        done = piped("$LERAX", end, tmp_path, **asked)
    hints = "Set one with", "Beside these"
    errors = [line for line in done.stderr.splitlines() if not line.startswith(hints)]
    if end == "| true":
        assert (done.returncode, errors) == (0, [])
    else:
        assert done.returncode == 1 and len(errors) == 1
        assert errors[0].startswith("lerax: error: standard output cannot be written (")


def test_result_is_escaped_in_a_terminal_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """There a name could steer it; a file or a pipe gets the bytes as they are."""
    master, slave = os.openpty()
    with open(slave, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        report.result("caf\udce9\x1b[2J\u00a0")
        monkeypatch.undo()
    assert terminal.read_all(master) == b"caf\\udce9\\x1b[2J\\xa0\r\n"
    with open(tmp_path / "file", "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        report.result("caf\udce9\x1b[2J\u00a0")
        monkeypatch.undo()
    assert (tmp_path / "file").read_bytes() == b"caf\xe9\x1b[2J\xc2\xa0\n"


def test_output_that_does_not_wait_is_written_all_the_same(tmp_path: Path):
    """Another program has set its end of a pipe so; nothing of a long text is lost."""
    end = f"| {sys.executable} -c 'import sys; print(len(sys.stdin.read()))'"
    program = "import os; os.set_blocking(1, False); from lerax_cli.report import *;"
    program += "hold_streams(); result(chr(97) * 1_000_000); raise SystemExit(lost_result())"
    done = piped(f"{sys.executable} -c '{program}'", end, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1000001\n", "")


def test_error_is_not_a_result(tmp_path: Path):
    """With standard error closed there is no place for an error; standard output is none."""
    done = terminal.sh("$LERAX train Nothing 2>&-", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize("color", [{}, {"FORCE_COLOR": "1"}])
def test_no_escape_codes_without_a_terminal(tmp_path: Path, color: dict[str, str]):
    """A log file is plain text: `key=value` lines, then the summary."""
    start = functools.partial(terminal.run, **color) if color else terminal.warm
    done = start("train", *terminal.BRIEF, cwd=tmp_path)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr
    line = next(line for line in done.stderr.splitlines() if line.startswith("step="))
    pairs = dict(pair.split("=") for pair in line.split())
    assert pairs["total"] == "2048" and "train/loss" in pairs


def test_dashboard_that_was_asked_for_needs_a_terminal(tmp_path: Path):
    """A file gets lines all the same, and one warning says why."""
    done = terminal.run("train", *terminal.BRIEF, "--progress", "full", cwd=tmp_path, FORCE_COLOR="1")
    assert done.returncode == 0 and "\x1b" not in done.stdout + done.stderr
    warnings = [line for line in done.stderr.splitlines() if line.startswith("lerax: warning: ")]
    assert len(warnings) == 1 and "progress full" in warnings[0] and "terminal" in warnings[0]
    assert "\nstep=" in done.stderr


def test_lines_tell_every_phase(tmp_path: Path):
    """What a job's log shows: what is being done, the first numbers, and how it ended."""
    done = terminal.warm("train", *terminal.BRIEF, cwd=tmp_path)
    lines = [line for line in done.stderr.splitlines() if line.startswith(("phase=", "step="))]
    pairs = [dict(pair.split("=") for pair in line.split()) for line in lines]
    assert [each.get("phase") for each in pairs] == [
        *("compiling", "training", None, "saving", "evaluating", "finished")
    ]
    assert "train/loss" in pairs[2] and int(pairs[2]["step"]) > 0
    assert pairs[-1]["step"] == "2048" and float(pairs[-1]["eval/return"]) > 0


@pytest.mark.parametrize("quiet", ["-q", "--quiet"])
def test_quiet_is_silent(tmp_path: Path, quiet: str):
    """Nothing but the path of the run."""
    done = terminal.warm("train", *terminal.BRIEF, quiet, cwd=tmp_path)
    assert done.stderr == ""
    assert done.stdout == f"logs/{terminal.only_run(tmp_path / 'logs').name}\n"


def test_summary_says_what_came_out(tmp_path: Path):
    """Algorithm, environment, seed, steps, return, the policy's file and how to repeat it."""
    done = terminal.warm("train", *terminal.BRIEF, "--progress", "off", cwd=tmp_path)
    run = f"logs/{terminal.only_run(tmp_path / 'logs').name}"
    said = done.stderr
    assert "ppo on CartPole-v1, seed 1: finished after 2,048 steps" in said
    assert "mean return" in said and "100 greedy episodes" in said
    assert f"{run}/policy.eqx\n" in said
    assert f"lerax train --config {run}/config.toml\n" in said


def test_steps_that_were_added_are_told(tmp_path: Path):
    """Steps are rounded up to whole iterations, and the summary says so."""
    arguments = ("CartPole-v1", "--preset", "none", "--steps", "1000", "--progress", "off")
    done = terminal.warm("train", *arguments, cwd=tmp_path)
    assert "after 1,024 steps (24 " in done.stderr


@pytest.mark.parametrize("command", LISTS)
def test_list_is_a_table(tmp_path: Path, command: str):
    """One line for the head, one for each entry, its name first."""
    done = terminal.warm(command, cwd=tmp_path)
    head, *rows = done.stdout.splitlines()
    assert done.returncode == 0 and head.startswith("NAME")
    assert [row.split()[0] for row in rows] == list(getattr(registry, LISTS[command]))


@pytest.mark.parametrize("command", LISTS)
def test_list_is_json(tmp_path: Path, command: str):
    """`--json`: one array, standard error silent."""
    done = terminal.warm(command, "--json", cwd=tmp_path)
    rows = json.loads(done.stdout)
    assert [row["name"] for row in rows] == list(getattr(registry, LISTS[command]))
    assert all(row["about"] for row in rows)
    assert (done.returncode, done.stderr) == (0, "")


def test_list_of_settings_has_every_setting(tmp_path: Path):
    """`lerax list-algos ppo`: name, type, default and range, as a table and as JSON."""
    told = json.loads(terminal.warm("list-algos", "ppo", "--json", cwd=tmp_path).stdout)
    assert told["gamma"]["default"] == 0.99 and told["gamma"]["type"] == "float"
    assert told["policy.hidden_sizes"]["default"] == [64, 64]
    assert told["clip_value_loss"]["allowed"] == "true or false"
    assert told["policy.log_std_init"]["allowed"] == "at least -20 and at most 20"
    table = terminal.warm("list-algos", "ppo", cwd=tmp_path).stdout.splitlines()
    assert [row.split()[0] for row in table[1:]] == list(told)


def test_ranges_are_shown_in_full(tmp_path: Path):
    """A limit can be typed as it is shown."""
    done = terminal.warm("list-algos", "ppo", cwd=tmp_path)
    assert "1048576" in done.stdout.replace(",", "").replace("_", "")


def test_version(tmp_path: Path):
    """Name and version on one line."""
    done = terminal.warm("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"lerax {__version__}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["train", "--help"], ["--version"], ["list-envs"], ["list-backends"]],
    ids=" ".join,
)
def test_help_and_lists_import_nothing_heavy(tmp_path: Path, arguments: list[str]):
    """They answer at once."""
    program = (
        "import sys; from lerax_cli.app import run; code = run(sys.argv[1:]);"
        "heavy = {'jax', 'jaxlib', 'equinox', 'optax', 'numpy', 'rich', 'tensorboardX', 'wandb'};"
        "print('imported:', code, sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = terminal.finish([sys.executable, "-c", program, *arguments], tmp_path, {})
    assert done.stderr.endswith("imported: 0 []\n")


@pytest.mark.parametrize(("columns", "shown"), [(40, "repeat      lerax train"), (20, "repeat\nlerax train")])
def test_what_is_to_be_copied_is_not_wrapped_where_it_fits(monkeypatch, columns: int, shown: str):
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with os.fdopen(slave, "w") as stream, monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", stream)
        report.entry("repeat", "lerax train")
    assert terminal.read_all(master).decode().replace("\r\n", "\n") == f"{shown}\n"
