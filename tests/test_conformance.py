"""Whatever has a name meets its contract: what is new in the registries is found here by itself.

Of the pairs of algorithm and environment `make test` trains one for each algorithm and kind of actions,
without MuJoCo, and with each LERAX_CONFORMANCE_SEED others; `make test-learning` trains all.
"""

import inspect
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import in_process
import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr
from test_x64 import wide
from toys import arrays

import lerax.space
import lerax.wrapper
from lerax import checkpoint, registry, tree
from lerax.env import AbstractEnvLike, advance
from lerax.errors import SettingError, SettingTypeError
from lerax.settings import REQUIRED, settings_of
from lerax.space import AbstractSpace, Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from lerax.wrapper import AbstractWrapper, TransformAction, TransformObservation, TransformReward
from lerax_cli.declared import action_kinds, plain
from lerax_cli.values import read_value

SEED = int(os.environ.get("LERAX_CONFORMANCE_SEED", "0"))
SHORT = 3  # steps of an episode
STEPS = 2 * SHORT + 1
SMALL = {  # of the settings that there are: what makes a training quick
    "num_envs": 2,
    "num_steps": 8,
    "num_epochs": 1,
    "num_batches": 2,
    "buffer_size": 64,
    "batch_size": 8,
    "learning_starts": 8,
    "hidden_sizes": (8,),
    "max_episode_steps": SHORT,
    "threads": 1,
}


def concrete(module: Any, base: type) -> list[type]:
    """The classes that a module exports and that can be made."""
    found = (one for one in vars(module).values() if isinstance(one, type) and issubclass(one, base))
    return [one for one in found if not (inspect.isabstract(one) or one.__abstractvars__)]


def small(cls: type, **more: Any) -> dict[str, Any]:
    """What of the small settings a class has."""
    return {name: value for name, value in (SMALL | more).items() if name in settings_of(cls)}


def make_env(name: str) -> AbstractEnvLike:
    cls = registry.ENVS[name].load()
    return cls(**small(cls))


def kind_of(name: str) -> str:
    (kind,) = action_kinds("env", registry.ENVS[name]) or ("",)
    return kind


ONE_OF_EACH = {kind_of(name): name for name in reversed(registry.ENVS)}
"""An environment for each kind of actions: the first one."""
WRAPPERS = concrete(lerax.wrapper, AbstractWrapper)
TRANSFORMS = TransformAction, TransformObservation, TransformReward  # what they are given is no setting
SPACES = concrete(lerax.space, AbstractSpace)
OTHERS_SPACES = [  # which no environment of the registry has
    Discrete(3, start=-1),
    MultiDiscrete((2, 3)),
    MultiBinary((2, 2)),
    Dict({"b": Discrete(2, start=1), "a": Box(0, 255, (2,), np.uint8)}),
    Tuple((MultiBinary(2), Dict({"a": Box(-1.0, 1.0)}))),
]


def equal(one: Any, other: Any) -> bool:
    """Whether two trees are the same bit for bit."""
    pairs = zip(arrays(one), arrays(other), strict=True)
    return tree.form(one) == tree.form(other) and all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)


def differs(one: Any, other: Any) -> bool:
    return any(not np.array_equal(a, b) for a, b in zip(arrays(one), arrays(other), strict=True))


def is_plain(space: AbstractSpace) -> bool:
    """Whether a space is static data: hashable, equal to its like, without arrays."""
    return not jax.tree.leaves(space) and len({space, eqx.tree_at(lambda s: s, space, space)}) == 1


# Environments, with and without wrappers, and their spaces


@eqx.filter_jit
def played(env: AbstractEnvLike, keys: jax.Array) -> Any:
    """Random steps, and what the spaces say of them: `[lane, step, ...]`."""

    def step(state: Any, key: jax.Array) -> Any:
        action_key, step_key = jr.split(key)
        action = env.action_space.sample(key=action_key)
        taken = advance(env, state, action, key=step_key)
        seen = taken.observation, taken.next_observation
        inside = [env.observation_space.contains(one) for one in seen]
        flat = env.observation_space.flatten(seen[0]), env.action_space.flatten(action)
        ends = taken.terminal, taken.truncated
        return taken.state, (
            action,
            seen,
            taken.reward,
            ends,
            env.action_space.contains(action),
            inside,
            flat,
        )

    def lane(key: jax.Array) -> Any:
        first_key, *step_keys = jr.split(key, STEPS + 1)
        return jax.lax.scan(step, env.initial(key=first_key), jnp.stack(step_keys))

    return jax.vmap(lane)(keys)


def check_env(env: AbstractEnvLike, *, episode: int | None) -> None:
    """The contract of an environment; `episode` are the steps after which it truncates, if it does."""
    for space in (env.action_space, env.observation_space):
        assert is_plain(space)
    keys = jr.split(jr.key(SEED), 2)[jnp.array([0, 0, 1])]
    found = played(env, keys)
    action, seen, reward, (terminal, truncated), fits, inside, flat = found[1]
    # Pytree, determinism, vmap: lanes with one key are the same, and another one differs.
    assert equal(jax.tree.unflatten(*reversed(jax.tree.flatten(env))), env)
    assert equal(played(env, keys), found)
    first, same, other = (jax.tree.map(lambda x, i=i: x[i], found[1]) for i in range(3))
    assert equal(first, same) and differs(first, other)
    # Dtypes, shapes and bounds.
    assert reward.dtype == jnp.float32 and terminal.dtype == truncated.dtype == bool
    assert bool(jnp.all(fits)) and all(bool(jnp.all(one)) for one in inside)
    for one, space in zip(flat, (env.observation_space, env.action_space), strict=True):
        assert one.dtype == jnp.float32 and one.shape[2:] == (space.flat_size,)
    assert action.shape[2:] == env.action_space.shape and seen[0].shape[2:] == env.observation_space.shape
    assert all(np.isfinite(leaf).all() for leaf in arrays((seen, reward)))
    # Automatic resets: an episode is cut after its steps, and the next one begins elsewhere.
    done = np.asarray(terminal | truncated)
    moved = np.any(np.asarray(seen[0] != seen[1]).reshape(*done.shape, -1), axis=2)
    assert np.array_equal(moved, done)
    if episode is not None:
        assert all(row[:episode].any() for row in done) and bool(jnp.any(truncated | terminal))


@pytest.mark.parametrize("name", registry.ENVS)
def test_an_environment(name: str):
    env = make_env(name)
    assert type(env.action_space).__name__ == kind_of(name)
    check_env(env, episode=SHORT if "max_episode_steps" in settings_of(type(env)) else None)


@pytest.mark.parametrize("cls", WRAPPERS, ids=lambda cls: cls.__name__)
def test_a_wrapper(cls: type):
    """Around an environment of each kind of actions that it does not refuse."""
    needed = {name: s for name, s in settings_of(cls).items() if s.default is REQUIRED}
    given = {name: s.convert(read_value(s.written)) for name, s in needed.items()} | small(cls)
    given |= {"function": lambda x: x} if cls in TRANSFORMS else {}
    fit = 0
    for name in ONE_OF_EACH.values():
        try:
            env = cls(make_env(name), **given)
        except SettingError:  # of another kind, or without the bounds that it needs
            continue
        fit += 1
        assert env.unwrapped == make_env(name) and env.name == name
        check_env(env, episode=SHORT)
    assert fit


@pytest.mark.parametrize("cls", SPACES, ids=lambda cls: cls.__name__)
def test_a_space(cls: type):
    """One that an environment has, and others: its samples are of it, one by one and together."""
    envs = map(make_env, ONE_OF_EACH.values())
    found = [s for env in envs for s in (env.action_space, env.observation_space)]
    spaces = [s for s in (*found, *OTHERS_SPACES) if type(s) is cls]
    assert spaces, f"no environment of the registry has a {cls.__name__}: add one to OTHERS_SPACES"
    for space in dict.fromkeys(spaces):
        keys = jr.split(jr.key(SEED), 16)
        sample = jax.jit(lambda key, space=space: space.sample(key=key))
        values = jax.jit(jax.vmap(sample))(keys)
        row = lambda number, values=values: jax.tree.map(lambda x: x[number], values)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), row(3), sample(keys[3]))
        assert is_plain(space)
        assert bool(jnp.all(jax.vmap(space.contains)(values))) and differs(row(slice(8)), row(slice(8, 16)))
        assert space.flatten(row(0)).shape == (space.flat_size,) and wide(values) == []


# Policies


class Played(NamedTuple):
    """A policy that acts in an environment, and what it sees there."""

    env: AbstractEnvLike
    policy: Any
    observations: jax.Array


def policies(name: str) -> Iterator[Played]:
    """A policy of a class in an environment of each kind of actions that it does not refuse."""
    cls = registry.POLICIES[name].load()
    for env in map(make_env, ONE_OF_EACH.values()):
        try:
            policy = cls(env=env, **small(cls), key=jr.key(SEED))
        except SettingTypeError:
            continue
        keys = jr.split(jr.key(SEED), 4)
        yield Played(env, policy, jax.vmap(lambda key, env=env: env.observation_space.sample(key=key))(keys))


@eqx.filter_jit
def acted(policy: Any, observations: jax.Array, keys: jax.Array, mask: Any) -> Any:
    """Greedy actions, and sampled ones."""

    def act(observation: jax.Array, key: jax.Array) -> Any:
        memory = policy.reset(key=key)
        greedy = policy(memory, observation, action_mask=mask)[1]
        return greedy, policy(memory, observation, key=key, action_mask=mask)[1]

    return jax.vmap(act)(observations, keys)


@pytest.mark.parametrize("name", registry.POLICIES)
def test_a_policy(name: str, tmp_path: Path):
    found = list(policies(name))
    assert found, "it refuses every kind of actions"
    for env, policy, observations in found:
        check_policy(env, policy, observations, tmp_path / f"{env.name}.eqx")
        check_file(env, policy, tmp_path)


def check_file(env: AbstractEnvLike, policy: Any, folder: Path) -> None:
    """A policy's file, as the command writes it, is enough for `lerax eval`."""
    settings = {
        of: {key: plain(settings_of(type(one))[key], value) for key, value in small(type(one)).items()}
        for of, one in (("settings", policy), ("env_settings", env))
    }
    checkpoint.save(folder / "policy.eqx", policy, {"policy": policy.name, "env": env.name, **settings})
    done = in_process.run("eval", "policy.eqx", "--episodes", "2", "--json", "-q", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["mean_length"] <= SHORT


def check_policy(env: AbstractEnvLike, policy: Any, observations: jax.Array, path: Path) -> None:
    keys = jr.split(jr.key(1), len(observations))
    discrete = isinstance(env.action_space, Discrete)
    mask = jnp.arange(env.action_space.n) == 1 if discrete else None
    greedy, sampled = acted(policy, observations, keys, None)
    assert equal((greedy, sampled), acted(policy, observations, keys, None))
    wanted = jax.eval_shape(lambda key: env.action_space.sample(key=key), keys[0])
    for actions in (greedy, sampled):
        assert (actions.shape[1:], actions.dtype) == (wanted.shape, wanted.dtype)
        assert np.isfinite(actions).all()
    assert not discrete or bool(jnp.all(jax.vmap(env.action_space.contains)(sampled)))
    if discrete:  # what is masked is never done
        assert all(bool(jnp.all(actions == 1)) for actions in acted(policy, observations, keys, mask))
    # Pytree, 32 bits, what is trained; and on disk bit for bit, alone.
    assert equal(jax.tree.unflatten(*reversed(jax.tree.flatten(policy))), policy) and wide(policy) == []
    trained = jax.tree.leaves(policy.trainable())
    assert any(trained) and len(trained) == len(jax.tree.leaves(policy))
    checkpoint.save(path, policy)
    other = type(policy)(env=env, **small(type(policy)), key=jr.key(SEED + 1))
    assert differs(policy, other) and equal(checkpoint.load(path, other), policy)


# Algorithms


class Pair(NamedTuple):
    """An algorithm and an environment by their names."""

    algorithm: str
    env: str


def fitting() -> list[Pair]:
    """All pairs of ours that fit."""
    own = {name: action_kinds("algorithm", entry) or () for name, entry in registry.ALGORITHMS.items()}
    pairs = itertools.product(registry.ALGORITHMS, registry.ENVS)
    return [Pair(*pair) for pair in pairs if kind_of(pair[1]) in own[pair[0]]]


def in_turn() -> list[Pair]:
    """One pair for each algorithm and kind of actions: for each seed and each algorithm another one."""
    chosen = []
    for number, name in enumerate(registry.ALGORITHMS):
        for kind in ONE_OF_EACH:
            pairs = [pair for pair in fitting() if pair.algorithm == name and kind_of(pair.env) == kind]
            pairs = [pair for pair in pairs if "physics" not in settings_of(registry.ENVS[pair.env].load())]
            chosen += [pairs[(SEED + number) % len(pairs)]] if pairs else []
    return chosen


def make(pair: Pair) -> tuple[Any, AbstractEnvLike, Any]:
    """The algorithm, the environment and the algorithm's own policy, all small."""
    cls = registry.ALGORITHMS[pair.algorithm].load()
    algorithm, env = cls(**small(cls)), make_env(pair.env)
    policy = registry.POLICIES[cls.default_policy].load()
    return algorithm, env, policy(env=env, **small(policy), key=jr.key(SEED))


def ids(pair: Pair) -> str:
    return "-".join(pair)


@pytest.mark.parametrize("pair", in_turn(), ids=ids)
def test_an_algorithm(pair: Pair, tmp_path: Path):
    check_algorithm(*make(pair), tmp_path)


OTHERS = [name for name, entry in registry.POLICIES.items() if entry.policy]


@pytest.mark.parametrize("name", OTHERS)
def test_a_policy_that_is_no_algorithms_own(name: str, tmp_path: Path):
    """One of the algorithms that train it, and with each seed another one, for each kind of actions."""
    like = registry.POLICIES[name].policy
    own = [entry for entry in registry.ALGORITHMS.values() if entry.policy == like]
    for number, (env, policy, _) in enumerate(policies(name)):
        cls = own[(SEED + number) % len(own)].load()
        check_algorithm(cls(**small(cls)), env, policy, tmp_path)


def check_algorithm(algorithm: Any, env: AbstractEnvLike, policy: Any, tmp_path: Path) -> None:
    """It trains, the same each time, and goes on bit for bit from what is saved; its policy acts alone."""
    one, two = algorithm.steps_per_iteration, 2 * algorithm.steps_per_iteration
    begin = lambda: algorithm.init(env, policy, key=jr.key(SEED), total_timesteps=two)
    state = begin()
    half = algorithm.run(state, one)
    checkpoint.save(tmp_path / "half.eqx", half)
    straight = algorithm.run(begin(), two)
    resumed = algorithm.run(checkpoint.load(tmp_path / "half.eqx", algorithm.template(env, policy)), two)
    assert int(straight.iteration_count) == 2 and equal(straight, resumed) and not equal(straight, half)
    assert differs(straight.policy, policy) and equal(state, begin())
    assert all(np.isfinite(leaf).all() for leaf in arrays(straight.policy))
    # In JAX's x64 mode, and mapped over keys: both are only traced.
    with jax.enable_x64(True):
        iterate = lambda state, key: algorithm.iteration(state, key=key)
        assert wide(eqx.filter_eval_shape(iterate, straight, jr.key(0))) == []
    several = eqx.filter_vmap(lambda key: algorithm.learn(env, policy, two, key=key))
    lanes = jax.tree.leaves(eqx.filter_eval_shape(several, jr.split(jr.key(0), 3)))
    assert [lane.shape for lane in lanes] == [(3, *leaf.shape) for leaf in jax.tree.leaves(policy)]
    # What is saved of it acts alone; `lerax eval` does so above.
    checkpoint.save(tmp_path / "policy.eqx", straight.policy)
    other = type(policy)(env=env, **small(type(policy)), key=jr.key(SEED + 1))
    alone = checkpoint.load(tmp_path / "policy.eqx", other)
    keys = jr.split(jr.key(1), 4)
    seen = jax.vmap(lambda key: env.observation_space.sample(key=key))(keys)
    acts = [acted(one, seen, keys, None) for one in (alone, straight.policy)]
    assert equal(*acts) and differs(other, alone)


@pytest.mark.learning
@pytest.mark.parametrize("pair", fitting(), ids=ids)
def test_a_pair_trains(pair: Pair):
    algorithm, env, policy = make(pair)
    trained = algorithm.learn(env, policy, 2 * algorithm.steps_per_iteration, key=jr.key(SEED))
    assert differs(trained, policy)
    assert all(np.isfinite(leaf).all() for leaf in arrays(trained))
