"""One measurement in this process; prints one line of JSON.

Not meant to be called by hand: run.py starts it, once for each measurement.
"""

import argparse
import importlib
import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

from settings import CONTINUOUS, LOGGING, OFF_POLICY, Settings


def main() -> None:
    """Runs the measurement that the command line names."""
    arguments = _parser().parse_args()
    began = time.perf_counter()
    try:
        peer = importlib.import_module(f"peers.{arguments.peer}")
    except ModuleNotFoundError as error:
        print(json.dumps({"skipped": f"{error.name} is not installed"}))
        return
    import_seconds = time.perf_counter() - began
    row = arguments.measure(peer, arguments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS, KiB elsewhere
    megabytes = peak / (2**20 if sys.platform == "darwin" else 2**10)
    print(json.dumps(row | {"import_seconds": import_seconds, "peak_megabytes": megabytes}))


def _train(peer: ModuleType, arguments: argparse.Namespace) -> dict[str, Any]:
    run = peer.train(_settings(arguments, arguments.logging))
    return _timed(run, arguments.seed, arguments.calls)


def _step(peer: ModuleType, arguments: argparse.Namespace) -> dict[str, Any]:
    run = peer.step(arguments.num_envs, arguments.num_steps)
    return _timed(run, arguments.seed, arguments.calls)


def _solve(peer: ModuleType, arguments: argparse.Namespace) -> dict[str, Any]:
    return peer.solve(arguments.seed, full=arguments.full)


def _logging(peer: ModuleType, arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds of trainings that log nothing and that log, in turns, after one each to compile."""
    runs = {mode: peer.train(_settings(arguments, mode)) for mode in LOGGING}
    wall: dict[str, list[float]] = {mode: [] for mode in LOGGING}
    cpu: dict[str, list[float]] = {mode: [] for mode in LOGGING}
    for call in range(1 + arguments.calls):
        for mode, run in runs.items():
            began, cpu_began = time.perf_counter(), time.process_time()
            run(arguments.seed + call)
            wall[mode].append(time.perf_counter() - began)
            cpu[mode].append(time.process_time() - cpu_began)
    return {mode: {"wall": wall[mode][1:], "cpu": cpu[mode][1:]} for mode in LOGGING}


def _record(peer: ModuleType, arguments: argparse.Namespace) -> dict[str, Any]:
    return peer.record(arguments.group, arguments.calls)


def _faults(peer: ModuleType, arguments: argparse.Namespace) -> dict[str, Any]:
    return peer.faults(_settings(arguments, "none"), arguments.seed, arguments.calls)


def _saving(peer: ModuleType, arguments: argparse.Namespace) -> dict[str, Any]:
    return peer.saving(_settings(arguments, "none"), arguments.seed, arguments.calls)


def _replay(peer: ModuleType, arguments: argparse.Namespace) -> dict[str, Any]:
    return peer.replay(arguments.timesteps, arguments.seed, arguments.calls)


def _writing(peer: ModuleType, arguments: argparse.Namespace) -> dict[str, Any]:
    return peer.writing(arguments.calls)


def _draw(peer: ModuleType, arguments: argparse.Namespace) -> dict[str, Any]:
    return peer.draw(arguments.calls)


def _video(peer: ModuleType, arguments: argparse.Namespace) -> dict[str, Any]:
    return peer.video(arguments.seed)


def _pipeline(peer: ModuleType, arguments: argparse.Namespace) -> dict[str, Any]:
    return peer.pipeline(arguments.env, arguments.timesteps)


def _mujoco(peer: ModuleType, arguments: argparse.Namespace) -> dict[str, Any]:
    return peer.mujoco_pictures(arguments.opengl, arguments.calls)


def _physics(peer: ModuleType, arguments: argparse.Namespace) -> dict[str, Any]:
    return peer.physics(arguments.env, arguments.calls)


def _train_physics(peer: ModuleType, arguments: argparse.Namespace) -> dict[str, Any]:
    settings = replace(CONTINUOUS, timesteps=arguments.timesteps)
    return _timed(peer.train(arguments.env, settings, arguments.way), arguments.seed, arguments.calls)


def _off_policy(peer: ModuleType, arguments: argparse.Namespace) -> dict[str, Any]:
    settings = replace(OFF_POLICY[arguments.algorithm], timesteps=arguments.timesteps)
    rows = arguments.rows or settings.buffer_size
    return _timed(peer.train(settings, rows), arguments.seed, arguments.calls)


def _ring(peer: ModuleType, arguments: argparse.Namespace) -> dict[str, Any]:
    return peer.ring(OFF_POLICY[arguments.algorithm], arguments.rows, arguments.calls)


def _timed(run: Callable[[int], int], seed: int, calls: int) -> dict[str, Any]:
    """Times the first call, which compiles, and the later ones with other seeds."""
    seconds, cpu_seconds = [], []
    steps = 0
    for call in range(1 + calls):
        began, cpu_began = time.perf_counter(), time.process_time()
        steps = run(seed + call)
        seconds.append(time.perf_counter() - began)
        cpu_seconds.append(time.process_time() - cpu_began)
    best = min(seconds[1:] or seconds)
    return {
        "first_call_seconds": seconds[0],
        "compile_seconds": max(0.0, seconds[0] - best),
        "steps_per_second": steps / best,
        "cpu_milliseconds_per_step": 1e3 * min(cpu_seconds[1:] or cpu_seconds) / steps,
    }


def _settings(arguments: argparse.Namespace, logging: str) -> Settings:
    return Settings(
        num_envs=arguments.num_envs,
        num_steps=arguments.num_steps,
        timesteps=arguments.timesteps,
        logging=logging,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    pictures = (_draw, _video, _pipeline, _mujoco)
    saves = (_saving, _replay, _writing)
    logs = (_logging, _record, _faults)
    physics, replay = (_physics, _train_physics), (_off_policy, _ring)
    for measure in (_train, _step, _solve, *logs, *saves, *pictures, *physics, *replay):
        command = commands.add_parser(measure.__name__[1:].replace("_", "-"))
        command.set_defaults(measure=measure)
        command.add_argument("peer")
        command.add_argument("--seed", type=int, default=0)
        command.add_argument("--calls", type=int, default=3, help="timed calls after the first")
        command.add_argument("--num-envs", type=int, default=Settings.num_envs)
        command.add_argument("--num-steps", type=int, default=Settings.num_steps)
        command.add_argument("--timesteps", type=int, default=Settings.timesteps)
        command.add_argument("--logging", default="none")
        command.add_argument("--group", type=int, default=1, help="records that are handed over together")
        command.add_argument("--env", default="CartPole", help="a class or a name of an environment")
        command.add_argument("--algorithm", default="SAC", help="one that learns from a replay buffer")
        command.add_argument("--rows", type=int, help="length of the replay buffer")
        command.add_argument("--way", default="", help="how it is simulated")
        command.add_argument("--opengl", default="software", help="or egl or osmesa")
        command.add_argument("--full", action="store_true", help="do not stop when solved")
    return parser


if __name__ == "__main__":
    main()
