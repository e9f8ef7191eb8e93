"""What is refused is an object, whose parts say what a program may want to know."""

import copy
import pickle

import pytest
from jax import random as jr

from lerax.algorithm import PPO
from lerax.backend import MemoryBackend
from lerax.callback import EvalCallback, LoggingCallback, StopOnReturn
from lerax.env.classic_control import Acrobot, CartPole
from lerax.env.mujoco import Hopper
from lerax.errors import LeraxWarning, LossWarning, NotFiniteWarning, SettingError, SettingTypeError
from lerax.network import ACTIVATIONS
from lerax.policy import MLPActorCriticPolicy
from lerax.render import HeadlessPygameRenderer
from lerax.settings import check_count, check_instance
from lerax.space import Discrete
from lerax.wrapper import TimeLimit

KEY = jr.key(0)
ENV = CartPole()
LIMIT = "at least 1 and at most 2147483647"
REFUSED = {
    "setting": (lambda: PPO(gamma=1.5), "gamma", 1.5, "at least 0 and at most 1"),
    "setting of another type": (lambda: PPO(num_envs="4"), "num_envs", "4", "at least 1 and at most 1048576"),
    "setting beside others": (lambda: PPO(num_envs=2, num_steps=4, num_batches=3), "num_batches", 3, ""),
    "setting of a policy": (
        lambda: MLPActorCriticPolicy(ENV, activation="sine", key=KEY),
        "activation",
        "sine",
        "one of " + ", ".join(ACTIVATIONS),
    ),
    "class": (lambda: check_instance("env", CartPole, CartPole, "CartPole()"), "env", CartPole, ""),
    "video": (lambda: LoggingCallback(MemoryBackend(), video_width=0), "video_width", 0, "at least 1"),
    "environment": (lambda: CartPole(max_episode_steps=0), "max_episode_steps", 0, LIMIT + ", or none"),
    "choice of an environment": (
        lambda: Acrobot(book_or_nips="page"),
        "book_or_nips",
        "page",
        "one of book, nips",
    ),
    "physics": (lambda: Hopper(physics="warp"), "physics", "warp", "one of native, mjx"),
    "wrapper": (lambda: TimeLimit(ENV, -1), "max_episode_steps", -1, LIMIT),
    "space": (lambda: Discrete(0), "Discrete", 0, ""),
    "callback": (lambda: StopOnReturn(float("inf")), "threshold", float("inf"), "any finite value"),
    "schedule of a callback": (lambda: EvalCallback(0), "interval", 0, "at least 1"),
    "size": (lambda: HeadlessPygameRenderer(0, 10), "size", (0, 10), ""),
    "argument": (lambda: check_count("episodes", 0), "episodes", 0, "at least 1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_says_its_name_what_was_got_and_what_is_allowed(case):
    make, name, got, allowed = REFUSED[case]
    with pytest.raises(SettingError) as caught:
        make()
    error = caught.value
    assert (error.name, error.got, error.allowed) == (name, got, allowed)
    assert str(error) == f"{name}: {error.reason}"
    assert allowed in str(error) and "\n" not in str(error)


def test_the_line_is_made_of_the_parts():
    short = SettingError("rate", -1, "above 0")
    whole = SettingError("rate", "x" * 200, "above 0", wrong="not a float", hint="such as 0.1")
    said = SettingTypeError("env", CartPole, wrong="a class", hint="write CartPole()", said="CartPole")
    assert str(short) == "rate: must be above 0 (got -1)"
    got = f"'{'x' * 39} ... {'x' * 34}'"
    assert str(whole) == f"rate: not a float (got {got}); allowed: above 0; such as 0.1"
    assert str(said) == "env: a class (got CartPole); write CartPole()"


def test_errors_are_of_the_kinds_that_programs_catch():
    assert issubclass(SettingError, ValueError) and not issubclass(SettingError, TypeError)
    assert issubclass(SettingTypeError, TypeError) and issubclass(SettingTypeError, SettingError)
    for kind in (LossWarning, NotFiniteWarning):
        assert issubclass(kind, LeraxWarning) and issubclass(kind, RuntimeWarning)


@pytest.mark.parametrize("again", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_an_error_travels_between_processes(again):
    error = SettingError("rate", -1, "above 0", wrong="out of range", hint="such as 0.1", said="less")
    assert vars(again(error)) == vars(error) and str(again(error)) == str(error)
