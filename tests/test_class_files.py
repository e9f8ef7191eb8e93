"""Classes in files that their paths name: found, trained on, shown and repeated from wherever one is."""

import json
import shutil
import sys
import tomllib
from pathlib import Path

import in_process
import pytest
import terminal
from test_cli_inputs import refuse

from lerax import class_file, registry
from lerax.class_file import SourceError
from lerax.env import AbstractEnvLike
from lerax_cli import naming

ENV = """
from lerax.env.classic_control import CartPole
from beside import WORTH

class Pole(CartPole):
    name = "Pole"

    def reward(self, state, action, next_state, *, key=None):
        return WORTH * super().reward(state, action, next_state, key=key)
"""
FAULTS = {
    "syntax.py": ("x = 1\ndef f(:\n", "syntax.py:2: SyntaxError: "),
    "raises.py": ("x = 1\n\ny = nothing\n", "raises.py:3: NameError: name 'nothing' is not defined"),
    "leaves.py": ("import sys\nsys.exit('away')\n", "leaves.py:2: SystemExit: away"),
    "lacks.py": ("import no_such_package\n", "lacks.py:1: ModuleNotFoundError: No module named 'no_such_"),
    "beyond.py": ("import raises\n", "raises.py:3: NameError: "),
    "empty.py": ("x = 1\n", "empty.py: not one environment (got 0); it has no environment"),
    "two.py": (
        "from lerax.env.classic_control import CartPole\nclass A(CartPole): pass\nclass B(CartPole): pass\n",
        "two.py: not one environment (got 2); it has A, B; name one, such as two.py:A",
    ),
}


INITS = {  # what a class takes, and what is said of it
    "self, thing": "got an unexpected keyword argument 'max_episode_steps'",
    "self, thing, **settings": "missing 1 required positional argument: 'thing'",
}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Two folders with a file of the same name, and a neighbour of the same name each."""
    for folder, worth in (("one", 1.0), ("two", 2.0)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "pole.py").write_text(ENV)
        (tmp_path / folder / "beside.py").write_text(f"WORTH = {worth}\n")
    return tmp_path


@pytest.fixture(autouse=True)
def nothing_stays(monkeypatch: pytest.MonkeyPatch):
    """Modules that a test imports are gone after it."""
    before, path = {*sys.modules}, [*sys.path]
    yield
    for name in {*sys.modules} - before:
        if name.partition("@")[0] in {"pole", "beside", "numpy", "raises"}:
            del sys.modules[name]
    assert sys.path == path


def worth(folder: Path) -> float:
    cls = class_file.load(f"{folder / 'pole.py'}:Pole", AbstractEnvLike, "environment")
    return sys.modules[cls.__module__].WORTH


def test_files_of_one_name_and_their_neighbours_do_not_collide(own: Path):
    assert [worth(own / folder) for folder in ("one", "two", "one")] == [1.0, 2.0, 1.0]


def test_a_file_that_is_called_as_a_package_is_not_in_its_way(tmp_path: Path):
    (tmp_path / "numpy.py").write_text(
        "from lerax.env.classic_control import CartPole\nclass A(CartPole): 0\n"
    )
    numpy = sys.modules["numpy"]
    assert class_file.load(str(tmp_path / "numpy.py"), AbstractEnvLike, "environment").__name__ == "A"
    assert sys.modules["numpy"] is numpy


def test_a_neighbour_that_imports_the_file_gets_the_same_class(own: Path):
    folder = own / "one"
    (folder / "other.py").write_text("from pole import Pole\nclass Other(Pole): pass\n")
    pole = class_file.load(f"{folder}/pole.py:Pole", AbstractEnvLike, "environment")
    assert class_file.load(f"{folder}/other.py", AbstractEnvLike, "environment").__mro__[1] is pole


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_one_line_with_file_and_line(tmp_path: Path, name: str):
    for file, (content, _) in FAULTS.items():
        (tmp_path / file).write_text(content)
    with pytest.raises(SourceError) as error:
        class_file.load(str(tmp_path / name), AbstractEnvLike, "environment")
    assert str(error.value).startswith(f"{tmp_path}/{FAULTS[name][1]}") and "\n" not in str(error.value)
    sys.modules.pop(name.removesuffix(".py"), None)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("one/pol.py:Pole", ["no such file", "'one/pol.py:Pole'", "did you mean", "one/pole.py"]),
        ("nowhere/pole.py", ["no such file", "there is no file in Python in"]),
        ("one/pole.py:Poll", ["one/pole.py: no such class (got 'Poll'); it has Pole"]),
        ("one/pole.py:WORTH", ["WORTH is no environment (got 1.0); it has Pole"]),
        ("one/pole.py:CartPole.name", ["CartPole.name is no environment"]),
        ("one/broken.py", ["one/broken.py:1: ZeroDivisionError: division by zero"]),
        ("one/abstract.py:Half", ["abstract.py:Half is abstract; it lacks initial"]),
    ],
)
def test_the_command_refuses_in_one_line(own: Path, name: str, words: list[str]):
    (own / "one" / "broken.py").write_text("1 / 0\n")
    (own / "one" / "abstract.py").write_text(
        "from lerax.env import AbstractEnv\nclass Half(AbstractEnv): 0\n"
    )
    refuse(terminal.run("train", name, "-q", cwd=own), 2, ["ENV: ", *words])
    assert not (own / "logs").exists()


@pytest.mark.parametrize(
    ("one", "other", "are"),
    [
        ("one/pole.py:Pole", "./one/../one/pole.py:Pole", True),
        ("one/pole.py", "one/pole.py:Pole", True),
        ("one/pole.py:Pole", "two/pole.py:Pole", False),
        ("one/pole.py:Pole", "one/pole.py:Other", False),
        ("gone/pole.py:Pole", "two/pole.py:Pole", True),
        ("gone/other.py:Pole", "two/pole.py:Pole", False),
        ("pole:Pole", "one/pole.py:Pole", False),
        ("CartPole-v1", "cartpole-V1", True),
    ],
)
def test_names_of_one_file_are_the_same(own: Path, monkeypatch: pytest.MonkeyPatch, one, other, are):
    """Whatever the way to it; and that of a file which is no longer there means one of its name."""
    monkeypatch.chdir(own)
    assert naming.same(one, other) is naming.same(other, one) is are


def test_a_run_is_of_its_file_in_any_folder(own: Path):
    """It repeats bit for bit, goes on and is shown, if the command line names the file, by any path."""
    brief = (*terminal.BRIEF[1:], "--backend", "none")
    done = terminal.run("train", "./pole.py", *brief, "--name", "mine", cwd=own / "one")
    assert (done.returncode, done.stdout) == (0, "logs/mine\n"), done.stderr
    assert " on ./pole.py" in done.stderr and "lerax train ./pole.py:Pole --config logs/mine" in done.stderr
    run = own / "one" / "logs" / "mine"
    name = f"{own}/one/pole.py:Pole"
    assert tomllib.loads((run / "config.toml").read_text())["env"]["name"] == name

    config = ("--config", str(run / "config.toml"))
    only = "imported only if the command line names it, too"
    refuse(terminal.run("train", *config, cwd=own), 2, ["env.name", only, "add ENV ./one/pole.py:Pole"])
    other = terminal.run("eval", str(run), "--trust", "two/pole.py:Pole", cwd=own)
    refuse(other, 2, [only, "add --trust ./one/pole.py:Pole"])
    again = terminal.run("train", "one/pole.py:Pole", *config, "-q", "--name", "again", cwd=own)
    assert again.returncode == 0, again.stderr
    policies = [path / "policy.eqx" for path in (run, own / "logs" / "again")]
    assert policies[0].read_bytes()[-64:] == policies[1].read_bytes()[-64:]

    (own / "three").mkdir()
    shutil.move(own / "one", own / "three" / "moved")
    run, trust = own / "three" / "moved" / "logs" / "mine", ("--trust", "../two/pole.py:Pole")
    done = terminal.run("eval", str(run), *trust, "--episodes", "2", "--json", cwd=own / "three")
    assert done.returncode == 0 and json.loads(done.stdout)["env"] == f"{own}/two/pole.py:Pole", done.stderr
    on = terminal.run("resume", str(run), *trust, "--steps", "+2048", "-q", cwd=own / "three")
    assert on.returncode == 0, on.stderr


def test_other_commands_take_a_file(own: Path):
    table = in_process.run("list-envs", "one/pole.py:Pole", cwd=own).stdout
    assert "env.max_episode_steps" in table
    made = terminal.run("record-video", "two/pole.py", "--steps", "2", "-o", "v.gif", "-q", cwd=own)
    assert made.returncode == 0, made.stderr
    (own / "algo.py").write_text("from lerax.algorithm import PPO\nclass Mine(PPO): pass\n")
    words = ("list-algos", "algo.py:Mine", "--json")
    assert "gamma" in json.loads(in_process.run(*words, cwd=own).stdout)
    assert registry.ALGORITHM.load(naming.find("", registry.ALGORITHM, f"{own}/algo.py", trusted=True))


@pytest.mark.parametrize("takes", INITS)
def test_a_class_that_is_not_made_of_its_settings_is_told_what_it_has_to_take(tmp_path, takes):
    pole = f"class Own(CartPole):\n    def __init__({takes}): ..."
    (tmp_path / "own.py").write_text(f"from lerax.env.classic_control import CartPole\n{pole}")
    way = "; its __init__ has to take each of its settings by name and need nothing more, such as (max_ep"
    for command in (["train", "./own.py:Own", "--steps", "2048"], ["check", "./own.py:Own"]):
        refuse(in_process.run(*command, cwd=tmp_path), 2, [f"Own.__init__() {INITS[takes]}{way}"])
