"""`lerax record-video`."""

import os
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from lerax.names import Entry
from lerax.settings import Limits, Setting

from . import naming, policies, report, words
from .recording import PICTURE, RecordingPlan, outcome_of, record_plan, summarize
from .report import BadInput, Interrupted
from .signals import Signals
from .train import Debug, Progress, Quiet, Trust
from .values import KEYS, Out, Overwrite, check_free, check_quiet, option

VIDEO = ".mp4"
ENDINGS = (VIDEO, ".gif", PICTURE)
LAYOUT = 4, 3  # of a contact sheet: columns and rows
LARGEST = 16_384  # pixels, each way
WIDTH, HEIGHT = 640, 480
EPISODES = Setting("episodes", 1, "Whole episodes.", Limits(at_least=1, at_most=2**31 - 1))
PIXELS = Limits(at_least=1, at_most=LARGEST)
ACROSS, DOWN = Setting("width", WIDTH, "", PIXELS), Setting("height", HEIGHT, "", PIXELS)
FPS = Setting("fps", 50.0, "Frames per second.", Limits(at_least=0.01, at_most=1000))
LONGEST_NAME = 230  # bytes; while a file is written its name has some more


def _name_or_number(text: str) -> str | int:
    return int(text) if text.isdecimal() and len(text) < 9 else text


def _columns_and_rows(text: str) -> tuple[int, int]:
    form = re.fullmatch(r"([1-9]\d{0,2})[xX]([1-9]\d{0,2})", text, re.ASCII)
    if form is None:
        raise BadInput("--layout", f"not COLUMNSxROWS (got {text!r}); allowed: 1x1 to 999x999")
    return int(form[1]), int(form[2])


def record_video(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="ENV|RUN|FILE",
            help="Environment, see `lerax list-envs`, or a run (its path, its name or how that begins, "
            "`latest`, `best:ENV`), or a policy's file.",
            autocompletion=words.subjects,
        ),
    ],
    policy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE|random|best|last|NAME",
            help="A policy's file, or random; of a run also its best, its last or a named checkpoint. "
            "Repeat it with --grid. A run's last policy, else random.",
            autocompletion=words.policies,
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE.mp4|.gif|.png",
            help="The video; ENV.mp4 here, or videos/POLICY.mp4 in the run's directory. A .png is a "
            "picture: the middle of an episode, or what is there after --steps.",
        ),
    ] = None,
    episodes: Annotated[
        int | None, option(EPISODES, "Whole episodes, each cut after 10,000 steps; 1.")
    ] = None,
    steps: Annotated[
        int | None,
        option(KEYS["steps"], "Environment steps instead, in as many episodes as they take."),
    ] = None,
    width: Annotated[
        int | None, option(ACROSS, "Width of the picture; 640, or by the height.", "PIXELS")
    ] = None,
    height: Annotated[
        int | None, option(DOWN, "Height of the picture; 480, or by the width.", "PIXELS")
    ] = None,
    fps: Annotated[float | None, option(FPS, "Frames per second; as fast as the environment is.")] = None,
    seed: Annotated[
        int, option(KEYS["seed"], "Seed of all randomness: the same one gives the same video.", "S")
    ] = 0,
    camera: Annotated[
        Any,
        typer.Option(
            metavar="NAME|NUMBER", help="Camera of a MuJoCo model; its first one.", parser=_name_or_number
        ),
    ] = None,
    stochastic: Annotated[
        bool, typer.Option("--stochastic", help="Sample actions instead of taking the most probable ones.")
    ] = False,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Write step, reward and return on the frames.")
    ] = False,
    grid: Annotated[
        bool,
        typer.Option("--grid", help="Several policies side by side; of a run all, unless some are named."),
    ] = False,
    sheet: Annotated[
        bool,
        typer.Option("--sheet", help="A contact sheet: a .png of frames evenly spread from first to last."),
    ] = False,
    layout: Annotated[
        Any,
        typer.Option(
            metavar="COLUMNSxROWS", help="How many pictures a --sheet shows; 4x3.", parser=_columns_and_rows
        ),
    ] = None,
    out: Out = "logs",
    overwrite: Overwrite = False,
    trust: Trust = None,
    progress: Progress = "auto",
    debug: Debug = False,
    json: Annotated[bool, typer.Option("--json", help="Print what was recorded as JSON.")] = False,
    quiet: Quiet = False,
) -> int:
    """Record a video of a policy, or a picture; prints the path of the file on standard output."""
    warned = report.Warnings()
    warned.install()
    check_quiet(quiet, progress)
    shown = policies.find_subject(subject, trust or [], out)
    env, run = shown.env, shown.run
    policy = [*shown.policies, *(policy or [])]
    sources = policies.find_sources(policy, run, grid)
    if steps is not None and episodes is not None:
        raise BadInput("--steps", "excludes --episodes; give one of them")
    tiles = _tiles(sheet, layout)
    label = "grid" if grid else sources[0].label
    plan = RecordingPlan(
        subject=shown,
        sources=sources,
        path=_place(output, env, run, label, PICTURE if sheet else VIDEO, overwrite),
        sheet=tiles,
        steps=steps,
        episodes=episodes or 1,
        size=_size(width, height, len(sources), tiles or (1, 1)),
        fps=fps,
        seed=seed,
        camera=camera,
        deterministic=not stochastic,
        overlay=overlay,
    )
    if sheet and not plan.is_picture:
        raise BadInput("--sheet", f"a contact sheet is a {PICTURE} (got -o {output!r})")
    for where, value in (("--fps", fps), ("--episodes", episodes)):
        if plan.is_picture and value is not None:
            raise BadInput(
                where, f"of videos, and {plan.path.name!r} is a picture; give --steps N for its moment"
            )
    try:
        with Signals(quiet=quiet) as signals:
            if not quiet and run is None and not policy:
                report.say("lerax: no --policy was given: a random one plays")
            recording, renderer = record_plan(plan, warned, "off" if quiet else progress, signals)
    except Interrupted as stop:
        what = "picture" if plan.is_picture else "video"
        report.say(f"lerax: stopped by a signal (exit {stop.code}); no {what} was written")
        return stop.code
    outcome = outcome_of(plan, recording, renderer)
    if json:
        report.result_json(outcome)
    else:
        if not quiet:
            summarize(outcome)
            if run is None:
                report.entry("next", f"lerax train {naming.written(env.name)}")
            else:
                report.entry(
                    "next", f"lerax compare {naming.run_again(run)} OTHER, a training of another kind"
                )
        report.result(outcome["path"])
    return 0


def _tiles(sheet: bool, layout: tuple[int, int] | None) -> tuple[int, int] | None:
    """Columns and rows of a contact sheet; None for a single picture."""
    if layout is not None and not sheet:
        raise BadInput("--layout", f"is of a --sheet (got '{layout[0]}x{layout[1]}'); give both")
    return (layout or LAYOUT) if sheet else None


def _place(text: str | None, env: Entry, run: Path | None, label: str, ending: str, overwrite: bool) -> Path:
    """Where the file goes, if it can go there, as far as names tell."""
    if text is None:
        path = run / "videos" / f"{label}{ending}" if run else Path(f"{naming.label(env.name)}{ending}")
    else:
        path = Path(text)
    if "://" in str(text):
        raise BadInput("-o", f"not a local file (got {text!r})")
    if path.suffix.lower() not in ENDINGS:
        raise BadInput("-o", f"unknown ending (got {text!r}); allowed: {', '.join(ENDINGS)}")
    if "\0" in str(path) or len(os.fsencode(path.name)) > LONGEST_NAME or len(os.fsencode(path)) > 3000:
        raise BadInput("-o", f"not a usable path ({len(str(path))} characters, got {str(path)[:60]!r})")
    check_free(path, overwrite)
    return path


def _size(across: int | None, down: int | None, count: int, tiles: tuple[int, int]) -> tuple[int, int]:
    """Width and height of a policy's picture, so that all of them together are not too large."""
    from lerax.render import grid_shape

    if across is None:
        across = WIDTH if down is None else max(1, round(down * WIDTH / HEIGHT))
    if down is None:
        down = max(1, round(across * HEIGHT / WIDTH))
    columns, rows = (many * one for many, one in zip(grid_shape(count), tiles, strict=True))
    if across * columns > LARGEST or down * rows > LARGEST:
        size = f"{columns} x {rows} pictures, {across * columns} x {down * rows} pixels"
        option = "--width" if tiles in ((1, 1), LAYOUT) else "--layout"
        raise BadInput(option, f"too large (got {size}); allowed: {LARGEST} pixels each way")
    return across, down
