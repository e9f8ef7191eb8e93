"""What the command says of an error comes from the error's parts; what words are in a text means nothing."""

import errno
import json
import warnings
from pathlib import Path
from typing import Any

import jax
import pytest
from in_process import run
from jax import numpy as jnp
from test_tasks import plan

from lerax import registry
from lerax import render as rendering
from lerax.algorithm import PPO
from lerax.backend import MemoryBackend
from lerax.callback import LoggingCallback
from lerax.errors import LeraxWarning, LossWarning, NotFiniteWarning, SettingError, told
from lerax.render import RenderError
from lerax.run import ENDING_BYTES
from lerax_cli import parts, recording
from lerax_cli.report import BadInput, Failure, Warnings

MISLEADING = "num_envs: out of range (got 3); allowed: anything"


def test_a_failure_keeps_where_and_what():
    error = BadInput("--steps", "out of range (got 0)")
    assert (error.where, error.what, error.code) == ("--steps", "out of range (got 0)", 2)
    assert str(error) == "--steps: out of range (got 0)"


def test_what_python_says_in_a_compiled_program_is_the_reason():
    """And not the stack that JAX puts before it."""

    def fails(x: Any):
        raise ZeroDivisionError("in two\n  lines")

    with pytest.raises(Exception) as caught:
        jax.block_until_ready(jax.jit(lambda x: jax.pure_callback(fails, x, x))(jnp.zeros(())))
    assert told(caught.value) == "ZeroDivisionError: in two\n  lines"
    assert told(ValueError("as it is")) == "ValueError: as it is"


def test_a_backends_own_words_are_not_taken_apart(monkeypatch, tmp_path: Path):
    """A plugin's error with a colon and a `got` is said as it is, behind the option and the name."""

    class Odd(MemoryBackend):
        def __init__(self, log_dir: Any):
            raise ValueError(MISLEADING)

    monkeypatch.setattr(registry, "load_backend", lambda name: Odd)
    with pytest.raises(BadInput) as caught:
        parts.load_backend("odd", tmp_path)
    assert (caught.value.where, caught.value.what) == ("--backend", f"odd: {MISLEADING}")


def algorithm(error: Exception):
    """The entry of an algorithm that refuses its settings, or a training of so many steps."""

    class Refuses(PPO):
        def __check_init__(self):
            if getattr(error, "name", None) != "total_timesteps":
                raise error

        def num_iterations(self, total_timesteps):
            raise error

    class Entry(registry.Entry):
        def load(self) -> Any:
            return Refuses

    return Entry("ppo", "", "")


@pytest.mark.parametrize(
    ("error", "where", "what"),
    [
        (ValueError(MISLEADING), "--algo", MISLEADING),
        (SettingError("num_envs", "a: b", "c"), "--set: num_envs", "must be c (got 'a: b')"),
        (SettingError("total_timesteps", 1, "even"), "--steps", "must be even (got 1)"),
        (SettingError("gamma", 2.0, "small"), "gamma", "must be small (got 2.0)"),
    ],
)
def test_a_refusal_is_put_where_its_value_came_from(error: Exception, where: str, what: str):
    """By the name that the error has. What only looks like a refusal of `num_envs` is none."""
    given = plan("CartPole-v1", preset="none", steps=4096, settings=[("algorithm", "num_envs", 8)])
    given.algorithm = algorithm(error)
    with pytest.raises(BadInput) as caught:
        parts.build(given)
    assert (caught.value.where, caught.value.what) == (where, what)


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (SettingError("camera", "x", wrong="none: there"), BadInput, "--camera: none: there (got 'x')"),
        (ValueError("camera: mine"), Failure, "record-video: ValueError: camera: mine"),
        (RenderError("camera: broken"), Failure, "record-video: camera: broken"),
    ],
)
def test_an_environment_that_fails_is_no_wrong_camera(monkeypatch, error, kind, said):
    def fails(*_):
        raise error

    monkeypatch.setattr(rendering, "headless_renderer", fails)
    with pytest.raises(type(error) if kind is Failure else BadInput) as caught:
        recording._renderer(None, type("RecordingPlan", (), {"size": (1, 1), "camera": "x"}))  # type: ignore[arg-type]
    failure = recording._failure(caught.value, Path("x.mp4"))
    assert type(failure) is kind and str(failure) == said


def test_warnings_are_told_apart_by_class(capsys):
    """Hidden are those of values that are not finite; what only has their words is shown."""
    with warnings.catch_warnings():
        warned = Warnings()
        warned.install(NotFiniteWarning)
        warnings.warn("not finite from step 3 on: loss", NotFiniteWarning, stacklevel=1)
        warnings.warn("\x1b[33mmine: not finite from step 3 on\x1b[0m", UserWarning, stacklevel=1)
        warnings.warn("a file is cut", LossWarning, stacklevel=1)
        warnings.warn("No space left on device", LeraxWarning, stacklevel=1)
    assert warned.count == 3 and warned.lost == ["a file is cut"]
    assert capsys.readouterr().err.splitlines() == [
        "lerax: warning: mine: not finite from step 3 on",
        "lerax: warning: a file is cut",
        "lerax: warning: No space left on device",
    ]


def test_losses_fit_into_the_room_that_is_kept_for_them():
    warned = Warnings()
    warned.lost = [f"a checkpoint is not saved: {number}" for number in range(1000)]
    *first, last = kept = warned.losses()
    assert first == warned.lost[: len(first)] and last == f"{1000 - len(first)} more like these"
    assert len(json.dumps(kept, indent=2)) < ENDING_BYTES
    warned.lost = warned.lost[:3]
    assert warned.losses() == warned.lost


def plain() -> None:
    raise RuntimeError("No space left on device, says who?")


def of_the_disk() -> None:
    try:
        raise OSError(errno.ENOSPC, "full")
    except OSError as error:
        raise RuntimeError("it went wrong") from error


@pytest.mark.parametrize(("fails", "category"), [(plain, LeraxWarning), (of_the_disk, LossWarning)])
def test_a_loss_is_known_by_the_errors_number(tmp_path: Path, fails: Any, category: type[Warning]):
    """Not by the words of an error; also where a backend has made another error of that of the system."""

    class Fails(MemoryBackend):
        log_dir = tmp_path

        def flush(self) -> None:
            fails()

    with pytest.warns(LeraxWarning) as caught:
        logger = LoggingCallback(Fails(), name="run")
        logger.log({"x": 1.0}, 1)
        logger.close()
    assert [warning.category for warning in caught] == [category]


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        (["train", "CartPole-v1", "--steps", "1.5"], "--steps"),
        (["train", "CartPole-v1", "--seed", "-1"], "--seed"),
        (["train", "CartPole-v1", "--video-interval", "often"], "--video-interval"),
        (["train", "CartPole-v1", "--device", "tpu"], "--device"),
        (["record-video", "CartPole-v1", "--width", "0"], "--width"),
        (["record-video", "CartPole-v1", "--fps", "nan"], "--fps"),
        (["record-video", "CartPole-v1", "--layout", "3", "--sheet"], "--layout"),
    ],
)
def test_an_option_is_read_before_anything_else(tmp_path: Path, arguments: list[str], where: str):
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.startswith(f"lerax: error: {where}: "), done.stderr
    assert len(done.stderr.splitlines()) == 1
