"""What saving a training costs it, and how fast checkpoints are written."""

import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
import optax
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Float, Int
from settings import REPLAYED, SAVING, Settings

from lerax import checkpoint
from lerax.algorithm import AbstractAlgorithm
from lerax.archive import Segments
from lerax.callback import CheckpointCallback
from lerax.collect import collect
from lerax.env.classic_control import CartPole
from lerax.learner import AbstractLearner, Maybe
from lerax.network import MLP
from lerax.policy import AbstractPolicy, MLPActorCriticPolicy
from lerax.settings import setting

from .lerax import algorithm_of

ROW = 42  # numbers: what a step of HalfCheetah-v5 leaves in a replay memory
BATCH = 256
MEGABYTES = 100


class Remembered(AbstractLearner):
    policy: AbstractPolicy
    critic: MLP
    opt_state: Any
    ring: Float[Array, "rows numbers"]
    stored: Int[Array, ""]


class Remembering(AbstractAlgorithm[Remembered]):
    """Fits a critic to rewards in a ring: as much of an off-policy learner as saving sees."""

    num_envs: int = setting(4, "Environments.", at_least=1)
    rows: int = setting(1_000_000, "Steps in the ring.", at_least=1)

    @property
    def steps_per_iteration(self) -> int:
        return self.num_envs

    def init_learner(self, env, policy, *, key):
        critic = MLP((ROW, 256, 256, 1), activation="relu", key=key)
        opt_state = optax.adam(1e-3).init(eqx.filter(critic, eqx.is_array))
        # As after long training: no two pieces of the ring are alike.
        ring = jr.normal(key, (self.rows, ROW), jnp.float32)
        stored = jnp.array(0, jnp.int32)
        return Remembered(policy=policy, critic=critic, opt_state=opt_state, ring=ring, stored=stored)

    def iteration(self, state, *, key):
        learner, (collect_key, sample_key) = state.learner, jr.split(key)
        act = lambda memory, seen, mask, noise: (*learner.policy(memory, seen, key=noise), None)
        options = {"noise": lambda key: key, "key": collect_key, "num_steps": 1}
        standing, steps = collect(state.env, learner.policy, act, state.standing, **options)
        new = jnp.concatenate([steps.observation[0], steps.next_observation[0], steps.reward[0][:, None]], -1)
        new = jnp.resize(new, (self.num_envs, ROW)).astype(jnp.float32)
        ring = jax.lax.dynamic_update_slice(learner.ring, new, (learner.stored % self.rows, 0))
        batch = ring[jr.randint(sample_key, (BATCH,), 0, self.rows)]

        def loss(critic):
            return jnp.mean((jax.vmap(critic)(batch)[:, 0] - batch[:, -1]) ** 2)

        found, slope = eqx.filter_value_and_grad(loss)(learner.critic)
        change, opt_state = optax.adam(1e-3).update(slope, learner.opt_state)
        critic: Any = eqx.apply_updates(learner.critic, change)
        stored = learner.stored + self.num_envs
        learner = eqx.tree_at(
            lambda one: (one.critic, one.opt_state, one.ring, one.stored),
            learner,
            (critic, opt_state, ring, stored),
        )
        log: dict[str, Array | Maybe] = {"loss": found}
        return state.after(standing, learner), steps, log


def saving(settings: Settings, seed: int, calls: int) -> dict[str, Any]:
    """Trainings of PPO by how often they are saved, in turns after one each to compile."""
    return _in_turns(algorithm_of(settings), settings.timesteps, seed, calls, SAVING)


def replay(timesteps: int, seed: int, calls: int) -> dict[str, Any]:
    """The same with a replay memory of a million rows."""
    return _in_turns(Remembering(), timesteps, seed, calls, REPLAYED)


def _in_turns(
    algorithm: Any, timesteps: int, seed: int, calls: int, modes: tuple[str, ...]
) -> dict[str, Any]:
    rows: dict[str, dict[str, list[Any]]] = {mode: {} for mode in modes}
    for call in range(1 + calls):
        for mode in modes[:: 1 if call % 2 else -1]:  # so that it matters to none who comes after whom
            with tempfile.TemporaryDirectory(dir=".") as folder:
                row = _trained(
                    algorithm, timesteps if call else algorithm.steps_per_iteration, seed, mode, folder
                )
            for name, value in row.items() if call else ():
                rows[mode].setdefault(name, []).append(value)
    return rows | {"load": os.getloadavg()[0]}


def _trained(algorithm: Any, timesteps: int, seed: int, mode: str, folder: str) -> dict[str, Any]:
    """One training: seconds, also of the processor; the MB of its saves, and what one more of these costs."""
    env = CartPole()
    policy = MLPActorCriticPolicy(env=env, key=jr.key(seed))
    state = jax.block_until_ready(algorithm.init(env, policy, key=jr.key(seed), total_timesteps=timesteps))
    callback = None if mode == "none" else CheckpointCallback(folder, every=mode)
    marks: list[int] = []
    if callback is not None:
        save = callback.checkpoints.save

        def marked(*arguments: Any) -> None:
            marks.append(_written())  # the save before is written by now
            save(*arguments)

        callback.checkpoints.save = marked  # type: ignore[method-assign]
    began, cpu = time.perf_counter(), time.process_time()
    state = jax.block_until_ready(algorithm.run(state, timesteps, callback=callback))
    row: dict[str, Any] = {"wall": time.perf_counter() - began, "cpu": time.process_time() - cpu}
    if callback is not None:
        row["megabytes"] = (np.diff([*marks, _written()]) / 1e6).tolist()
        for step in (1, 2):  # the first copies and hashes everything, as the first of a training
            began, cpu = time.thread_time(), time.process_time()
            callback.checkpoints.save(state, {"steps": timesteps + step})
            row["stop"] = time.thread_time() - began
            callback.checkpoints.wait()
            row["save"] = time.process_time() - cpu
    return row


def _written() -> int:
    """Bytes that this process has written so far."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("wchar")).split()[1])


def writing(calls: int) -> dict[str, Any]:
    """Megabytes a second of dd, of a file and of segments, in turns; and their seconds of the processor."""
    found: dict[str, dict[str, list[float]]] = {}
    random = np.random.default_rng(0)
    for _ in range(calls):
        arrays = {"x": np.frombuffer(random.bytes(MEGABYTES * 2**20), np.float32)}
        for name, write in (("dd", _dd), ("one file", checkpoint.save), ("segments", _segments)):
            with tempfile.TemporaryDirectory(dir=".") as folder:
                os.sync()
                began, cpu = time.perf_counter(), _cpu()
                write(Path(folder) / "file", arrays)
                speed = MEGABYTES / (time.perf_counter() - began)
                row = found.setdefault(name, {"speed": [], "cpu": []})
                row["speed"].append(speed)
                row["cpu"].append(_cpu() - cpu)
    return found | {"load": os.getloadavg()[0]}


def _dd(path: Path, arrays: Any) -> None:
    words = ["dd", "if=/dev/zero", f"of={path}", "bs=1M", f"count={MEGABYTES}", "conv=fsync"]
    subprocess.run(words, check=True, stderr=subprocess.DEVNULL)


def _segments(path: Path, arrays: Any) -> None:
    checkpoint.save(path, arrays, segments=Segments(path.with_name("segments")))


def _cpu() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
