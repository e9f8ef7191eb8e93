"""The completion scripts: current, and of use in the shells they are for."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "completions"
BASH = """
source {script}
COMP_WORDS=(lerax {words}); COMP_CWORD={position}
_lerax_completion {command}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def test_files_are_current():
    """`make completions` would change nothing."""
    spec = importlib.util.spec_from_file_location("generate", FOLDER / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    generated = module.files()
    assert {path: path.read_text() for path in generated} == generated


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("tr", ["train"]),
        ("train Cart", ["CartPole-v1"]),
        ("train CartPole-v1 --backend ten", ["tensorboard"]),
        ("train --progress p", ["plain"]),
        ("list-e", ["list-envs"]),
        ("rec", ["record-video"]),
        ("record-video Cart", ["CartPole-v1"]),
        ("record-video CartPole-v1 --progress o", ["off"]),
        ("doctor --require eg", ["egl"]),
    ],
)
def test_bash_completes(words: str, expected: list[str]):
    """Commands, environments, backends and choices, as typed so far."""
    command = Path(sys.executable).with_name("lerax")
    script = BASH.format(
        script=FOLDER / "lerax.bash", words=words, position=len(words.split()), command=command
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == expected, done.stderr


@pytest.mark.parametrize(("shell", "name"), [("zsh", "_lerax"), ("fish", "lerax.fish")])
def test_other_shells_accept_their_script(shell: str, name: str):
    """Read without running: the shell finds no mistake in it."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run([shell, "-n", FOLDER / name], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
