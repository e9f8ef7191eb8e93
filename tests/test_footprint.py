"""Trainings that do not fit into memory: known from shapes, and told before anything compiles."""

import resource
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
import pytest
import terminal
from jax import numpy as jnp
from jax import random as jr
from test_cli_inputs import refuse

from lerax.algorithm import DQN, PPO, AbstractAlgorithm, footprint, hooks, loop
from lerax.callback.callback_list import as_callback
from lerax.env import AbstractEnvLike
from lerax.env.classic_control import CartPole
from lerax.policy import MLPActorCriticPolicy, MLPQPolicy
from lerax.space import Box
from lerax.wrapper import TransformObservation

ENV = CartPole()
HUGE: Any = {"num_envs": 2**20, "num_steps": 1024, "num_batches": 1}


def form(env: AbstractEnvLike = ENV, **settings):
    """The form of a policy."""
    make = lambda seed: MLPActorCriticPolicy(env=env, **settings, key=jr.key(seed))
    return eqx.filter_eval_shape(make, np.uint32(0))


def planned(algorithm: AbstractAlgorithm, policy, env: AbstractEnvLike = ENV) -> int:
    """The bytes that XLA's program of the loop takes."""
    shapes, static = eqx.partition(policy, lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct))

    def chunk(shapes, seed):
        policy, callback = eqx.combine(shapes, static), as_callback(None)
        state = hooks.start(algorithm, algorithm.init(env, policy, key=jr.key(seed)), callback, 1)
        return eqx.filter(
            loop._chunk((algorithm, callback), state, jnp.array(1, jnp.int32))[:4], eqx.is_array
        )

    plan: Any = jax.jit(chunk).lower(shapes, np.uint32(0)).compile().memory_analysis()
    return plan.argument_size_in_bytes + plan.output_size_in_bytes + plan.temp_size_in_bytes


@pytest.mark.parametrize(
    ("settings", "policy"),
    [
        ({"num_envs": 2**12, "num_steps": 16}, {}),
        ({"num_envs": 2**12, "num_steps": 16, "num_batches": 1}, {}),
        ({"num_envs": 64, "num_epochs": 2**14}, {}),
        ({}, {"hidden_sizes": (1024, 1024)}),
    ],
    ids=["network", "update", "order", "policy"],
)
def test_the_figure_is_that_of_the_program(settings: Any, policy: dict):
    """XLA says what its program takes once it is compiled; another part prevails in each."""
    algorithm = PPO(**settings)
    told = sum(footprint.needed(algorithm, ENV, form(**policy)).values())
    assert 0.6 < told / planned(algorithm, form(**policy)) < 1.2


def test_pictures_take_what_their_convolutions_do():
    """Of each pixel that a filter looks at: much more than the numbers of its layer."""
    seen = Box(0, 255, shape=(12, 12, 2), dtype=np.uint8)
    env = TransformObservation(ENV, lambda x: jnp.broadcast_to(x[0] > 0, (12, 12, 2)).astype("uint8"), seen)
    algorithm, policy = PPO(num_envs=512, num_steps=4, num_epochs=1, num_batches=8), form(env)
    told = sum(footprint.needed(algorithm, env, policy).values())
    assert 0.6 < told / planned(algorithm, policy, env) < 1.2


def test_batches_from_a_memory_take_what_the_networks_make_of_them():
    make = lambda seed: MLPQPolicy(env=ENV, key=jr.key(seed))
    algorithm = DQN(batch_size=2**16, n_step=4, num_steps=4, buffer_size=100, learning_starts=0)
    policy = eqx.filter_eval_shape(make, np.uint32(0))
    told = sum(footprint.needed(algorithm, ENV, policy).values())
    assert 0.6 < told / planned(algorithm, policy) < 1.2


def test_trainings_side_by_side_leave_a_quarter_free(monkeypatch: pytest.MonkeyPatch):
    told = sum(footprint.needed(PPO(), ENV, form()).values())
    for there, fit in ((12 * told, 9), (0, 1)):
        monkeypatch.setattr(footprint, "available", lambda there=there: there)
        assert footprint.room(PPO(), ENV, form()) == fit


def test_python_gets_it_too(policy):
    """`init` and hence `learn` raise before they compute."""
    with pytest.raises(MemoryError, match=r"needs about [\d,]+ GiB \(network .* are available; lower"):
        PPO(**HUGE).learn(ENV, policy, 2**31, key=jr.key(0))


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"num_envs": 2**20, "num_steps": 2**20}, "num_steps"),
        ({"num_epochs": 2**20, "num_batches": 2**12}, "num_epochs"),
    ],
)
def test_products_that_no_program_counts_are_refused(settings: Any, name: str):
    """Each factor is in its range, and together they leave int32."""
    with pytest.raises(ValueError, match=f"^{name}: .* too large .got {2**32}|{2**40}.*at most {2**31 - 1}"):
        PPO(**settings)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["num_epochs=999999999999"], 2, ["num_epochs", "at most 1048576"]),
        (
            ["policy.hidden_sizes=[999999999]"],
            2,
            ["policy.hidden_sizes", "each at least", "at most 16384"],
        ),
        ([f"policy.hidden_sizes={[8] * 101}"], 2, ["policy.hidden_sizes", "1 to 100 values"]),
        (["num_steps=1048576", "num_envs=1048576"], 2, ["num_steps", "num_envs * num_steps", str(2**40)]),
        (["learning_rate=1e31"], 2, ["learning_rate", "1e+31", "at most 1e+30"]),
        (["policy.log_std_init=1e9"], 2, ["policy.log_std_init", "at most 20"]),
        (["num_steps=1024", "num_envs=1048576"], 1, ["memory", "GiB (network", "are available"]),
        (["num_epochs=1048576", "num_steps=4096"], 1, ["memory", "order of minibatches 256 GiB"]),
    ],
)
def test_the_command_refuses_what_is_too_much(
    tmp_path: Path, options: list[str], code: int, words: list[str]
):
    """Exit 2 for what is out of its range, 1 for what this machine has not; nothing is left behind."""
    given = [word for text in options for word in ("--set", text)]
    done = terminal.warm("train", "CartPole-v1", "--preset", "none", "--steps", "1e10", *given, cwd=tmp_path)
    refuse(done, code, words)
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_the_least_of_all_limits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """The machine, `ulimit -v`, a control group of either version; one without a limit does not count."""
    monkeypatch.setattr(footprint, "GROUPS", tmp_path)
    monkeypatch.setattr(footprint, "MEMBERSHIP", tmp_path / "cgroup")
    free = footprint.available()
    assert 2**28 < free < 2**50
    for name, text in {
        "memory.max": "max",
        "memory.current": "50",
        "memory.stat": "inactive_file 20\n",
    }.items():
        (tmp_path / name).write_text(text)
    assert footprint._groups() == []
    (tmp_path / "memory.max").write_text("100")
    assert footprint.available() == 100 - 50 + 20
    (tmp_path / "memory.max").write_text("10")
    assert footprint.available() == 0
    (tmp_path / "memory.max").unlink()
    for group, most in (("memory/slurm/job_1", 70), ("memory/slurm", 60), ("system.slice/job", 90)):
        (tmp_path / group).mkdir(parents=True, exist_ok=True)
        names = ("limit_in_bytes", "usage_in_bytes") if group.startswith("memory") else ("max", "current")
        for name, text in zip((*names, "stat"), (str(most), "10", "inactive_file 5\n"), strict=True):
            (tmp_path / group / f"memory.{name}").write_text(text)
    (tmp_path / "cgroup").write_text("4:cpu,memory:/slurm/job_1/step_0\n0::/system.slice/job\n")
    assert sorted(footprint._groups()) == [55, 65, 85]  # of a step of a job of SLURM's, and of systemd's
    (tmp_path / "cgroup").unlink()
    monkeypatch.setattr(resource, "getrlimit", lambda which: (2**63, 2**63))
    used = footprint._address_space()
    assert used is not None and 2**63 - 2**45 < used < 2**63
