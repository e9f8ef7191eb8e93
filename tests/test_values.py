"""One reader for values, wherever they come from; what no reader survives unless it is careful."""

import os
from pathlib import Path
from typing import Any

import pytest
from in_process import run
from test_cli_inputs import refuse

from lerax.settings import Limits, Setting
from lerax_cli.report import BadInput
from lerax_cli.values import KEYS, read_config, read_option, read_setting

STEPS = KEYS["steps"]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1e6", 10**6),
        ("1_000_000", 10**6),
        ("1.5e3", 1500),
        (" 7 ", 7),
        ("2e0", 2),
        ("9223372036854775807", 2**63 - 1),
    ],
)
def test_a_number_means_the_same_from_everywhere(tmp_path: Path, text: str, number: int):
    """Powers of ten and underscores: an option, a config, `--set` and Python agree."""
    config = tmp_path / "own.toml"
    config.write_text(f"steps = {text}\n[algorithm]\nnum_steps = {text}\n")
    content = read_config(str(config))
    assert read_option("--steps", STEPS, text) == content.keys["steps"] == number
    assert STEPS.convert(read_setting(f"num_steps={text}")[2]) == number
    assert STEPS.convert(content.tables["algorithm"]["num_steps"].value) == number


@pytest.mark.parametrize("text", ["0", "1.5", "true", "nan", "1e30", "[1]", "'1'"])
def test_a_refusal_reads_the_same_from_everywhere(tmp_path: Path, text: str):
    """Option, config and the library's own check: the same words behind the place."""
    config = tmp_path / "own.toml"
    config.write_text(f"steps = {text}\n")
    said = []
    for where, read in {
        "--steps": lambda: read_option("--steps", STEPS, text),
        "--config: steps": lambda: read_config(str(config)),
    }.items():
        with pytest.raises(BadInput) as error:
            read()
        said.append(str(error.value).removeprefix(f"{where}: "))
    with pytest.raises(ValueError) as refused:
        STEPS.convert(read_setting(f"x={text}")[2])
    assert said[0] == said[1] == str(refused.value).removeprefix("steps: ")


@pytest.mark.parametrize(("value", "allowed"), [(1, True), (9, True), (0, False), (10, False), (1.0, True)])
def test_ends_of_a_range_belong_to_it(value: Any, allowed: bool):
    """At least and at most, not above and below."""
    number = Setting("n", 1, "", Limits(at_least=1, at_most=9))
    if allowed:
        assert number.convert(value) == int(value)
    else:
        with pytest.raises(ValueError, match="at least 1 and at most 9"):
            number.convert(value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_config_of_another_editor_is_read(tmp_path: Path, encoding: str, newline: str):
    """A byte-order mark and the line ends of other systems are no part of it."""
    config = tmp_path / "own.toml"
    config.write_bytes(f'env = "CartPole-v1"{newline}seed = 3{newline}'.encode(encoding))
    content = read_config(str(config))
    assert (content.names["env"].value, content.keys) == ("CartPole-v1", {"seed": 3})


def test_a_setting_that_did_nothing_once_is_read_in_an_older_runs_config(tmp_path: Path):
    config = tmp_path / "config.toml"
    config.write_text('[algorithm]\nname = "crossq"\ntau = 0.005\ngamma = 0.9\n')
    assert read_config(str(config)).tables["algorithm"].keys() == {"gamma"}
    config.write_text('[algorithm]\nname = "sac"\ntau = 0.005\ngamma = 0.9\n')
    assert read_config(str(config)).tables["algorithm"].keys() == {"tau", "gamma"}


NEST = 3000
HOSTILE = {
    "nested": (b"x = " + b"[\n" * NEST + b"]\n" * NEST, ["nested too deeply"]),
    "nested tables": (b"x = " + b"{a = " * 600 + b"1" + b"}" * 600 + b"\n", ["characters"]),
    "many parts": (b".".join([b"a"] * 30_000) + b" = 1\n", ["characters"]),
    "digits": (b"steps = " + b"9" * 1999 + b"\n", ["line has more", "characters"]),
    "utf-16": ("seed = 1\n".encode("utf-16"), ["UTF-16", "UTF-8"]),
    "utf-32": ("seed = 1\n".encode("utf-32"), ["UTF-32", "UTF-8"]),
    "latin-1": ("env = 'é'".encode("latin-1"), ["UTF-8", "byte 7"]),
    "nul": (b"env = '\0'\n", ["line 1, column 8"]),
    "large": (b"#" * 10**6, ["larger than 65,536 bytes"]),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_file_is_refused_in_one_line(tmp_path: Path, name: str):
    """Exit 2 and what it is, for a config; exit 1 for the config of a run that is to be shown."""
    content, words = HOSTILE[name]
    config = tmp_path / "config.toml"
    config.write_bytes(content)
    refuse(run("train", "--config", "config.toml", cwd=tmp_path), 2, ["--config", "config.toml", *words])
    refuse(run("record-video", ".", cwd=tmp_path), 1, ["config.toml", *words])
    assert list(tmp_path.iterdir()) == [config]


def test_what_is_no_file_is_refused(tmp_path: Path):
    """A device without end, a pipe that nobody writes to, a folder, the folder of a run."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.toml").touch()
    for name, words in {
        "/dev/zero": ["larger than"],
        "pipe": ["pipe", "says nothing"],
        ".": ["directory"],
        "run": ["directory", "give run/config.toml"],
    }.items():
        refuse(run("train", "--config", name, cwd=tmp_path), 2, ["--config", name, *words])


def test_a_config_may_come_through_a_pipe(tmp_path: Path):
    """As the shell's `<(...)` gives it."""
    reads, writes = os.pipe()
    os.write(writes, b"seed = 3\n")
    os.close(writes)
    assert read_config(f"/dev/fd/{reads}").keys == {"seed": 3}
    os.close(reads)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--num-envs", "8", "--set", "num_envs=4"], ["--num-envs", "8 with", "4 with --set", "num_envs"]),
        (["--set", "gamma=.9", "--set", "gamma=.99"], ["gamma", "0.9 with --set", "0.99 with --set"]),
    ],
)
def test_two_values_for_one_thing_are_refused(tmp_path: Path, options: list[str], words: list[str]):
    """One of them would be lost in silence."""
    refuse(run("train", "CartPole-v1", *options, cwd=tmp_path), 2, words)


def test_long_values_are_cut_in_the_message(tmp_path: Path):
    """A line of error is one that can be read; its end says what is allowed."""
    done = run("train", "CartPole-v1", "--steps", "x" * 10**5, cwd=tmp_path)
    refuse(done, 2, ["--steps", "x ... x", "allowed: at least 1"])
    assert len(done.stderr) < 1200


COMMANDS = {
    "version": "`lerax --version`",
    "help": "`lerax --help`",
    "evaluate": "lerax eval RUN",
    "monitor": "lerax watch RUN",
    "ls": "lerax runs",
    "test": "lerax.evaluate.evaluate",
    "play": "lerax record-video RUN",
    "enjoy": "lerax record-video RUN",
    "continue": "lerax resume RUN",
    "tensorboard": "lerax train ENV --backend tensorboard",
    "run": "lerax train ENV",
}
OPTIONS = {
    "--timesteps": "--steps N",
    "--total-timesteps": "--steps N",
    "--env": "lerax train CartPole-v1",
    "--render": "--video-interval N",
    "--verbose": "--progress full",
    "-v": "--progress full",
    "--load": "--resume RUN",
    "--lr": "--set learning_rate=VALUE",
    "--gamma": "--set gamma=VALUE",
    "--num-steps": "--set num_steps=VALUE",
    "--hidden-sizes": "--set policy.hidden_sizes=VALUE",
    "--gpu": "--device gpu",
}


@pytest.mark.parametrize("word", COMMANDS)
def test_command_of_another_program_is_answered(tmp_path: Path, word: str):
    """Exit 2, and what there is instead."""
    refuse(run(word, "logs/mine", cwd=tmp_path), 2, [word, "no such command", COMMANDS[word]])


@pytest.mark.parametrize("word", OPTIONS)
def test_option_of_another_program_is_answered(tmp_path: Path, word: str):
    """Exit 2, and what there is instead; settings are known by their names, too."""
    refuse(run("train", "CartPole-v1", word, "1", cwd=tmp_path), 2, [word, "no such option", OPTIONS[word]])


@pytest.mark.parametrize("word", ["trpo", "impala", "muzero", "rainbow"])
def test_algorithm_that_there_is_not(tmp_path: Path, word: str):
    """Exit 2, and which there are, or which come close."""
    done = run("train", "Pendulum-v1", "--algo", word, cwd=tmp_path)
    refuse(done, 2, ["--algo", f"'{word}'"])
    assert "available: ppo, a2c" in done.stderr or "did you mean" in done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--steps", "5", "--steps", "6"], ["--steps", "'5' and '6'", "one of them"]),
        (["--config", "a.toml", "--config=b.toml"], ["--config", "'a.toml' and 'b.toml'"]),
        (["--progress", "full", "-q"], ["--quiet", "--progress full"]),
    ],
)
def test_an_option_given_twice_is_refused(tmp_path: Path, options: list[str], words: list[str]):
    """The last one would win in silence, and which one that is nobody remembers."""
    refuse(run("train", "CartPole-v1", *options, cwd=tmp_path), 2, words)


def test_what_is_said_twice_alike_is_no_contradiction(tmp_path: Path):
    """It gets as far as the next mistake."""
    same = ["--steps", "5", "--steps", "5", "--set", "gamma=.9", "--set", "gamma=0.90", "-q", "-q", "--json"]
    refuse(run("train", "CartPole-v1", *same, "--name", "../x", cwd=tmp_path), 2, ["--name"])


def test_a_run_in_the_place_of_an_environment(tmp_path: Path):
    """`train` does not take a run, but its config."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.toml").touch()
    for word in ("mine", "mine/config.toml"):
        refuse(run("train", word, cwd=tmp_path), 2, ["ENV", "lerax train --config mine/config.toml"])


def test_help_of_a_command_is_asked_for_as_an_option(tmp_path: Path):
    """Of one that there is, and (the relative) of one that there is not."""
    refuse(run("help", "train", cwd=tmp_path), 2, ["help", "no such command", "`lerax train --help`"])
    refuse(run("help", "trian", cwd=tmp_path), 2, ["help", "no such command", "`lerax --help`"])


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("seed", "--seed"),
        ("steps", "--steps"),
        ("algo", "--algo"),
        ("backend", "--backend"),
        ("video_interval", "--video-interval"),
        ("env", "argument ENV"),
        ("score", "in a config"),
        ("policy.seed", "--seed"),
    ],
)
def test_option_that_is_no_setting_is_answered(tmp_path: Path, name: str, place: str):
    """The relatives: what is an argument, what only a config has, and one in the policy's table."""
    refuse(run("train", "CartPole-v1", "--set", f"{name}=3", cwd=tmp_path), 2, ["--set", name, place])


@pytest.mark.parametrize("name", ["own.json", "own.yaml", "own.yml"])
def test_config_of_another_kind_is_told_what_to_be(tmp_path: Path, name: str):
    """One line, with an example of TOML; a TOML that is broken needs none."""
    (tmp_path / name).write_text('{"steps": 512}')
    (tmp_path / "own.toml").write_text('{"steps": 512}')
    refuse(
        run("train", "CartPole-v1", "--config", name, cwd=tmp_path), 2, [name, "is TOML, as RUN/config.toml"]
    )
    assert "RUN/" not in run("train", "CartPole-v1", "--config", "own.toml", cwd=tmp_path).stderr
