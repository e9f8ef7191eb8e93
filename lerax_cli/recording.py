"""One recording: from the plan to the outcome."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lerax.errors import SettingError

from . import policies, report, runtime
from .policies import Source
from .progress import FrameCount
from .report import BadInput, Failure
from .signals import Signals

if TYPE_CHECKING:
    from lerax.record import Picture, Recording

PICTURE = ".png"  # how its name ends


@dataclass(frozen=True)
class RecordingPlan:
    """A recording that is fully decided.

    Attributes:
        subject: The environment, its settings, and what goes with it.
        sources: The policies.
        path: The video, or the picture.
        sheet: Columns and rows of a contact sheet; None for anything else.
        steps: Steps to play; None for episodes.
        episodes: Episodes to play.
        size: Width and height of each policy's picture.
        fps: Frames per second; None for the environment's.
        seed: Seed of all randomness.
        camera: Name or number of a camera.
        deterministic: Whether the most probable action is taken.
        overlay: Whether numbers are written on the frames.
    """

    subject: policies.Subject
    sources: list[Source]
    path: Path
    sheet: tuple[int, int] | None
    steps: int | None
    episodes: int
    size: tuple[int, int]
    fps: float | None
    seed: int
    camera: str | int | None
    deterministic: bool
    overlay: bool

    @property
    def is_picture(self) -> bool:
        """Whether there will be a picture, not a video."""
        return self.path.suffix.lower() == PICTURE


def record_plan(
    plan: RecordingPlan, warned: report.Warnings, progress: str, signals: Signals
) -> tuple["Recording | Picture", str]:
    """Plays, draws and writes; returns the recording and the renderer's name."""
    # Compiled modules crash where an exception ends their import, and a file half made would stay: from here
    # on a signal is looked for before each frame.
    signals.hold()
    count = FrameCount(progress, plan.steps)
    try:
        return _record(plan, warned, count, signals)
    except Exception as error:
        signals.look()  # a library may have made something else of what a signal raised
        raise _failure(error, plan.path) from error
    finally:
        count.close()


def _record(
    plan: RecordingPlan, warned: report.Warnings, count: FrameCount, signals: Signals
) -> tuple["Recording | Picture", str]:
    """As `record_plan`, without its care for errors."""
    # One environment of a policy to look at: an accelerator would only slow it down.
    runtime.prepare("cpu", warned.say)
    from jax import random as jr

    from lerax.record import record, take_picture

    def on_frame() -> None:
        signals.look()
        count.add()

    subject = plan.subject
    env = policies.make_env("ENV|RUN", subject.env, subject.settings, subject.wraps)
    shown = [(source.label, policies.load(source, env, subject)) for source in plan.sources]
    with _renderer(env, plan) as renderer:
        signals.phase = "recording"
        count.begin()
        signals.look()
        common: dict[str, Any] = {
            "key": jr.key(plan.seed),
            "steps": plan.steps,
            "deterministic": plan.deterministic,
            "overlay": plan.overlay,
            "on_frame": on_frame,
        }
        if plan.is_picture:
            recording = take_picture(plan.path, env, shown, renderer, sheet=plan.sheet, **common)
        else:
            recording = record(
                plan.path, env, shown, renderer, episodes=plan.episodes, fps=plan.fps, **common
            )
        drawn_with = getattr(renderer, "drawn_with", None)
        return recording, type(renderer).__name__ + (f" ({drawn_with})" if drawn_with else "")


def _renderer(env: Any, plan: RecordingPlan) -> Any:
    from lerax.render import headless_renderer

    try:
        return headless_renderer(env, *plan.size, plan.camera)
    except SettingError as error:
        raise BadInput(f"--{error.name}", error.reason) from None


def _failure(error: Exception, path: Path) -> Failure:
    """What to say of what went wrong."""
    from lerax.render import RenderError

    if isinstance(error, Failure):
        return error
    if isinstance(error, OSError):
        return Failure("-o", f"{path} cannot be written ({error.strerror or error})")
    kind = "" if isinstance(error, RenderError) else f"{type(error).__name__}: "
    return Failure("record-video", " ".join(f"{kind}{error}".split())[:500])


def outcome_of(plan: RecordingPlan, recording: "Recording | Picture", renderer: str) -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "path": str(plan.path),
        **_facts(recording),
        "renderer": renderer,
        "seed": plan.seed,
        "episodes": [
            {
                "policy": episode.policy,
                "return": episode.total if math.isfinite(episode.total) else None,
                "length": episode.length,
                "finished": episode.finished,
            }
            for episode in recording.episodes
        ],
    }


def _facts(recording: "Recording | Picture") -> dict[str, Any]:
    from lerax.record import Picture

    if isinstance(recording, Picture):
        return {"steps": recording.steps, "width": recording.width, "height": recording.height}
    frames, fps, width, height = recording.video
    return {
        "frames": frames,
        "fps": fps,
        "seconds": round(frames / fps, 3),
        "width": width,
        "height": height,
    }


def summarize(outcome: dict[str, Any]) -> None:
    """The recording in a few lines on standard error."""
    for episode in outcome["episodes"]:
        cut = "" if episode["finished"] else ", cut"
        total = "not finite" if episode["return"] is None else f"{episode['return']:.1f}"
        report.say(f"{episode['policy']}: return {total} in {episode['length']:,} steps{cut}")
    if "steps" in outcome:
        first, *_, last = *outcome["steps"], outcome["steps"][-1]
        what = (
            f"step {first:,}"
            if first == last
            else f"{len(outcome['steps'])} moments, step {first:,} to {last:,}"
        )
    else:
        what = f"{outcome['frames']:,} frames, {outcome['seconds']:.1f} s at {outcome['fps']:g} frames/s"
    report.say(f"{what}, {outcome['width']} x {outcome['height']}, drawn by {outcome['renderer']}")
