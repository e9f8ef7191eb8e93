"""How a training scales on this machine, and whether the cost model of docs/scaling.md says so.

    python benchmarks/scaling.py                     # a few minutes on two cores
    python benchmarks/scaling.py --repeats 5

Each layout is measured in processes of its own, with as many cores as it has devices, in turns, and each
device has as much to do in all of them: an efficiency is the time of one device on one core over that of the
layout. Stepping is an iteration that does nothing else. Two trainings that know nothing of each other show
what the machine loses by itself: the model adds to their time that of the averages. Where there are fewer
cores than devices, their times add up.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from tables import markdown

LAYOUTS = {  # workers, devices of each, whether they train together
    "1": (1, 1, True),
    "2 trainings": (2, 1, False),
    "2 devices": (1, 2, True),
    "2 processes": (2, 1, True),
    "4 devices": (1, 4, True),
}
TASKS = {"CartPole-v1": {"num_envs": 512, "num_steps": 128}, "Hopper-v5": {"num_envs": 32, "num_steps": 64}}
EPOCHS, BATCHES = 4, 4
AVERAGES = 2  # one after the other in an update: the advantages' moments, and the gradient


def main() -> int:
    """Measures, and prints the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(_measure(**json.loads(arguments.worker))))
        return 0
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    for _ in range(arguments.repeats):
        for task in TASKS:
            for layout in LAYOUTS:
                found.setdefault((task, layout), []).append(_layout(task, *LAYOUTS[layout]))
    _tell(found)
    return 0


def _layout(task: str, workers: int, devices: int, together: bool) -> dict[str, float]:
    """The figures of a layout: those of its first process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    for number in range(workers):
        processes = workers if together else 1
        told = json.dumps(
            {"task": task, "processes": processes, "devices": devices, "number": number, "port": port}
        )
        environ = os.environ | {"JAX_NUM_CPU_DEVICES": str(devices), "JAX_PLATFORMS": "cpu"}
        command = [sys.executable, __file__, "--worker", told]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ))
    said = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        raise RuntimeError(f"{task}, {workers} x {devices}: failed")
    return json.loads(said[0].splitlines()[-1])


def _measure(task: str, processes: int, devices: int, number: int, port: int) -> dict[str, float]:
    cores = sorted(os.sched_getaffinity(0))
    own = cores[number * devices : (number + 1) * devices] or cores
    os.sched_setaffinity(0, own)  # before JAX makes its threads
    import jax

    if processes > 1:
        jax.distributed.initialize(f"127.0.0.1:{port}", processes, number)
    from jax import numpy as jnp
    from jax import random as jr

    from lerax import registry
    from lerax.algorithm import PPO
    from lerax.devices import AXIS, mesh_of
    from lerax.policy import MLPActorCriticPolicy

    class Stepping(PPO):
        def iteration(self, state: Any, *, key: Any) -> Any:
            standing, steps = self.rollout(state, key=key)
            return state.after(standing, state.learner), None, {"reward": jnp.mean(steps.reward)}

    count = processes * devices
    mesh = mesh_of(devices) if count > 1 else None
    env = registry.ENV.load(registry.ENV.find(task))()
    policy = MLPActorCriticPolicy(env, key=jr.key(0))
    sizes: dict[str, Any] = TASKS[task] | {"num_epochs": EPOCHS, "num_batches": BATCHES}
    sizes["num_envs"] *= count  # as many for each device
    figures = {"parameters": float(sum(leaf.size for leaf in jax.tree.leaves(policy)))}
    for name, kind in (("stepping", Stepping), ("training", PPO)):
        figures[name] = _seconds(kind(**sizes), env, policy, mesh, jr.key(1))
    figures["average"] = 0.0
    if mesh is not None:

        def averages(x: Any) -> Any:
            return jax.lax.fori_loop(0, 200, lambda _, x: jax.lax.pmean(x, AXIS), x)

        spec = jax.sharding.PartitionSpec()
        with jax.set_mesh(mesh):
            loop = jax.jit(jax.shard_map(averages, in_specs=spec, out_specs=spec, check_vma=False))
            vector = jnp.ones(int(figures["parameters"]))
            loop(vector).block_until_ready()
            began = time.perf_counter()
            loop(vector).block_until_ready()
            figures["average"] = (time.perf_counter() - began) / 200
    return figures


def _seconds(algorithm: Any, env: Any, policy: Any, mesh: Any, key: Any) -> float:
    """Of one iteration: all processes make as many, after those that compile."""
    from lerax.algorithm import loop
    from lerax.callback.callback_list import as_callback

    state = algorithm.init(env, policy, key=key, devices=mesh)
    fixed = loop.tree.settings_as_data((algorithm, as_callback(None)))
    with loop.divided.among(mesh):
        state = loop.started(fixed, state, 1 << 20)[0]
        chunk, made, seconds = loop._chunk, 4, 0.0
        state, *_ = chunk(fixed, state, 1)
        for _ in range(3):  # the number of iterations has to be the same everywhere: no clock decides
            began = time.perf_counter()
            state, _, count, *_ = chunk(fixed, state, made)
            count.block_until_ready()
            seconds = (time.perf_counter() - began) / made
            made = 16
    return seconds


def _tell(found: dict[tuple[str, str], list[dict[str, float]]]) -> None:
    """Tables: efficiency by part, and the model's time of an iteration beside what it took."""
    rows, model = [], []
    for task, sizes in TASKS.items():
        each = {layout: _medians(found[task, layout]) for layout in LAYOUTS}
        one, two = each["1"], each["2 trainings"]
        for layout, figures in each.items():
            ratio = [f"{one[part] / figures[part]:.2f}" for part in ("stepping", "training")]
            count = LAYOUTS[layout][0] * LAYOUTS[layout][1]
            steps = sizes["num_envs"] * sizes["num_steps"] * count / figures["training"]
            rows.append((task, layout, *ratio, f"{steps:,.0f}", f"{1e6 * figures['average']:.0f}"))
            if layout not in ("1", "2 trainings"):
                rounds = max(1.0, count / len(os.sched_getaffinity(0)))
                said = rounds * two["training"] + EPOCHS * BATCHES * AVERAGES * figures["average"]
                model.append((task, layout, f"{1e3 * said:.0f}", f"{1e3 * figures['training']:.0f}"))
    print(markdown(("task", "layout", "stepping", "training", "steps/s", "average, us"), rows), end="\n\n")
    print(markdown(("task", "layout", "model, ms", "measured, ms"), model))


def _medians(figures: list[dict[str, float]]) -> dict[str, float]:
    return {name: median(one[name] for one in figures) for name in figures[0]}


if __name__ == "__main__":
    sys.exit(main())
