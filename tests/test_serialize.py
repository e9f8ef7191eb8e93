"""Policies as files of their own, and what tells one from another."""

import functools
import hashlib
import math
from collections.abc import Callable

import equinox as eqx
import jax
import numpy as np
import pytest
from in_process import run as lerax
from jax import numpy as jnp
from jax import random as jr

from lerax import checkpoint
from lerax.checkpoint import CheckpointError, MisfitError
from lerax.env.classic_control import CartPole, Pendulum
from lerax.fingerprint import fingerprint, form_of
from lerax.policy import (
    MLPActorCriticPolicy,
    MLPCategoricalPolicy,
    MLPDeterministicPolicy,
    MLPQPolicy,
    MLPSquashedGaussianPolicy,
    RandomPolicy,
)
from lerax.settings import setting_values, settings_of
from lerax.space import Box, Discrete

KINDS = [
    (MLPActorCriticPolicy, CartPole),
    (MLPActorCriticPolicy, Pendulum),
    (MLPQPolicy, CartPole),
    (MLPCategoricalPolicy, CartPole),
    (MLPDeterministicPolicy, Pendulum),
    (MLPSquashedGaussianPolicy, Pendulum),
]
SIZES = {"hidden_sizes": (5, 4)}


def other(cls, name):
    """A value of a setting that is not its default, and for sizes not that of `SIZES`."""
    declared = settings_of(cls)[name]
    choices = [choice for choice in declared.limits.choices if choice != declared.default]
    if isinstance(declared.default, bool):
        return not declared.default
    return (
        choices[0] if choices else (5, 7) if isinstance(declared.default, tuple) else declared.default + 0.5
    )


EACH = [(cls, env, name) for cls, env in KINDS for name in settings_of(cls)]
NAMES = [f"{cls.__name__}-{env.__name__}-{name}" for cls, env, name in EACH]


def misfit(action):
    with pytest.raises(MisfitError) as caught:
        action()
    assert "\n" not in str(caught.value)
    return caught.value.reason


@pytest.mark.parametrize(("cls", "env"), KINDS, ids=[f"{cls.__name__}-{env.__name__}" for cls, env in KINDS])
def test_a_policy_comes_back_as_it_was(cls, env, tmp_path):
    settings = SIZES | {"activation": "elu", "normalize_observations": True}
    policy = cls(env(), **settings, key=jr.key(3))
    policy = policy.after_rollout(jr.normal(jr.key(4), (50, *policy.observation_space.shape)))
    policy.serialize(tmp_path / "new" / "model.eqx")
    again = cls.deserialize(tmp_path / "new" / "model.eqx", env(), key=jr.key(1))
    assert setting_values(again) == setting_values(policy)
    assert eqx.tree_equal(again, policy)
    assert fingerprint(again) == fingerprint(policy)


@pytest.mark.parametrize(("cls", "env", "name"), EACH, ids=NAMES)
def test_each_other_setting_is_noticed(cls, env, name, tmp_path):
    policy, value = cls(env(), **SIZES, key=jr.key(0)), other(cls, name)
    path = tmp_path / "model.eqx"
    policy.serialize(path)
    got, wanted = repr(getattr(policy, name)), repr(value)
    said = misfit(lambda: cls.deserialize(path, env(), **{name: value}))
    assert said.startswith(f"{name} does not fit (expected {wanted}, got {got}); ")
    changed = cls(env(), **(SIZES | {name: value}), key=jr.key(0))
    assert fingerprint(changed) != fingerprint(policy)


@pytest.mark.parametrize("low", [-2.5, -np.inf])
def test_other_bounds_are_noticed(low, tmp_path):
    class Other(Pendulum):
        action_space = Box(low, 2.0, shape=(1,))

    MLPActorCriticPolicy(Pendulum(), key=jr.key(0)).serialize(tmp_path / "model.eqx")
    said = misfit(lambda: MLPActorCriticPolicy.deserialize(tmp_path / "model.eqx", Other()))
    assert said.startswith(f"action_space.low does not fit (expected ({low},), got (-2.0,)); ")


@pytest.mark.parametrize(
    ("space", "place"),
    [(Discrete(3), "action_space.n"), (Box(-1, 1, shape=(2,)), "action_space"), (None, "observation_space")],
)
def test_another_space_is_noticed(space, place, tmp_path):
    class Other(CartPole):
        if space is None:
            observation_space = Box(-1.0, 1.0, shape=(7,))
        else:
            action_space = space

    MLPActorCriticPolicy(CartPole(), key=jr.key(0)).serialize(tmp_path / "model.eqx")
    said = misfit(lambda: MLPActorCriticPolicy.deserialize(tmp_path / "model.eqx", Other()))
    assert said.startswith(place)


def test_another_class_is_noticed(tmp_path):
    MLPQPolicy(CartPole(), key=jr.key(0)).serialize(tmp_path / "q.eqx")
    said = misfit(lambda: MLPCategoricalPolicy.deserialize(tmp_path / "q.eqx", CartPole()))
    assert said.startswith("class does not fit (expected MLPCategoricalPolicy, got MLPQPolicy); ")
    said = misfit(lambda: RandomPolicy.deserialize(tmp_path / "q.eqx", CartPole()))
    assert said.startswith("class does not fit (expected RandomPolicy, got MLPQPolicy); ")


class Squashed(eqx.Module):
    """What has no settings: a function and a number beside its arrays, as equinox's own modules have."""

    weight: jax.Array
    squash: Callable = eqx.field(static=True)
    gain: float = 1.0


def test_a_function_in_place_of_another_is_noticed():
    module = Squashed(jnp.ones(3), jax.nn.relu)
    others = [
        Squashed(jnp.ones(3), jax.nn.elu),
        Squashed(jnp.ones(3), functools.partial(jax.nn.leaky_relu, negative_slope=0.1)),
        Squashed(jnp.ones(3), functools.partial(jax.nn.leaky_relu, negative_slope=0.2)),
        Squashed(jnp.ones(4), jax.nn.relu),
        Squashed(jnp.ones(3, jnp.float16), jax.nn.relu),
        Squashed(jnp.ones(3), jax.nn.relu, 2.0),
    ]
    assert len({fingerprint(one) for one in [module, *others]}) == 7
    assert fingerprint(Squashed(jnp.zeros(3), jax.nn.relu)) == fingerprint(module), "weights do not count"


def test_a_fingerprint_is_the_same_in_every_process():
    form = {
        "": "Squashed",
        "weight": "float32[3]",
        "squash": f"{math.sin.__module__}.sin",
        "gain": "1.0",
    }
    module = Squashed(jnp.ones(3), math.sin)
    lines = "\n".join(f"{name}={form[name]}" for name in sorted(form))
    assert form_of(module) == form
    assert fingerprint(module) == hashlib.sha256(lines.encode()).hexdigest()[:16]


def test_long_bounds_are_told_apart_in_few_words():
    spaces = [Box(np.zeros(1000), np.r_[np.ones(999), last]) for last in (1.0, 2.0)]
    one, two = (form_of(space)["high"] for space in spaces)
    assert one != two and max(len(one), len(two)) < 200


def test_the_file_of_a_run_is_loaded_too(tmp_path):
    """Which says the settings, and has no fingerprint."""
    policy = MLPActorCriticPolicy(CartPole(), hidden_sizes=(8,), activation="elu", key=jr.key(0))
    metadata = {"policy": "MLPActorCriticPolicy", "settings": {"hidden_sizes": [8], "activation": "elu"}}
    checkpoint.save(tmp_path / "policy.eqx", policy, metadata)
    load = functools.partial(MLPActorCriticPolicy.deserialize, tmp_path / "policy.eqx", CartPole())
    assert eqx.tree_equal(load(), policy)
    assert misfit(lambda: load(activation="relu")).startswith("activation does not fit")


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "model.eqx"
    MLPQPolicy(CartPole(), **SIZES, key=jr.key(0)).serialize(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError):
        MLPQPolicy.deserialize(path, CartPole())


def test_the_command_plays_a_policy_that_says_its_environment(tmp_path):
    policy = MLPQPolicy(CartPole(), **SIZES, key=jr.key(0))
    policy.serialize(tmp_path / "model.eqx", {"env": "CartPole-v1"})
    done = lerax("eval", "model.eqx", "--episodes", "2", "--quiet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 greedy, CartPole-v1" in done.stdout


def test_what_came_later_says_nothing_at_its_default():
    """So that files of before that fit: the value is the one that this policy had then."""
    assert fingerprint(MLPActorCriticPolicy(CartPole(), key=jr.key(0))) == "1d1b0a50a2824c62"
    assert form_of(Discrete(2)) == {"": "Discrete", "n": "2"}
    assert form_of(Discrete(2, start=1)) == {"": "Discrete", "n": "2", "start": "1"}
