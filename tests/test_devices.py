"""One training on several devices: what each has, what is averaged, and what the command makes of it."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import equinox as eqx
import in_process
import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr
from jax.sharding import Mesh, PartitionSpec
from test_cli_resume import check_same

import lerax.algorithm
import lerax.policy
from lerax import checkpoint, devices, registry, tree
from lerax.algorithm import PPO, AbstractAlgorithm, base_algorithm, divided, footprint
from lerax.algorithm.on_policy.batch import explained_variance, normalized
from lerax.errors import SettingError
from lerax.network.normalization import BatchRenorm
from lerax.policy import MLPActorCriticPolicy
from lerax.settings import settings_of
from lerax.statistics import RunningStatistics
from lerax_cli import options
from lerax_cli.train import PLANNED

SMALL = {
    "num_envs": 4,
    "num_steps": 8,
    "num_epochs": 1,
    "num_batches": 1,
    "buffer_size": 64,
    "batch_size": 8,
    "learning_starts": 16,
}
DIVIDED = {
    "PPO": "CartPole-v1",
    "A2C": "Pendulum-v1",
    "REINFORCE": "CartPole-v1",
    "PQN": "CartPole-v1",
    "DQN": "CartPole-v1",
    "DiscreteSAC": "CartPole-v1",
    "SAC": "Pendulum-v1",
    "TD3": "Pendulum-v1",
    "DDPG": "Pendulum-v1",
    "CrossQ": "Pendulum-v1",
}
QUICK = ("PPO", "DQN", "CrossQ")


@pytest.fixture(autouse=True)
def two_devices():
    """JAX has begun with those of the tests, whichever of them is the first."""
    assert jax.device_count() == 2


def make(name: str, env: str, **settings: Any) -> tuple[Any, Any, Any]:
    """A small algorithm, an environment, and a policy that normalises what it sees where it can."""
    made, cls = registry.ENV.load(registry.ENV.find(env))(), getattr(lerax.algorithm, name)
    small = {key: value for key, value in SMALL.items() if key in settings_of(cls)} | settings
    policy = getattr(lerax.policy, cls.default_policy)
    more = {"normalize_observations": True} if "normalize_observations" in settings_of(policy) else {}
    return cls(**small), made, policy(made, hidden_sizes=(8,), key=jr.key(0), **more)


def on_two(function: Any, *arrays: Any) -> Any:
    """What a function gives on each of two devices, which have half of the rows each; it has to agree."""
    half = PartitionSpec(devices.AXIS)
    with jax.set_mesh(devices.mesh_of(2)):
        wrapped = lambda *rows: jax.tree.map(lambda x: jnp.asarray(x)[None], function(*rows))
        found = jax.jit(jax.shard_map(wrapped, in_specs=half, out_specs=half, check_vma=False))(*arrays)
    first, second = (jax.tree.map(lambda x, i=i: np.asarray(x)[i], found) for i in (0, 1))
    assert eqx.tree_equal(first, second)
    return first


ROWS = np.asarray(np.random.default_rng(0).normal(3, 2, (64, 5)), np.float32)


def test_moments_are_those_of_all():
    mean, variance = on_two(lambda x: devices.moments(x, axis=0), ROWS)
    np.testing.assert_allclose(mean, ROWS.mean(0), rtol=1e-5)
    np.testing.assert_allclose(variance, ROWS.var(0), rtol=1e-5)


def test_running_statistics_are_those_of_all():
    found = on_two(lambda x: vars(RunningStatistics.empty(5).updated(x[:16]).updated(x[16:])), ROWS)
    assert found["count"] == len(ROWS)
    np.testing.assert_allclose(found["mean"], ROWS.mean(0), rtol=1e-5)
    np.testing.assert_allclose(found["variance"], ROWS.var(0), rtol=1e-4)


def test_advantages_are_normalised_by_all():
    advantage, weight = ROWS[:, 0], np.abs(ROWS[:, 1]) / np.abs(ROWS[:, 1]).mean()
    mean = np.average(advantage, weights=weight)
    wanted = (advantage - mean) / np.sqrt(np.average((advantage - mean) ** 2, weights=weight))
    for given, expected in (
        ((advantage,), (advantage - advantage.mean()) / advantage.std()),
        ((advantage, weight), wanted),
    ):
        spread = jax.shard_map(
            normalized,
            in_specs=PartitionSpec(devices.AXIS),
            out_specs=PartitionSpec(devices.AXIS),
            check_vma=False,
        )
        with jax.set_mesh(devices.mesh_of(2)):
            np.testing.assert_allclose(jax.jit(spread)(*given), expected, atol=1e-5)


def test_explained_variance_is_that_of_all():
    values, returns = ROWS[:, 0], ROWS[:, 0] + 0.5 * ROWS[:, 1]
    wanted = 1 - (returns - values).var() / returns.var()
    np.testing.assert_allclose(on_two(explained_variance, values, returns), wanted, rtol=1e-5)


def test_batch_renormalisation_and_its_gradient_are_those_of_all():
    layer, weights = BatchRenorm(5), np.linspace(-1, 1, 5, dtype=np.float32)

    def loss(weights: Any, rows: Any) -> Any:
        factor, offset, after = layer.train(rows * weights)
        return jnp.mean((rows * weights * factor + offset) ** 3), (after.moments.mean, after.moments.variance)

    def both(rows: Any) -> Any:
        (value, moments), gradient = jax.value_and_grad(loss, has_aux=True)(weights, rows)
        return devices.mean((value, gradient)), moments

    found, wanted = on_two(both, ROWS), both(ROWS)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "env"), [("PPO", "CartPole-v1"), ("REINFORCE", "Pendulum-v1"), ("PPO", "Hopper-v5")]
)
def test_an_update_is_that_of_one_device_with_all_that_both_have_seen(name: str, env: str):
    """Each half is collected by itself, with the key that its device has; one update of both together."""
    settings = {"normalize_rewards": True} if name == "PPO" else {"baseline": False}
    algorithm, made, policy = make(name, env, **settings)
    state = algorithm.init(made, policy, key=jr.key(1))
    spread = algorithm.init(made, policy, key=jr.key(1), devices=2)
    steps = algorithm.steps_per_iteration
    after = algorithm.run(spread, steps)

    @tree.compiled
    def together(state: Any) -> Any:
        here, key, parts = algorithm.divided(2), jr.fold_in(state.key, state.iteration_count), []
        for i in range(2):
            half = jax.tree.map(lambda x, i=i: x[2 * i : 2 * i + 2], state.standing)
            own = dataclasses.replace(state, standing=half)
            parts.append(here.rollout(own, key=jr.split(jr.fold_in(key, i))[0]))
        join = lambda axis: lambda *halves: jnp.concatenate(halves, axis)
        standing = jax.tree.map(join(0), *(part[0] for part in parts))
        happened = jax.tree.map(join(1), *(part[1] for part in parts))
        learner = state.learner
        scale, batch = algorithm._judged(learner.policy, learner.reward_scale, happened, standing)
        zero = jnp.float32(0)
        trained, _, _ = algorithm._update(learner.policy, learner.opt_state, batch, zero, jr.key(9))
        return trained.after_rollout(batch.observation), standing, scale

    trained, standing, scale = together(state)
    pairs = [(after.policy, trained), (after.standing, standing), (after.learner.reward_scale, scale)]
    for one, other in zip(*(jax.tree.leaves(side) for side in zip(*pairs, strict=True)), strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=2e-4, atol=2e-5)


def divide(name: str) -> None:
    algorithm, env, policy = make(name, DIVIDED[name])
    total = 4 * algorithm.steps_per_iteration
    first, second = (
        algorithm.run(algorithm.init(env, policy, key=jr.key(1), devices=2), total) for _ in range(2)
    )
    assert eqx.tree_equal(tree.on_host(first), tree.on_host(second))  # the same layout, the same bits
    assert int(first.iteration_count) == 4
    assert not eqx.tree_equal(tree.on_host(first.policy), tree.on_host(policy))
    for leaf in jax.tree.leaves(tree.without_keys(first)):
        parts = [np.asarray(shard.data) for shard in leaf.addressable_shards]
        assert len(parts) == 2 and np.isfinite(parts[0].astype(float)).all()
        if leaf.is_fully_replicated:  # what each has whole is the same everywhere
            np.testing.assert_array_equal(*parts)
    halves = [np.asarray(shard.data) for shard in first.standing.observation.addressable_shards]
    assert halves[0].shape[0] == 2 and not (halves[0] == halves[1]).any()  # with randomness of their own


@pytest.mark.parametrize("name", QUICK)
def test_an_algorithm_is_divided(name: str):
    divide(name)


@pytest.mark.learning
@pytest.mark.parametrize("name", [name for name in DIVIDED if name not in QUICK])
def test_any_algorithm_is_divided(name: str):
    divide(name)


def largest(arrays: list[Any]) -> int:
    """Bytes of the largest part of an array that one device has."""
    return max(footprint.size(shard.data) for array in arrays for shard in array.addressable_shards)


@pytest.mark.parametrize("env", ["CartPole-v1", "Hopper-v5"])
def test_no_device_ever_has_the_parts_of_the_others(tmp_path: Path, env: str):
    algorithm, made, policy = make("DQN" if env == "CartPole-v1" else "SAC", env, buffer_size=2**18)
    given, mesh = (made, policy, jr.key(1)), devices.mesh_of(2)
    whole = algorithm.init(*given[:2], key=given[2])
    rows = whole.learner.buffer.rows["float32"]
    there = {id(array) for array in jax.live_arrays()}
    state = algorithm.init(*given[:2], key=given[2], devices=2)
    new = [array for array in jax.live_arrays() if id(array) not in there]
    assert eqx.tree_equal(tree.on_host(state), tree.on_host(whole))  # the same bits
    halves = state.learner.buffer.rows["float32"].addressable_shards
    assert [half.data.shape for half in halves] == 2 * [(rows.shape[0], 2, rows.shape[2])]
    assert {half.device for half in halves} == set(jax.devices()) and largest(new) == rows.nbytes // 2
    for leaf in jax.tree.leaves(state.standing):
        assert [len(half.data) for half in leaf.addressable_shards] == [2, 2]
    begin: Any = base_algorithm._init
    with divided.among(mesh):
        program = tree.compiled_now(begin.__wrapped__, algorithm, *divided.copied(given, mesh), np.int32(0))
    planned = program.compiled.memory_analysis()  # of one device
    assert planned.output_size_in_bytes + planned.temp_size_in_bytes < 0.6 * rows.nbytes
    checkpoint.save(tmp_path / "state", whole)
    del whole, rows
    there = {id(array) for array in jax.live_arrays()}
    loaded = checkpoint.load(tmp_path / "state", algorithm.template(made, policy, devices=2))
    new = [array for array in jax.live_arrays() if id(array) not in there]
    both = (jax.tree.leaves(tree.without_keys(each)) for each in (loaded, state))
    for one, other in zip(*both, strict=True):
        assert one.sharding.is_equivalent_to(other.sharding, one.ndim)
        np.testing.assert_array_equal(one, other)
    assert largest(new) == halves[0].data.nbytes


def test_what_one_device_has_must_fit_into_it(monkeypatch: pytest.MonkeyPatch):
    algorithm, env, policy = make("DQN", "CartPole-v1", buffer_size=2**16)
    whole = sum(footprint.needed(algorithm, env, policy).values())
    part = sum(footprint.needed(algorithm.divided(2), env, policy).values())
    assert 0.5 < part / whole < 0.6  # each has all parameters
    mesh: Any = Mock(spec=Mesh, size=2, local_devices=[Mock(), Mock()])
    for mock, used in zip(mesh.local_devices, (0, part), strict=True):
        mock.memory_stats.return_value = {"bytes_limit": 2 * part, "bytes_in_use": used}
    assert footprint.available(mesh) == part  # of the one that has the least
    footprint.check(algorithm, env, policy, mesh=mesh)
    with pytest.raises(MemoryError, match=r"needs about .* are available on each of 2 devices; lower buff"):
        footprint.check(make("DQN", "CartPole-v1", buffer_size=2**17)[0], env, policy, mesh=mesh)
    monkeypatch.setattr(footprint, "available_here", lambda: 2 * part - 2)
    with pytest.raises(MemoryError, match="on each of 2 devices"):  # a CPU's have its memory together
        algorithm.init(env, policy, key=jr.key(0), devices=2)
    monkeypatch.setattr(footprint, "available_here", lambda: 2 * part)
    footprint.check(algorithm, env, policy, mesh=devices.mesh_of(2))


def test_every_algorithm_is_tried():
    classes = {entry.load().__name__ for entry in registry.ALGORITHMS.values()}
    assert classes == set(DIVIDED)


def test_what_cannot_be_divided_is_refused():
    algorithm, env, policy = make("PPO", "CartPole-v1", num_envs=3)
    with pytest.raises(
        SettingError, match=r"num_envs: cannot be divided among 2 devices \(got 3\); allowed: a multiple of 2"
    ):
        algorithm.init(env, policy, key=jr.key(0), devices=2)
    with pytest.raises(SettingError, match=r"batch_size: .* \(got 5\)"):
        make("DQN", "CartPole-v1", batch_size=5)[0].check_divided(2)
    with pytest.raises(SettingError, match=r"devices: must be 1 to 2, or all \(got 3\); JAX has 2 of"):
        algorithm.init(env, policy, key=jr.key(0), devices=3)

    class Own(PPO):
        divided = AbstractAlgorithm.divided

    with pytest.raises(SettingError, match="Own cannot be divided among devices"):
        Own().init(env, MLPActorCriticPolicy(env, key=jr.key(0)), key=jr.key(0), devices=2)


def test_one_device_is_divided_among_nobody():
    assert (devices.count(), devices.mesh_of(None)) == (1, None)
    x = jnp.arange(3.0)
    assert devices.mean(x) is x and devices.total(x) is x


TRAIN = ("train", "CartPole-v1", "--preset", "none", "--steps", "4096", "--seed", "1", "--progress", "off")


def test_the_command_divides_a_training_and_goes_on_bitwise(tmp_path: Path):
    divided = (*TRAIN, "--set", "num_steps=64", "--devices", "2")
    for name in ("whole", "cut"):
        limit = ("--time-limit", "0.001s") if name == "cut" else ()
        done = in_process.run(*divided, "--name", name, *limit, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, f"logs/{name}\n"), done.stderr
    whole, cut = tmp_path / "logs" / "whole", tmp_path / "logs" / "cut"
    assert "\ndevices = 2\n" in (cut / "config.toml").read_text()
    other = tmp_path / "logs" / "other"
    shutil.copytree(cut, other)
    done = in_process.run("resume", "cut", "--progress", "off", cwd=tmp_path)
    assert done.returncode == 0 and "warning" not in done.stderr, done.stderr
    check_same(cut, whole)
    done = in_process.run("resume", "other", "--devices", "1", "--progress", "off", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "other was divided among 2 devices, now 1 device: no more bit for bit what it was" in done.stderr
    assert "devices" not in (other / "config.toml").read_text()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--devices", "3"), "--devices: more than there are (got 3); found: 2 of cpu; give fewer, or all"),
        (("--devices", "0"), "--devices: out of range (got 0)"),
        (("--devices", "two"), "--devices: not an int (got 'two')"),
        (
            ("--devices", "2", "--seeds", "2"),
            "--devices: not beside several seeds (got 2), which share the cores",
        ),
        (
            ("--devices", "2", "--policy", "GRUActorCriticPolicy"),
            "--devices: num_batches: does not divide num_envs = 2",
        ),
        (
            ("--devices", "2", "--num-envs", "3"),
            "--devices: num_envs: cannot be divided among 2 devices (got 3)",
        ),
    ],
)
def test_bad_devices_are_refused_in_one_line(tmp_path: Path, given: tuple[str, ...], said: str):
    line = (*TRAIN[:4], "--steps", "200000", "--progress", "plain", *given)
    done = in_process.run(*line, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.startswith(f"lerax: error: {said}") and done.stderr.count("\n") == 1, done.stderr
    assert not (tmp_path / "logs").exists()


def planned(env: str, *settings: tuple[str, str, Any]) -> options.TrainingPlan:
    return options.plan(
        env, seed=1, backends=None, settings=list(settings), warn=print, **dict.fromkeys(PLANNED)
    )


def test_a_gpu_simulates_the_tasks_of_mujoco_unless_they_are_told_otherwise():
    plan = planned("Hopper-v5")
    assert options.simulate_on_gpu(plan) and plan.settings["env"]["physics"].value == "mjx"
    assert not options.simulate_on_gpu(plan)  # it is said once
    native = planned("Hopper-v5", ("env", "physics", "native"))
    assert not options.simulate_on_gpu(native) and native.settings["env"]["physics"].value == "native"
    assert not options.simulate_on_gpu(planned("CartPole-v1"))
