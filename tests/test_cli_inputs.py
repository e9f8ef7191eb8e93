"""Command lines that are refused: one line says why, before anything is begun."""

from pathlib import Path

import pytest
import terminal

MANY = "9223372036854775807"
LONG = "a" * 300

# What stands behind `lerax`, and what the error has to say. The exit code is always 2.
NAMES = [
    (["trian"], ["trian", "did you mean", "train"]),
    (["--step"], ["--step"]),
    (["train", "CartPole-v1", "--step", "512"], ["--step", "--steps"]),
    (["train", "CartPole-v1", "--steps"], ["--steps", "argument"]),
    (["train"], ["ENV", "missing", "list-envs"]),
    (["train", ""], ["ENV", "''", "CartPole-v1"]),
    (["train", " "], ["ENV", "' '", "CartPole-v1"]),
    (["train", "CartPole-v1", "Pendulum"], ["extra", "Pendulum"]),
    (["train", "CarPole"], ["ENV", "'CarPole'", "did you mean", "CartPole-v1"]),
    (["train", "../x"], ["ENV", "'../x'"]),
    (["train", "os:system"], ["ENV", "'os:system'"]),
    (["train", "a\nb"], ["ENV", "a\\nb"]),
    (["train", "CartPole-v1", "--algo", "ppp"], ["--algo", "'ppp'", "did you mean", "ppo"]),
    (["train", "CartPole-v1", "--algo", "xyz"], ["--algo", "'xyz'", "available", "ppo"]),
    (["train", "CartPole-v1", "--algo", "", "--steps", "1"], ["--algo", "''", "ppo"]),
    (["train", "CartPole-v1", "--preset", "CarPole"], ["--preset", "'CarPole'", "CartPole-v1"]),
    (["train", "CartPole-v1", "--preset", "", "--steps", "1"], ["--preset", "''"]),
    (["train", "CartPole-v1", "--progress", "ful"], ["--progress", "'ful'", "auto, full, plain, off"]),
    (["train", "CartPole-v1", "--device", "tpu"], ["--device", "'tpu'", "auto, cpu, gpu"]),
    (["train", "CartPole-v1", "--nan", "maybe"], ["--nan", "'maybe'", "stop, warn, off"]),
    (["train", "CartPole-v1", "--nan", "", "--steps", "1"], ["--nan", "''", "stop, warn, off"]),
    (["train", "CartPole-v1", "--backend", "foo"], ["--backend", "'foo'", "tensorboard", "none"]),
    (["train", "CartPole-v1", "--backend", "tensorbord"], ["--backend", "did you mean tensorboard"]),
    (["train", "CartPole-v1", "--backend", "none", "--backend", "tensorboard"], ["--backend", "none"]),
    (["train", "CartPole-v1", "--config", ""], ["--config", "''", "file"]),
    (["list-algos", "ppp"], ["ALGORITHM", "'ppp'", "ppo"]),
    (["list-envs", "more"], ["ENV", "'more'"]),
    (["list-envs", "CartPole-v1", "more"], ["extra", "more"]),
    (["list-policies", "more"], ["POLICY", "'more'", "MLPActorCriticPolicy"]),
    (["train", "CartPole-v1", "--policy", "MLP"], ["--policy", "'MLP'", "MLPActorCriticPolicy"]),
]
NUMBERS = [
    ("--steps", "0", ["got 0", "at least 1", MANY]),
    ("--steps", "-5", ["got -5", "at least 1", MANY]),
    ("--steps", "abc", ["'abc'", "int", MANY]),
    ("--steps", "1.5", ["1.5", "int"]),
    ("--steps", "", ["''", "int"]),
    ("--steps", "nan", ["nan"]),
    ("--steps", "inf", ["inf"]),
    ("--steps", "1e30", ["1e+30", MANY]),
    ("--steps", "9223372036854775808", ["9223372036854775808", MANY]),
    ("--video-interval", "-1", ["got -1", "at least 0"]),
    ("--video-interval", "often", ["'often'", "int"]),
    ("--seed", "-1", ["got -1", "at least 0 and at most 4294967295"]),
    ("--seed", "4294967296", ["4294967296", "4294967295"]),
    ("--seed", "0.5", ["0.5", "int"]),
    ("--seed", "", ["''", "int"]),
    ("--set", "foo", ["KEY=VALUE", "'foo'"]),
    ("--set", "=1", ["KEY=VALUE", "'=1'"]),
    ("--set", "optimizer.eps=1", ["optimizer", "algorithm, policy"]),
]
PLACES = [
    ("--out", "s3://bucket/runs", ["s3://bucket/runs", "local"]),
    ("--out", "", ["''", "folder"]),
    ("--out", "a-file", ["a-file", "not a folder"]),
    ("--out", LONG, ["too long"]),
    ("--out", "/".join(["folder"] * 1000), ["too long"]),
    ("--name", "../x", ["'../x'", "letters"]),
    ("--name", "/x", ["'/x'", "letters"]),
    ("--name", "", ["''", "letters"]),
    ("--name", "-x", ["'-x'", "letters"]),
    ("--name", ".x", ["'.x'", "letters"]),
    ("--name", "two words", ["'two words'", "letters"]),
    ("--name", LONG, ["200"]),
]


def refuse(done: terminal.Finished, code: int, words: list[str]) -> None:
    """Checks that a command ended with a code and one line of error that has all the words."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("lerax: error: ")
    missing = [word for word in words if word.lower() not in done.stderr.lower()]
    assert not missing, done.stderr


@pytest.mark.parametrize(("arguments", "words"), NAMES, ids=[" ".join(row[0]) for row in NAMES])
def test_name_is_refused(tmp_path: Path, arguments: list[str], words: list[str]):
    """Something that does not exist, or is not given: exit 2, and what there is."""
    refuse(terminal.warm(*arguments, cwd=tmp_path), 2, words)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("option", "value", "words"), NUMBERS)
def test_value_is_refused(tmp_path: Path, option: str, value: str, words: list[str]):
    """A number that is none or out of range: exit 2, and what is allowed."""
    refuse(terminal.warm("train", "CartPole-v1", option, value, cwd=tmp_path), 2, [option, *words])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("option", "value", "words"), PLACES)
def test_place_is_refused(tmp_path: Path, option: str, value: str, words: list[str]):
    """A folder or a name that no run can have: exit 2."""
    (tmp_path / "a-file").touch()
    refuse(terminal.warm("train", "CartPole-v1", option, value, cwd=tmp_path), 2, [option, *words])
    assert [path.name for path in tmp_path.iterdir()] == ["a-file"]


def test_no_command_prints_the_usage(tmp_path: Path):
    """`lerax` alone is a mistake, but a helpful one: the usage goes to standard error."""
    done = terminal.run(cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: lerax") and "train" in done.stderr


def test_typo_gets_the_three_nearest_names():
    """More than three would be a list, not a hint."""
    from lerax.names import hint

    known = ["Hopper-v5", "Walker2d-v5", "HalfCheetah-v5", "Humanoid-v5", "HumanoidStandup-v5", "Ant-v5"]
    said = hint("humanoid-v4", known)
    assert said.startswith("did you mean Humanoid-v5") and said.count(" or ") <= 2
    assert "HumanoidStandup-v5" in said and "Ant-v5" not in said


def test_name_that_looks_like_a_module_is_not_imported(tmp_path: Path):
    """P7: a name is looked up, never evaluated; one in a file is never imported."""
    (tmp_path / "trap.py").write_text("open('sprung', 'w')\n")
    for name in ("trap", ":run", "trap.run", "__import__('trap')"):
        done = terminal.run("train", name, cwd=tmp_path, PYTHONPATH=str(tmp_path))
        refuse(done, 2, ["ENV"])
    for number, line in enumerate(("env = 'trap:run'", "env.name = 'trap:run'", "algo = 'trap:run'")):
        (tmp_path / f"{number}.toml").write_text(line)
        env = ["CartPole-v1"] if "algo" in line else []
        done = terminal.run(
            "train", *env, "--config", f"{number}.toml", cwd=tmp_path, PYTHONPATH=str(tmp_path)
        )
        refuse(done, 2, [line.partition(" ")[0], "'trap:run'", "only if the command line names it"])
    assert not (tmp_path / "sprung").exists()


def test_taken_name_is_refused(tmp_path: Path):
    """P8: a run is never put into another run's directory."""
    taken = tmp_path / "logs" / "mine"
    taken.mkdir(parents=True)
    done = terminal.warm("train", "CartPole-v1", "--name", "mine", cwd=tmp_path)
    refuse(done, 2, ["--name", "mine", "exists"])
    assert not list(taken.iterdir())


@pytest.mark.parametrize("place", ["a-file/runs", "/proc/runs"])
def test_place_that_cannot_be_written_is_the_machines_fault(tmp_path: Path, place: str):
    """Exit 1: the command line is right, the folder is not."""
    (tmp_path / "a-file").touch()
    done = terminal.warm("train", *terminal.BRIEF, "--out", place, cwd=tmp_path)
    refuse(done, 1, ["--out", place, "cannot be written"])


def test_no_gpu_is_the_machines_fault(tmp_path: Path):
    """Exit 1, and which devices there are."""
    done = terminal.run("train", *terminal.BRIEF, "--device", "gpu", cwd=tmp_path)
    refuse(done, 1, ["--device", "GPU", "cpu:0"])
    assert not list(tmp_path.iterdir())


def test_unknown_platform_is_the_machines_fault(tmp_path: Path):
    """JAX's own variable names what is not there: exit 1, one line."""
    done = terminal.run("train", *terminal.BRIEF, cwd=tmp_path, JAX_PLATFORMS="bogus")
    refuse(done, 1, ["bogus"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("platforms", ["cuda", "gpu", "cuda, cpu"])
def test_platform_that_is_not_here_is_the_machines_fault(tmp_path: Path, platforms: str):
    """Exit 1, what was asked for, what there is and what to do; of CUDA JAX itself says nothing."""
    done = terminal.run("train", *terminal.BRIEF, cwd=tmp_path, JAX_PLATFORMS=platforms)
    refuse(done, 1, ["JAX_PLATFORMS", repr(platforms), "found: ", "cpu:0", "unset it", "jax[cuda"])
    assert not list(tmp_path.iterdir())


def test_platform_that_is_not_here_leaves_the_cpu(tmp_path: Path):
    """`--device` wins; videos are always made on the CPU."""
    options = ("--device", "cpu", "-q", "--steps", "512", "--preset", "none")
    done = terminal.run("train", "CartPole-v1", *options, cwd=tmp_path, JAX_PLATFORMS="cuda")
    assert done.returncode == 0, done.stderr
    done = terminal.run("train", *terminal.BRIEF, "--device", "gpu", cwd=tmp_path, JAX_PLATFORMS="cuda")
    refuse(done, 1, ["--device", "no GPU", "cpu:0"])
    done = terminal.run(
        "record-video", "CartPole-v1", "--steps", "3", "-q", cwd=tmp_path, JAX_PLATFORMS="cuda"
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("arguments", [["--config", "a\nb"], ["--set", "no\nkey=1"], ["--set", "\x1b[31m=1"]])
def test_control_characters_do_not_reach_the_terminal(tmp_path: Path, arguments: list[str]):
    """What the user gave is shown escaped: an error stays one line, and colours nothing."""
    done = terminal.warm("train", "CartPole-v1", *arguments, cwd=tmp_path)
    refuse(done, 2, [arguments[0]])
    assert "\x1b" not in done.stderr


def test_debug_adds_the_traceback_and_keeps_the_exit_code(tmp_path: Path):
    """`--debug` is for reports, not another outcome."""
    done = terminal.warm("train", "CartPole-v1", "--steps", "0", "--debug", cwd=tmp_path)
    assert "Traceback" in done.stderr and "--steps" in done.stderr
    assert done.returncode == 2


def test_names_ranges_and_paths_are_checked_before_jax_is_imported(tmp_path: Path):
    """A mistake is answered in a blink."""
    program = (
        "import sys; from lerax_cli.app import run; code = run(sys.argv[1:]);"
        "print(code, sorted({'jax', 'equinox', 'numpy', 'rich'} & set(sys.modules)))"
    )
    for arguments in (["CarPole"], ["CartPole-v1", "--steps", "0"], ["CartPole-v1", "--name", "../x"]):
        command = [terminal.sys.executable, "-c", program, "train", *arguments]
        assert terminal.finish(command, tmp_path, {}).stdout == "2 []\n"
