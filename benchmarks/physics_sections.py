"""What is measured of MuJoCo's tasks."""

from collections.abc import Callable, Sequence
from pathlib import Path

from rounds import Contestant, Rows, worker
from settings import TASKS
from tables import check, markdown, ratios, spread, values

SPEED = "steps_per_second"
PEERS = ("stable-baselines3, DummyVecEnv", "stable-baselines3, SubprocVecEnv")
MJX = "lerax, MJX"


def physics(quick: bool, directory: Path) -> Sequence[Contestant]:
    """Random steps of several tasks, beside a bare loop around the engine."""
    calls = 1 if quick else 7
    return [Contestant(name, worker("physics", "lerax_physics", env=name, calls=calls)) for name in TASKS]


def physics_report(rows: Rows) -> str:
    ways = ("bare", "scan", "advance")
    over = {
        name: {
            way: [row[way] / row["bare"] for row in rows[name] if "bare" in row]
            for way in ("scan", "advance")
        }
        for name in rows
    }
    lines = [
        [name, *(spread(values(rows, name, way)) for way in ways)]
        + [spread(over[name][way]) for way in ("scan", "advance")]
        + [spread(values(rows, name, "compile_seconds"))]
        for name in rows
    ]
    header = ["", "bare mujoco.batch, steps/s", "in a scan", "with resets", "scan, x bare", "resets, x bare"]
    checks = [check(f"{name} in a scan over bare", over[name]["scan"], "at least", 0.9) for name in rows]
    return "\n".join([markdown([*header, "compile s"], lines), "", *checks])


def train_physics(quick: bool, directory: Path) -> Sequence[Contestant]:
    """PPO on one task."""

    def train(peer: str, way: str, timesteps: int, calls: int) -> Callable[[int], list[str]]:
        calls = 1 if quick else calls
        return worker("train-physics", peer, way=way, env=TASKS[0], timesteps=timesteps, calls=calls)

    return [
        Contestant("lerax", train("lerax_physics", "native", 100_000, 3)),
        Contestant(PEERS[0], train("gymnasium_physics", "dummy", 10_000, 2)),
        Contestant(PEERS[1], train("gymnasium_physics", "subproc", 10_000, 2)),
        Contestant(MJX, train("lerax_physics", "mjx", 2_048, 1)),
    ]


def train_physics_report(rows: Rows) -> str:
    keys = ("first_call_seconds", "compile_seconds", SPEED, "peak_megabytes")
    lines = [
        [name, *(spread(values(rows, name, key)) for key in keys)]
        + [spread(ratios(rows, "lerax", name, SPEED))]
        for name in rows
    ]
    header = ["", "first call s", "compile s", "steps/s", "peak MB", "lerax over it, steps/s"]
    least = {PEERS[0]: 5.0, PEERS[1]: 5.0, MJX: 10.0}
    checks = [
        check(f"lerax over {name}, {SPEED}", ratios(rows, "lerax", name, SPEED), "at least", aim)
        for name, aim in least.items()
        if values(rows, name, SPEED)
    ]
    return "\n".join([markdown(header, lines), "", *checks])


def first_step(quick: bool, directory: Path) -> Sequence[Contestant]:
    """Whole processes that make one iteration, without a compilation cache."""
    once = {"way": "native", "env": TASKS[0], "timesteps": 2_048, "calls": 0}
    return [Contestant(f"PPO on {TASKS[0]}", worker("train-physics", "lerax_physics", **once))]


def first_step_report(rows: Rows) -> str:
    wall = "process_seconds"
    lines = [[name, spread(values(rows, name, wall))] for name in rows]
    checks = [check(f"{name}, s", values(rows, name, wall), "at most", 10) for name in rows]
    return "\n".join([markdown(["", "start to exit s"], lines), "", *checks])
