"""What is measured: each section names its contestants and turns their rows into a report."""

import sys
import sysconfig
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

import checkpoint_sections as checkpoints
import log_sections as logs
import off_policy_sections as off_policy
import physics_sections as physics
import picture_sections as pictures
from rounds import Contestant, Rows, worker
from settings import EVALUATION_EPISODES, OFF_POLICY, SOLVED, ZOO, Settings
from tables import check, markdown, ratios, spread, values

JAX_PEERS = ("rejax", "sbx")
LOGGED = "lerax, TensorBoard"
FULLY_LOGGED = "lerax, full logging"
HOSTED = "lerax, Gymnasium's environment"
GYMNAX = "lerax, gymnax's environment"
SEEDS = {"one seed": 1, "two": 2, "eight": 8}  # side by side
BARE, HELP = "python -c pass", "lerax --help"


class Section(NamedTuple):
    """One table of the report.

    Attributes:
        key: Its name for `--only`.
        title: Its heading.
        contestants: Builds what is measured, given whether the run is a quick one and a directory.
        report: Turns the rows into Markdown.
        least_rounds: Rounds that it needs to be worth anything, if not a quick one.
    """

    key: str
    title: str
    contestants: Callable[[bool, Path], Sequence[Contestant]]
    report: Callable[[Rows], str]
    least_rounds: int = 1


def _ppo(num_envs: int, num_steps: int, quick: bool, directory: Path) -> list[Contestant]:
    train = partial(worker, "train", num_envs=num_envs, num_steps=num_steps)
    size = {"timesteps": 50_000, "calls": 1} if quick else {}
    # Short trainings, so more of them: the best one decides.
    fast = size or {"calls": 6}
    return [
        Contestant("lerax", train("lerax", **fast)),
        Contestant(LOGGED, train("lerax", logging="tensorboard", **fast)),
        Contestant(FULLY_LOGGED, train("lerax", logging="full", **fast)),
        Contestant("rejax", train("rejax", **fast)),
        Contestant("sbx", train("sbx", **size)),
        Contestant("stable-baselines3", train("stable_baselines3", **size)),
    ]


def _ppo_report(rows: Rows) -> str:
    speed, compiling = "steps_per_second", "compile_seconds"
    keys = ("import_seconds", "first_call_seconds", compiling, speed, "peak_megabytes")
    header = ["", "import s", "first call s", "compile s", "steps/s", "peak MB"]
    header += ["compile s, x lerax", "steps/s, x lerax"]
    lines = [
        [name, *(spread(values(rows, name, key)) for key in keys)]
        + [spread(ratios(rows, name, "lerax", key)) for key in (compiling, speed)]
        for name in rows
    ]
    peers = [name for name in JAX_PEERS if name in rows]
    if not peers:
        return markdown(header, lines)
    fastest = max(peers, key=lambda name: median(values(rows, name, speed)))
    checks = [
        check(f"{name} over {fastest}, {speed}", ratios(rows, name, fastest, speed), "at least", least)
        for name, least in (("lerax", 1.25), (LOGGED, 1.0), (FULLY_LOGGED, 1.0))
    ]
    return "\n".join([markdown(header, lines), "", *checks])


def _others(peer: str, quick: bool, directory: Path) -> list[Contestant]:
    """lerax on the environment of another package, beside what others train on the same."""
    size = {"timesteps": 20_000, "calls": 1} if quick else {"timesteps": 100_000, "calls": 3}
    train = partial(worker, "train", num_envs=8, num_steps=128, **size)
    if peer == "rejax":
        return [Contestant(GYMNAX, train("lerax_gymnax")), Contestant(peer, train(peer))]
    longer = size | {"timesteps": 10 * size["timesteps"]}  # of which it trains a tenth
    theirs = worker("train", "stable_baselines3", num_envs=8, num_steps=128, **longer)
    return [Contestant(HOSTED, train("lerax_hosted")), Contestant(peer, theirs)]


def _others_report(least: float, rows: Rows) -> str:
    speed = "steps_per_second"
    lines = [
        [name, *(spread(values(rows, name, key)) for key in ("compile_seconds", speed))] for name in rows
    ]
    table = markdown(["", "compile s", "steps/s"], lines)
    if len(rows) < 2:
        return table
    ours, theirs = rows
    held = check(f"{ours} over {theirs}", ratios(rows, ours, theirs, speed), "at least", least)
    return "\n".join([table, "", held])


def _solved(quick: bool, directory: Path) -> list[Contestant]:
    cold = partial(tempfile.mkdtemp, dir=directory)
    warm = {name: tempfile.mkdtemp(dir=directory) for name in ("lerax", "rejax", "sbx")}
    command = [_script("lerax"), *"train CartPole-v1 --backend none --json -q --seed".split()]
    commands = {
        "lerax": lambda seed: [*command, str(seed)],
        "rejax": worker("solve", "rejax"),
        "sbx": worker("solve", "sbx"),
    }
    torch = [Contestant("stable-baselines3", worker("solve", "stable_baselines3"))]
    every_step = Contestant(
        f"stable-baselines3, all {ZOO.timesteps:,} steps",
        worker("solve", "stable_baselines3", full=True),
    )
    contestants = [
        contestant
        for name, command in commands.items()
        for contestant in (
            Contestant(f"{name}, warm cache", command, lambda name=name: warm[name], warm_up=True),
            Contestant(f"{name}, cold cache", command, cold),
        )
    ]
    return contestants + torch + ([] if quick else [every_step])


def _solved_report(rows: Rows) -> str:
    base, peer, wall = "lerax, warm cache", "stable-baselines3", "process_seconds"
    header = ["", "start to exit s", "CPU s", "steps", "mean return", "solved", f"s, x {base}"]
    lines = []
    for name in rows:
        means = values(rows, name, "mean_return")
        solved = f"{sum(mean >= SOLVED for mean in means)} of {len(means)}"
        keys = (wall, "process_cpu_seconds", "steps", "mean_return")
        figures = [spread(values(rows, name, key)) for key in keys]
        lines.append([name, *figures, solved, spread(ratios(rows, name, base, wall))])
    checks = [
        check(f"{name} over {peer}, seconds", ratios(rows, name, peer, wall), "at most", most)
        for name, most in ((base, 0.5), ("lerax, cold cache", 1.0))
        if name in rows and peer in rows
    ]
    return "\n".join([markdown(header, lines), "", *checks])


def _seeds(quick: bool, directory: Path) -> list[Contestant]:
    steps = 100_000 if quick else 500_000
    line = f"train CartPole-v1 --algo ppo --steps {steps} --progress off --json --seeds"
    cache = tempfile.mkdtemp(dir=directory)
    commands = {name: [_script("lerax"), *line.split(), str(count)] for name, count in SEEDS.items()}
    return [
        Contestant(name, lambda seed, command=command: command, lambda: cache, warm_up=True)
        for name, command in commands.items()
    ]


def _seeds_report(rows: Rows) -> str:
    wall, one, few, many = "process_seconds", *SEEDS
    header = ["", "start to exit s", "CPU s", f"s, x {one}"]
    lines = [
        [name, *(spread(values(rows, name, key)) for key in (wall, "process_cpu_seconds"))]
        + [spread(ratios(rows, name, one, wall))]
        for name in rows
    ]
    side_by_side = [2 / ratio for ratio in ratios(rows, few, one, wall)]
    checks = [
        check(f"{few} side by side, speed over one after the other", side_by_side, "at least", 1.8),
        check(f"{many}, seconds over those of {one}", ratios(rows, many, one, wall), "at most", 4.6),
    ]
    return "\n".join([markdown(header, lines), "", *checks])


def _help(quick: bool, directory: Path) -> list[Contestant]:
    lerax = _script("lerax")
    asks = ["_LERAX_COMPLETE=complete_fish", "_TYPER_COMPLETE_FISH_ACTION=get-args"]
    tab = ["env", *asks, "_TYPER_COMPLETE_ARGS=lerax train Cart", lerax]
    commands = {
        BARE: [sys.executable, "-c", "pass"],
        HELP: [lerax, "--help"],
        "lerax train --help": [lerax, "train", "--help"],
        "lerax list-envs": [lerax, "list-envs"],
        "lerax train Cart, and Tab": tab,
    }
    return [
        Contestant(name, lambda seed, command=command: command, warm_up=True)
        for name, command in commands.items()
    ]


def _help_report(rows: Rows) -> str:
    wall, cpu = "process_seconds", "process_cpu_seconds"

    def over(name: str, key: str) -> list[float]:
        pairs = zip(values(rows, name, key), values(rows, BARE, key), strict=False)
        return [1e3 * (own - bare) for own, bare in pairs]

    lines = [
        [name, spread([1e3 * seconds for seconds in values(rows, name, wall)])]
        + [spread(over(name, key)) for key in (wall, cpu)]
        for name in rows
    ]
    header = ["", "start to exit ms", "over bare Python ms", "of the processor ms"]
    held = check(f"{HELP} over bare Python, ms of the processor", over(HELP, cpu), "at most", 100)
    return "\n".join([markdown(header, lines), "", held])


def _step(num_envs: int, quick: bool, directory: Path) -> list[Contestant]:
    total = 640_000 if quick else 6_400_000
    step = partial(worker, "step", num_envs=num_envs, num_steps=total // num_envs)
    return [Contestant(name, step(name)) for name in ("lerax", "gymnax")]


def _step_report(rows: Rows) -> str:
    speed = "steps_per_second"
    header = ["", "steps/s", "compile s", "steps/s, x lerax"]
    lines = [
        [name, spread(values(rows, name, speed)), spread(values(rows, name, "compile_seconds"))]
        + [spread(ratios(rows, name, "lerax", speed))]
        for name in rows
    ]
    return markdown(header, lines)


def _script(name: str) -> str:
    return str(Path(sysconfig.get_path("scripts")) / name)


_TRAINING = f"{Settings.timesteps:,} steps, {Settings.num_epochs} epochs, 4 minibatches, 64x64 tanh"
SECTIONS = [
    *(
        Section(
            f"ppo-{envs}x{steps}",
            f"PPO on CartPole-v1, {envs} envs x {steps} steps ({_TRAINING})",
            partial(_ppo, envs, steps),
            _ppo_report,
        )
        for envs, steps in ((4, 128), (8, 256))
    ),
    Section(
        "hosted",
        "PPO on Gymnasium's own CartPole-v1, 8 envs x 128 steps (4 epochs, 4 minibatches, 64x64 tanh)",
        partial(_others, "stable-baselines3"),
        partial(_others_report, 3),
    ),
    Section(
        "gymnax",
        "PPO on gymnax's own CartPole-v1, 8 envs x 128 steps (4 epochs, 4 minibatches, 64x64 tanh)",
        partial(_others, "rejax"),
        partial(_others_report, 1),
    ),
    Section(
        "seeds",
        "Several seeds of one command, on as many cores as the run is given: PPO on CartPole-v1",
        _seeds,
        _seeds_report,
    ),
    Section(
        "solved",
        f"Process start to CartPole-v1 solved ({EVALUATION_EPISODES} greedy episodes)",
        _solved,
        _solved_report,
    ),
    *(
        Section(
            f"logging-{envs}x{steps}",
            f"Cost of logging, {envs} envs x {steps} steps ({Settings.timesteps:,} steps)",
            partial(logs.logging, envs, steps),
            logs.logging_report,
        )
        for envs, steps in ((4, 128), (8, 32), (8, 256))
    ),
    Section(
        "record",
        "What one record of 20 scalars to TensorBoard, JSONL and console costs the training thread",
        logs.record,
        logs.record_report,
    ),
    Section(
        "faults",
        "A backend that does nothing, raises, hangs or is slow (600,000 steps)",
        logs.faults,
        logs.faults_report,
    ),
    Section("saving", "PPO that is saved", checkpoints.saving, checkpoints.saving_report),
    Section("replay", "A replay memory that is saved", checkpoints.replay, checkpoints.replay_report),
    Section("writing", "Writing of 100 MB", checkpoints.writing, checkpoints.writing_report),
    Section("help", "The command's start", _help, _help_report, least_rounds=21),
    *(
        Section(
            f"step-{envs}",
            f"Random steps of CartPole-v1 in a compiled scan, {envs} envs",
            partial(_step, envs),
            _step_report,
        )
        for envs in (64, 1024)
    ),
    Section("draw", "Pictures of CartPole-v1, 640 x 480", pictures.draw, pictures.draw_report),
    Section(
        "video",
        "An mp4 of the same 500 steps of CartPole-v1, 640 x 480, in a process that has imported everything",
        pictures.video,
        pictures.video_report,
    ),
    Section(
        "pipeline",
        "Playing, drawing and encoding 1,000 steps, 640 x 480, compiling included",
        pictures.pipeline,
        pictures.pipeline_report,
    ),
    Section(
        "mujoco",
        "Pictures of Gymnasium's MuJoCo models, 640 x 480, with shadows, on the CPU",
        pictures.mujoco,
        pictures.mujoco_report,
    ),
    Section(
        "physics",
        "Random steps of MuJoCo tasks, 64 envs",
        physics.physics,
        physics.physics_report,
    ),
    Section(
        "train-physics",
        "PPO on HalfCheetah-v5, 8 envs x 256 steps (10 epochs, 32 minibatches, 64x64 tanh, both normalized)",
        physics.train_physics,
        physics.train_physics_report,
    ),
    Section(
        "first-step",
        "Process start to the end of one iteration of PPO on HalfCheetah-v5, without a compilation cache",
        physics.first_step,
        physics.first_step_report,
    ),
    *(
        Section(
            f"off-policy-{settings.algorithm.lower()}",
            f"{settings.algorithm} on {settings.env} (an update of {settings.batch_size} each "
            f"{settings.train_frequency} steps, {'x'.join(map(str, settings.hidden))})",
            partial(off_policy.speed, settings.algorithm),
            partial(off_policy.speed_report, settings.algorithm),
        )
        for settings in OFF_POLICY.values()
    ),
    Section("ring", "A replay buffer of HalfCheetah-v5's steps", off_policy.ring, off_policy.ring_report),
]
