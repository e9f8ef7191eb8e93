"""`lerax new env`: what it writes is sound, passes its own test, and trains at once."""

import json
import sys
import tomllib
from pathlib import Path

import in_process
import pytest
import terminal
from test_cli_inputs import refuse
from test_plugins import install, path


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `lerax new env far_walk` writes."""
    folder = tmp_path_factory.mktemp("new")
    done = in_process.run("new", "env", "far_walk", cwd=folder)
    assert (done.returncode, done.stdout) == (0, "far_walk\n"), done.stderr
    assert "lerax train ./far_walk.py:FarWalk --config train.toml" in done.stderr
    return folder / "far_walk"


def test_nothing_of_the_template_is_left_open(written: Path):
    files = {file.name: file.read_text() for file in written.iterdir()}
    assert {*files} == {"far_walk.py", "test_far_walk.py", "train.toml", "README.md", "pyproject.toml"}
    assert not [name for name, text in files.items() if "$" in text or "template" in text]


def test_its_own_test_passes(written: Path):
    """`lerax check` included."""
    done = terminal.finish([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], written, {})
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout


@pytest.mark.slow
def test_it_is_solved_in_seconds(written: Path):
    words = ("train", "./far_walk.py:FarWalk", "--config", "train.toml", "--seed", "1", "--json", "-q")
    done = terminal.run(*words, cwd=written)
    result = json.loads(done.stdout)
    assert result["solved"] and result["steps"] <= 70_000, done.stderr


def test_it_has_a_name_once_it_is_installed(written: Path, tmp_path: Path):
    """By the line of its project file."""
    project = tomllib.loads((written / "pyproject.toml").read_text())["project"]
    (points,) = project["entry-points"].values()
    install(tmp_path, project["name"], points, group=[*project["entry-points"]][0])
    (tmp_path / "far_walk.py").write_text((written / "far_walk.py").read_text())
    done = terminal.forked("list-envs", "far_walk", "--json", cwd=tmp_path, PYTHONPATH=path(tmp_path))
    assert {"env.step_length", "env.max_steps"} == {*json.loads(done.stdout)}, done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["env", "there"], ["NAME", "it exists already", "'there'"]),
        (["env", "3d"], ["NAME", "not a name in Python", "'3d'"]),
        (["env", "my-env"], ["NAME", "not a name in Python", "my_env"]),
        (["env", "../up"], ["NAME", "not a name in Python"]),
        (["env", "class"], ["NAME", "no word of Python's"]),
        (["env", "_"], ["NAME", "not a name in Python"]),
        (["env", "numpy"], ["NAME", "the name of a module that is installed"]),
        (["policy", "mine"], ["WHAT", "'policy'", "env"]),
        (["env"], ["NAME"]),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path: Path, words: list[str], said: list[str]):
    (tmp_path / "there").mkdir()
    refuse(in_process.run("new", *words, cwd=tmp_path), 2, said)
    assert [file.name for file in tmp_path.iterdir()] == ["there"]
