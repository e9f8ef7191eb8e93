"""The commands: listed from a table, and imported when they are asked for."""

import importlib
import sys
from pathlib import Path

import in_process
import pytest
import terminal

from lerax_cli.parsing import COMMANDS, load

HELP = """Usage: lerax [OPTIONS] COMMAND [ARGS]...

  Reinforcement learning on JAX: train, watch and record from the command
  line.

Options:
  --version   Show the version.
  -h, --help  Show this message and exit.

Train:
  train          Train a policy; prints the path of the run on standard...
  resume         Go on with a run where its newest checkpoint is; prints...
  branch         Train a new run from a checkpoint of another, with other...
  sweep          Try settings in many trainings, side by side in as many...
  slurm          Print a SLURM job script that trains, and starts again...

Look:
  record-video   Record a video of a policy, or a picture; prints the...
  watch          Show the dashboard of a run from its files, while it...
  eval           Evaluate the policy of a run; prints its returns on...
  compare        Compare trainings by the scores of their seeds; prints...
  plot           Plot what runs have logged: a line for each training,...
  report         Write a report on trainings: scores, curves, settings...
  export         Export the policy of a run as a file that acts without...

Keep:
  runs           List the runs in a folder, show all that is known of...
  verify         Check every file of a run against its own record; prints...
  replay         Find the operation that made the first number that is...

Make:
  new            Write the folder of an environment of your own, which...
  check          Check an environment before it is trained on; prints a...
  bench          Measure how fast a training is here, by the number of...
  eject          Write a program in Python that trains as a run was...

Set up:
  doctor         Try everything that lerax uses, and say what mends what...
  list-backends  List the logging backends, whether they can be used, and...
  list-envs      List the environments, or the settings of one of them.
  list-wrappers  List the wrappers that --wrap takes, or the settings of...
  list-policies  List the policies that can be trained, or the settings...
  list-algos     List the algorithms, or the settings of one of them and...
"""
MODULES = {f"lerax_cli.{module}" for module, _ in COMMANDS.values()}
HEAVY = {"rich", "pydantic", "json", "tomllib", "email", "importlib.metadata", "hashlib", "numpy", "jax"}
IMPORTED = """
import sys
from lerax_cli.app import run
run(sys.argv[1:])
print(*sys.modules)
"""


def imported(*arguments: str, **variables: str) -> set[str]:
    """The modules that are imported once a command has ended in a process of its own."""
    done = terminal.finish([sys.executable, "-c", IMPORTED, *arguments], Path.cwd(), {**variables})
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_says_what_a_command_says_of_itself(name: str):
    module, about = COMMANDS[name]
    function = getattr(importlib.import_module(f"lerax_cli.{module}"), name.replace("-", "_"))
    assert (function.__doc__.splitlines()[0], load(name).help) == (about, about)


def test_the_help_lists_all_commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("COLUMNS", "80")
    done = in_process.run("--help", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, HELP, "")


def test_no_command_is_imported_to_list_them():
    assert not imported("--help") & (MODULES | HEAVY)
    asked = {"_LERAX_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    assert not imported(**asked, _TYPER_COMPLETE_ARGS="lerax tr") & (MODULES | {"rich", "jax"})


@pytest.mark.parametrize("name", ["train", "list-envs"])
def test_a_command_is_imported_without_the_others(name: str):
    assert imported(name, "--help") & MODULES == {f"lerax_cli.{COMMANDS[name][0]}"}


def test_a_meaning_is_one_line_for_a_shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """However long it is: each line is a word that the shell offers."""
    asked = {"_LERAX_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args", "COLUMNS": "40"}
    for name, value in (asked | {"_TYPER_COMPLETE_ARGS": "lerax record-video --"}).items():
        monkeypatch.setenv(name, value)
    lines = in_process.run(cwd=tmp_path).stdout.splitlines()
    meanings = dict(line.split("\t") for line in lines)
    assert all(word.startswith("--") for word in meanings)
    assert meanings["--policy"].endswith("A run's last policy, else random.")
