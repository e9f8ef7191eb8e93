"""What is measured of pictures and videos."""

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median

from rounds import Contestant, Rows, worker
from settings import CLASSIC, MODELS
from tables import check, markdown, ratios, spread, values

PEER = "Gymnasium"
SPEED = "frames_per_second"
OPENGL = ("egl", "osmesa")
FRAMES = (1_000, 10_000)  # of a short and of a long recording


def draw(quick: bool, directory: Path) -> Sequence[Contestant]:
    """Pictures of CartPole."""
    calls = 1 if quick else 4
    return [
        Contestant("lerax", worker("draw", "lerax_pictures", calls=calls)),
        Contestant(PEER, worker("draw", "gymnasium_pictures", calls=calls)),
    ]


def draw_report(rows: Rows) -> str:
    lines = [[name, spread(values(rows, name, SPEED))] for name in rows]
    checks = [
        check("lerax, frames/s", values(rows, "lerax", SPEED), "at least", 1000),
        check(f"lerax over {PEER}, frames/s", ratios(rows, "lerax", PEER, SPEED), "at least", 2),
    ]
    return "\n".join([markdown(["", "frames/s"], lines), "", *checks])


def video(quick: bool, directory: Path) -> Sequence[Contestant]:
    """The same episode of CartPole as an mp4."""
    warm = tempfile.mkdtemp(dir=directory)
    command = worker("video", "lerax_pictures")
    return [
        Contestant("lerax", command, lambda: warm, warm_up=True),
        Contestant("lerax, cold cache", command),
        Contestant("RecordVideo", worker("video", "gymnasium_pictures")),
    ]


def video_report(rows: Rows) -> str:
    keys, which = ("first", "second", "frames", "kilobytes"), ("first", "second")
    lines = [
        [name, *(spread(values(rows, name, key)) for key in keys)]
        + [spread(ratios(rows, name, "lerax", key)) for key in which]
        for name in rows
    ]
    header = ["", "first video s", "second s", "frames", "kB", "first, x lerax", "second, x lerax"]
    checks = [
        check(
            f"RecordVideo over lerax, {key} video, s",
            ratios(rows, "RecordVideo", "lerax", key),
            "at least",
            2,
        )
        for key in which
    ]
    return "\n".join([markdown(header, lines), "", *checks])


def pipeline(quick: bool, directory: Path) -> Sequence[Contestant]:
    """Recordings of each classic environment, and short and long ones."""
    size = 100 if quick else 1000
    every = [
        Contestant(name, worker("pipeline", "lerax_pictures", env=name, timesteps=size))
        for name in CLASSIC
        if name != "CartPole"
    ]
    lengths = [
        Contestant(_length(count), worker("pipeline", "lerax_pictures", timesteps=count))
        for count in (FRAMES[:1] if quick else FRAMES)
    ]
    return lengths + every


def pipeline_report(rows: Rows) -> str:
    header = ["", "frames/s", "peak MB"]
    keys = (SPEED, "peak_megabytes")
    lines = [[name, *(spread(values(rows, name, key)) for key in keys)] for name in rows]
    checks = [check(f"{name}, frames/s", values(rows, name, SPEED), "at least", 200) for name in rows]
    short, long = map(_length, FRAMES)
    memory = ratios(rows, long, short, "peak_megabytes")
    held = check(f"{long} over {short}, peak memory", memory, "at most", 1.05)
    return "\n".join([markdown(header, lines), "", *checks, held])


def _length(steps: int) -> str:
    return f"CartPole, {steps:,} steps"


def mujoco(quick: bool, directory: Path) -> Sequence[Contestant]:
    """Pictures of MuJoCo's models without a graphics card."""
    command = partial(worker, "mujoco", "lerax_pictures", calls=3 if quick else 30)
    return [Contestant(name, command(opengl=name)) for name in ("software", *OPENGL)]


def mujoco_report(rows: Rows) -> str:
    peers = [name for name in OPENGL if rows.get(name)]
    lines, checks = [], []
    for model in MODELS:
        speeds = {name: [row["models"][model] for row in rows[name]] for name in rows}
        fastest = max(peers, key=lambda name: median(speeds[name]), default=None)
        pairs = zip(speeds["software"], speeds.get(fastest or "", []), strict=False)
        over = [own / other for own, other in pairs]
        lines.append([model, *(spread(figures) for figures in speeds.values()), spread(over)])
        checks.append(check(f"{model}, software over {fastest or 'OpenGL'}, frames/s", over, "at least", 1))
    header = ["frames/s", *rows, "software over the faster OpenGL"]
    return "\n".join([markdown(header, lines), "", *checks])
