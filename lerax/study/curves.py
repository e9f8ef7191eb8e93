"""What runs have logged as curves: of each group of seeds one line, and how sure it is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lerax.errors import SettingError
from lerax.names import hint
from lerax.runs import LIVES, METRICS, Metrics, Run

from .groups import Group, named, not_yet
from .statistics import LARGEST, interval, iqm

TAGS = ("episode/return", "eval/return")  # what is drawn where nothing is said: the first that is there
ELAPSED = "time/elapsed"
STEPS, TIME = "steps", "time"
AXES = (STEPS, TIME)
POINTS = 256  # of a curve
REPETITIONS = 1_000
FEW = 3  # seeds that a band is drawn of
SAME_END = 0.05  # of the axis: runs whose ends are no farther apart end together
EVERY_ENV = ""  # the panel of all environments


@dataclass(frozen=True)
class Curve:
    """The line of a group, the interquartile mean of its runs, and its band.

    Attributes:
        name: What tells the group from the others.
        runs: The number of its runs.
        x: Steps, or seconds, `[point]`.
        value: The line, `[point]`; of three runs or fewer it is their mean.
        low: The lower end of the band, `[point]`; NaN where there are fewer than three runs.
        high: The upper end.
        count: How many runs have come as far, `[point]`.
    """

    name: str
    runs: int
    x: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    count: np.ndarray


class Smoothing(NamedTuple):
    """A mean over a window around each point.

    Attributes:
        width: Of the window.
        relative: Whether it is a part of the whole axis, and not steps or seconds.
    """

    width: float
    relative: bool


@dataclass(frozen=True)
class Curves:
    """Curves by panels.

    Attributes:
        tag: What was logged.
        axis: `steps` or `time`.
        panels: The curves on each environment; `EVERY_ENV` where all are in one.
        window: The width of what a point is the mean of, in steps or seconds; 0 for no smoothing.
        problems: A line for each run, part of it, or group that is left out.
    """

    tag: str
    axis: str
    panels: dict[str, list[Curve]]
    window: float
    problems: list[str]

    def _repr_svg_(self) -> str | None:
        """What a notebook shows; nothing but the words where matplotlib is missing."""
        from .picture import MissingExtraError, drawn

        try:
            return drawn(self, "svg").decode()
        except MissingExtraError:
            return None

    def caption(self, band: str = "band") -> str:
        """What is to be known of the curves beside their names; `band` is what the interval is called."""
        every = [curve for curves in self.panels.values() for curve in curves]
        counts = {curve.runs for curve in every}
        seeds = f"{counts.pop()}" if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
        several = max(curve.runs for curve in every)
        line = {1: "one run", 2: "mean", 3: "mean"}.get(several, "interquartile mean")
        few = "" if all(curve.runs >= FEW for curve in every) else f", of at least {FEW} seeds,"
        band = f"; {band}: 95 %{few} by the bootstrap over seeds" if several >= FEW else ""
        unit = "steps" if self.axis == STEPS else "s"
        smooth = f"mean over {_short(self.window)} {unit} around each point" if self.window else "none"
        ended = ", ended runs keep their last value" if self.axis == TIME else ""
        plural = "s" if seeds != "1" else ""
        return f"{seeds} seed{plural}; line: {line}{ended}{band}; smoothing: {smooth}"


def read_smoothing(text: str) -> Smoothing | None:
    """A window from its text: `2000` steps or seconds, `5%` of the axis, `none`.

    Raises:
        SettingError: It is none.
    """
    if text.strip() == "none":
        return None
    relative = text.strip().endswith("%")
    try:
        width = float(text.strip().removesuffix("%"))
    except ValueError:
        width = math.nan
    if not 0 < width < (100.1 if relative else math.inf):
        raise SettingError(
            "smooth", text, "a width of steps or seconds, such as 2000, a part, such as 5%, or none"
        )
    return Smoothing(width / 100 if relative else width, relative)


def curves(
    groups: Sequence[Group],
    *,
    tag: str = "",
    axis: str = STEPS,
    by: Sequence[str] = (),
    smooth: Smoothing | None = None,
) -> Curves:
    """The curves of groups of runs, a panel for each environment.

    Runs log at steps, and times, of their own: the points of each are joined by straight lines, and looked at
    in the same places. Along steps a group's line goes as far as half of its runs or more. Along time a run
    that has ended keeps its last value, since that is what one has of it from then on.

    Args:
        groups: The groups.
        tag: What was logged; "" for the return of episodes, else of evaluations.
        axis: `steps` or `time`.
        by: Settings that the groups were made by, if they were; with `env` among them all are in one panel.
        smooth: The window of a moving mean over each run; None for none.

    Raises:
        SettingError: No run has logged the tag, or nothing is left of any.
    """
    problems: list[str] = []
    logged = {run.path: _read(run, problems) for one in groups for run in one.runs}
    tag = tag or next((usual for usual in TAGS if any(usual in rows for rows in logged.values())), TAGS[0])
    known = dict.fromkeys(name for rows in logged.values() for name in rows)
    if tag not in known:
        nothing = "; ".join(problems) or f"there is nothing in their {METRICS}"
        what = hint(tag, sorted(known)) if known else nothing
        raise SettingError("y", tag, wrong="no run has logged it", hint=what)
    of: dict[str, list[tuple[Group, list[np.ndarray]]]] = {}
    for one in groups:
        for env in [EVERY_ENV] if "env" in by else one.envs:
            runs = one.on(env) if env else one.runs
            points = [_points(run, logged[run.path], tag, axis, problems) for run in runs]
            if kept := [some for some in points if some is not None]:
                of.setdefault(env, []).append((one, kept))
    if not of:
        raise SettingError("y", tag, wrong="nothing of it is left", hint="; ".join(problems))
    longest = max(points[0, -1] for panel in of.values() for _, some in panel for points in some)
    window = 0.0 if smooth is None else smooth.width * (longest if smooth.relative else 1.0)
    panels: dict[str, list[Curve]] = {}
    for env, panel in of.items():
        apart = () if env == EVERY_ENV else ("env",)
        names = [one.name for one in named([one for one, _ in panel], by, apart=apart)]
        for name, (_, some) in zip(names, panel, strict=True):
            if (curve := _curve(name, some, window, axis)) is not None:
                panels.setdefault(env, []).append(curve)
            else:
                unit = "step" if axis == STEPS else "time"
                which = f"{name} on {env}" if len(of) > 1 else name
                why = f"there is no {unit} at which half of its {len(some)} runs have {tag}"
                problems.append(f"{which} is left out: {why}")
    if not panels:
        raise SettingError("y", tag, wrong="nothing of it is left", hint="; ".join(problems))
    return Curves(tag, axis, panels, window, problems)


def _read(run: Run, problems: list[str]) -> Metrics | dict[str, np.ndarray]:
    """What a run has logged; nothing where that cannot be read."""
    try:
        rows = Metrics(run.path / METRICS)
    except OSError as error:
        problems.append(f"{run.name} is left out: {METRICS} cannot be read ({error.strerror})")
        return {}
    if rows.damaged > (run.status == LIVES):  # whose last line may be in the making
        lines = "a damaged line" if rows.damaged == 1 else f"{rows.damaged:,} damaged lines"
        problems.append(f"{run.name}: {lines} of {METRICS} left out")
    return rows


def _points(
    run: Run, rows: Metrics | dict[str, np.ndarray], tag: str, axis: str, problems: list[str]
) -> np.ndarray | None:
    """The points `[x or y, row]` of a run in the order of x; None where there are none."""
    if not isinstance(rows, Metrics):
        return None  # which was said
    nothing = np.full(len(rows.steps), np.nan)
    x = rows.steps.astype(float) if axis == STEPS else rows.get(ELAPSED, nothing)
    points = np.stack([x, rows.get(tag, nothing)])
    points = points[:, (np.abs(points) <= LARGEST).all(axis=0)]
    if not points.size:
        what = tag if tag not in rows or axis == STEPS else f"{tag} with {ELAPSED}"
        problems.append(f"{run.name} is left out: {not_yet(run) or f'it has no {what}'}")
        return None
    return points[:, np.argsort(points[0], kind="stable")]


def _curve(name: str, some: Sequence[np.ndarray], window: float, axis: str) -> Curve | None:
    """The line and band of the points of some runs; None where no place is shared by enough of them."""
    some = [smoothed(points, window) for points in some] if window else some
    x = _grid(some)
    after = (lambda y: y[-1]) if axis == TIME else (lambda y: np.nan)
    on_grid = np.stack([np.interp(x, *xy, left=np.nan, right=after(xy[1])) for xy in some], axis=-1)
    there = np.isfinite(on_grid)
    enough = there.sum(axis=-1) * 2 >= len(some)
    if not enough.any():
        return None
    x, on_grid, there = x[enough], on_grid[enough], there[enough]
    value, low, high = (np.full(len(x), np.nan) for _ in range(3))
    for who in np.unique(there, axis=0):  # the same runs along a part of the axis are drawn together
        rows = (there == who).all(axis=1)
        runs = on_grid[rows][:, who]
        value[rows] = iqm([runs])
        if who.sum() >= FEW:
            low[rows], high[rows] = interval(iqm, [runs], repetitions=REPETITIONS)
    return Curve(name, len(some), x, value, low, high, there.sum(axis=-1))


def smoothed(points: np.ndarray, window: float) -> np.ndarray:
    """Points `[x or y, row]`, each y the mean of those whose x is at most half of the window away."""
    x, y = points
    sums = np.concatenate([[0.0], np.cumsum(y)])
    first, last = np.searchsorted(x, x - window / 2, "left"), np.searchsorted(x, x + window / 2, "right")
    return np.stack([x, (sums[last] - sums[first]) / (last - first)])


def _grid(some: Sequence[np.ndarray]) -> np.ndarray:
    """Where all runs are looked at: where they have points, if these are few, else evenly.

    Runs that begin, or end, at almost the same place do so together.
    """
    first, last = ([points[0, end] for points in some] for end in (0, -1))
    near = SAME_END * (max(last) - min(first))
    low = max(one for one in first if one <= min(first) + near)
    high = max(min(one for one in last if one >= max(last) - near), low)
    every = np.unique(np.concatenate([points[0] for points in some]))
    every = every[(every >= low) & (every <= high)]
    return every if 0 < len(every) <= POINTS else np.linspace(low, high, POINTS)


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.3g}"
