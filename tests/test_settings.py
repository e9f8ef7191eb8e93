"""Settings: conversion, ranges, and what is said of a wrong value."""

import inspect
import math

import numpy as np
import pytest
from jax import random as jr

from lerax.algorithm import PPO
from lerax.env.classic_control import CartPole
from lerax.policy import MLPActorCriticPolicy
from lerax.registry import POLICIES
from lerax.settings import setting_values, settings_of

SETTINGS = settings_of(PPO)


@pytest.mark.parametrize(
    "name, value, converted",
    [
        ("num_envs", 8.0, 8),
        ("num_envs", np.int64(8), 8),
        ("gamma", 1, 1.0),
        ("gamma", np.float32(0.5), 0.5),
        ("clip_value_loss", True, True),
        ("clip_value_loss", np.True_, True),
        ("clip_value_loss", np.bool_(False), False),
        ("num_envs", 2**20, 2**20),
        ("learning_rate", 1e-30, 1e-30),
    ],
)
def test_values_are_brought_to_their_type(name, value, converted):
    found = SETTINGS[name].convert(value)
    assert found == converted and type(found) is type(converted)


@pytest.mark.parametrize(
    "name, value",
    [
        ("num_envs", "8"),
        ("num_envs", 1.5),
        ("num_envs", math.nan),
        ("num_envs", True),
        ("num_envs", np.True_),
        ("gamma", np.True_),
        ("num_envs", None),
        ("gamma", "0.9"),
        ("gamma", True),
        ("gamma", None),
        ("gamma", 1j),
        pytest.param("gamma", 10**400, id="gamma-huge"),
        ("clip_value_loss", 1),
        ("clip_value_loss", "true"),
    ],
)
def test_a_value_of_another_type_is_refused(name, value):
    kind = {"num_envs": "an int", "gamma": "a float", "clip_value_loss": "a bool"}[name]
    with pytest.raises(ValueError, match=f"^{name}: not {kind} \\(got ") as error:
        SETTINGS[name].convert(value)  # directly: the annotations of PPO itself are checked in these tests
    assert repr(value)[:40] in str(error.value)


@pytest.mark.parametrize("name", [name for name, s in SETTINGS.items() if isinstance(s.default, float)])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name}: out of range"):
        PPO(**{name: value})


@pytest.mark.parametrize(
    "name, value, allowed",
    [
        ("learning_rate", 0, "above 0"),
        ("learning_rate", -1, "above 0"),
        ("gamma", 1.5, "at least 0 and at most 1"),
        ("gamma", -0.1, "at least 0 and at most 1"),
        ("clip_coefficient", -0.2, "above 0"),
        ("num_envs", 0, "at least 1"),
        ("num_envs", 2**20 + 1, "at most"),
        ("num_steps", -3, "at least 1"),
    ],
)
def test_a_value_out_of_range_is_refused_with_the_range(name, value, allowed):
    with pytest.raises(ValueError, match=f"{name}: out of range .*got {value}.*{allowed}"):
        PPO(**{name: value})


@pytest.mark.parametrize("value", [1e-46, 1e-40, -1e-46])
def test_what_becomes_0_in_32_bits_is_refused_where_0_is(value):
    with pytest.raises(ValueError, match=f"learning_rate: 0 in the 32 bits .*got {value}.*above 0"):
        PPO(learning_rate=value)
    assert PPO(gamma=abs(value), learning_rate=2e-38).learning_rate == 2e-38


@pytest.mark.parametrize(
    "options, said",
    [
        ({"hidden_sizes": ()}, "hidden_sizes: out of range"),
        ({"hidden_sizes": (8, 0)}, "hidden_sizes: out of range .*at least 1"),
        ({"activation": "tan"}, "activation: out of range .*tanh, relu"),
        ({"log_std_init": math.inf}, "log_std_init: out of range .*at most 20"),
    ],
)
def test_a_policys_settings_are_checked_too(env, options, said):
    with pytest.raises(ValueError, match=said):
        MLPActorCriticPolicy(env, **options, key=jr.key(0))


@pytest.mark.parametrize("value", ["64", 64, (8, 1.5), (8, "8"), None])
def test_what_is_not_a_list_of_numbers_is_refused(value):
    with pytest.raises(ValueError, match="hidden_sizes: not a list of int"):
        settings_of(MLPActorCriticPolicy)["hidden_sizes"].convert(value)


def test_every_setting_has_a_default_that_it_allows_and_help():
    policies = [entry.load() for entry in POLICIES.values()]
    for cls in (PPO, *policies):
        for name, declared in settings_of(cls).items():
            assert declared.convert(declared.default) == declared.default, name
            assert declared.help.endswith("."), name
            if cls not in policies:  # whose constructors take the settings as they are declared
                assert inspect.signature(cls).parameters[name].default == declared.default, name


def test_a_policy_has_no_other_settings():
    said = "MLPActorCriticPolicy: has no such setting .*'hiden_sizes'.* hidden_sizes"
    with pytest.raises(TypeError, match=said):
        MLPActorCriticPolicy(CartPole(), hiden_sizes=(8,), key=jr.key(0))


def test_ranges_have_words():
    policy = settings_of(MLPActorCriticPolicy)
    said = {name: declared.allowed for name, declared in (SETTINGS | policy).items()}
    assert said["clip_value_loss"] == "true or false"
    assert said["hidden_sizes"] == "1 to 100 values, each at least 1 and at most 16384"
    assert said["gamma"] == "at least 0 and at most 1" and said["activation"].startswith("one of tanh, relu")


def test_the_values_of_an_instance():
    defaults = {name: declared.default for name, declared in SETTINGS.items()}
    assert setting_values(PPO(num_envs=8)) == defaults | {"num_envs": 8}
