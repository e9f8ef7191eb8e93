"""The dashboard: lines that fit a terminal, whatever draws them."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .chart import History, chart, sparkline

ROOMY = (80, 24)  # smaller terminals get no rules and no files
NAME = 12  # characters that the run's name has at least, if something else can go
TREND = 8, 20  # characters of a trend, at least and at most
VALUE = 9  # characters of a value
BAR = 8  # characters of the bar, at least
CHART = 4, 12  # lines of the chart, at least and at most
CURVE = "episode/return"
RATE = "time/steps_per_second"
ELAPSED = "time/elapsed"
FIRST = ("/return", "/loss")  # of their groups
MATTERS = (CURVE, "eval/return", RATE, "/loss")  # ends of the tags that stay where there is little room
SAID = 3  # lines that were said, where there is room
GENERATED = re.compile(r"([^_]+)_.+_([^_]+)_(\d{8})_(\d{6}.*)")  # algorithm, policy, environment, time
Line = list[tuple[str, str]]
"""Pieces of text, each with the name of its style."""
STARTING = "starting"
ENDS = {
    "finished": "green",
    "interrupted": "yellow",
    "paused": "yellow",
    "pruned": "yellow",
    "ended": "yellow",
}
ENDS |= {"diverged": "red", "failed": "red", "died": "red"}
"""How a run can have ended, and the colour of it."""


@dataclass
class Shown:
    """What is known of a run, as far as it is shown.

    Attributes:
        device: What the training runs on.
        files: Where the run's files are.
        name: The run's name.
        phase: What is being done, or how the run ended.
        step: Environment steps done.
        total: Environment steps of the whole training, 0 while that is not known.
        began: When the run began, in seconds.
        phase_began: When the phase began.
        scalars: The latest value of each tag.
        curves: All values of each tag.
        curve: What is drawn; by default the curve of the episodes' returns.
        band: The least and the most around each point of it.
        caption: What stands above it.
        unit: What is counted by `step` and `total`.
    """

    device: str = ""
    files: str = ""
    name: str = ""
    phase: str = STARTING
    step: int = 0
    total: int = 0
    began: float = 0.0
    phase_began: float = 0.0
    scalars: dict[str, float] = field(default_factory=dict)
    curves: dict[str, History] = field(default_factory=dict)
    curve: list[tuple[float, float]] = field(default_factory=list)
    band: list[tuple[float, float]] = field(default_factory=list)
    caption: str = CURVE
    unit: str = "steps"


def dashboard(
    shown: Shown,
    width: int,
    height: int,
    now: float,
    said: Sequence[str] = (),
    rows: Sequence[Line] | None = None,
) -> list[Line]:
    """The lines for a terminal of `width` columns and `height` lines, the last of which stays free.

    Lines that are too long are to be cut. Where there is little room, what matters most is shown.

    Args:
        shown: What is known of the run.
        width: Columns.
        height: Lines.
        now: The time, on the clock of `shown`.
        said: Warnings and the like that came in between, the latest last.
        rows: What stands in place of the latest values.
    """
    roomy = width >= ROOMY[0] and height >= ROOMY[1]
    rule: list[Line] = [[("─" * width, "dim")]] if roomy else []
    files: list[Line] = [[(f" files  {shown.files}", "dim")]] if roomy and shown.files else []
    free = max(height - 3 - 2 * len(rule) - len(files), 0)
    count = min(len(said), SAID if roomy else 1, free)
    notes: list[Line] = [[(f" {line}", "yellow")] for line in said[len(said) - count :]]
    free -= len(notes)
    least = CHART[0] + 1 if curve_of(shown) else 0  # with its title
    room = free - least if free >= least + 3 else free
    table = _table(shown, width, room) if rows is None else _cut(rows, room)
    plot = _plot(shown, width, free - len(table))
    lines = [_title(shown, width, now), *rule, _bar(shown, width, now), *rule, *plot, *table, *files, *notes]
    return lines[: max(height - 1, 1)]


def _title(shown: Shown, width: int, now: float) -> Line:
    """The run's name at the left; at the right the device, what is being done, and for how long."""
    clock = "" if shown.phase == "training" or shown.phase in ENDS else clock_of(now - shown.phase_began)
    phase = f"{shown.phase} {clock}".rstrip()
    forms = (f"{shown.device}  {phase}".strip(), phase, shown.phase)
    right = next((form for form in forms if len(form) + NAME <= width), forms[-1])
    room = width - len(right) - 3
    names = _names(shown.name)
    name = _fit(next((form for form in names if len(form) <= room), names[-1]), room)
    return [(f" {name}  " if name else "", "bold cyan"), (right, ENDS.get(shown.phase, "yellow"))]


def _names(name: str) -> list[str]:
    """A run's name and shorter forms of it, down to the environment; a sign where something is left out."""
    if parts := GENERATED.fullmatch(name):
        algorithm, env, day, time = parts.groups()
        short_form = f"{env}_{day}_{time}"
        return [name, f"{algorithm}_…_{short_form}", f"…{short_form}", f"…{env}_…{time}", f"…{env}…", env]
    return [name, name.rpartition(" ")[2]]


class Measures(NamedTuple):
    """How far a run is: a part of 1, and words, each "" where it is not known."""

    part: float
    percent: str
    gone: str
    left: str
    steps: str
    speed: str


def measures(shown: Shown, now: float) -> Measures:
    """How far a run is, at a time on its clock."""
    part = min(shown.step / shown.total, 1.0) if shown.total else 0.0
    rate = shown.scalars.get(RATE, 0.0)
    going = rate > 0 and shown.step < shown.total and shown.phase not in ENDS
    of = f" of {shown.total:,}" if shown.total else ""
    return Measures(
        part,
        percent=f"{int(100 * part):3}%" if shown.total else "",
        gone=clock_of(now - shown.began),
        left=clock_of((shown.total - shown.step) / rate) if going else "",
        steps=f"{shown.step:,}{of} {shown.unit}" if shown.step or of else "",
        speed=f"{short(rate)}/s" if rate > 0 else "",
    )


def _bar(shown: Shown, width: int, now: float) -> Line:
    """How much is done, and as much of times, steps and speed as fits."""
    part, percent, gone, left, steps, speed = measures(shown, now)
    forms = (
        (percent, f"{gone} elapsed", left and f"{left} left", steps, speed),
        (percent, f"{gone} + {left}" if left else gone, steps, speed),
        (percent, f"{gone} elapsed"),
        (percent or gone,),
    )
    lines = ["  ".join(filter(None, form)) for form in forms]
    words = next((line for line in lines if len(line) + BAR + 2 <= width), lines[-1])
    room = max(width - len(words) - 2, BAR // 2)
    filled = int(part * room)
    bar = [("━" * filled, "green"), ("━" * (room - filled), "bright_black")]
    return [(" ", ""), *bar, (f" {words}", "")]


def _plot(shown: Shown, width: int, room: int) -> list[Line]:
    """The curve of the return in at most `room` lines; nothing where there is no curve, or no room."""
    points = curve_of(shown)
    if not points or room < CHART[0] + 1:
        return []
    lines = chart(points, width - 2, min(room - 1, CHART[1]), shown.band or None)
    captions = (shown.caption, shown.caption.partition(", ")[0])
    caption = next((form for form in captions if len(form) < width), captions[-1])
    return [[(f" {caption}", "bold")], *[[(f" {line}", "green")] for line in lines]]


def curve_of(shown: Shown) -> list[tuple[float, float]]:
    """What is drawn large. A copy: while it is drawn, another thread goes on with it."""
    if shown.curve:
        return shown.curve
    return shown.curves[CURVE].points.copy() if CURVE in shown.curves else []


def _table(shown: Shown, width: int, room: int) -> list[Line]:
    """The latest values, each with its trend, in as many columns as fit and at most `room` lines. Every group
    begins a line."""
    scalars = shown.scalars.copy()
    groups = list(groups_of(scalars, narrow=width < ROOMY[0]))
    names = {tag: tag for group in groups for tag in group}
    longest, value = max(map(len, names), default=0), VALUE
    if longest + VALUE + 3 > width:
        names = {tag: tag if tag.startswith("eval/") else tag.rpartition("/")[2] for tag in names}
        names |= {RATE: "steps/s"} if RATE in names else {}
        longest = max(map(len, names.values()), default=0)
        value = max((len(short(scalars[tag])) for tag in names), default=0)
    label = max(min(longest, width - value - 2), 4)
    columns = max(1, width // (label + value + 4 + TREND[0]))
    trend = min(width // columns - label - value - 4, TREND[1])

    def cell(tag: str) -> Line:
        curve = shown.curves.get(tag)
        bars = sparkline(curve.points, trend) if curve and trend >= TREND[0] else ""
        number = f" {short(scalars[tag]):>{value}} "
        return [(f" {_fit(names[tag], label)}", ""), (number, "bold"), (f"{bars:<{max(trend, 0)}} ", "blue")]

    rows = [group[i : i + columns] for group in groups for i in range(0, len(group), columns)]
    return [[piece for tag in row for piece in cell(tag)] for row in what_matters(rows, room)]


def what_matters(rows: Sequence[list[str]], room: int) -> list[list[str]]:
    """So many rows of tags as there is room for, in their order: those that matter most."""
    kept = sorted(sorted(range(len(rows)), key=lambda i: min(map(_rank, rows[i])))[: max(room, 0)])
    return [rows[i] for i in kept]


def _cut(rows: Sequence[Line], room: int) -> list[Line]:
    """So many of the rows as there is room for; the last line says how many more there are."""
    if len(rows) <= room:
        return list(rows)
    shown = max(room - 1, 0)
    return [*rows[:shown], *([[(f" and {len(rows) - shown} more", "dim")]] if room > 0 else [])]


def _rank(tag: str) -> int:
    """How much a value matters where not all can be shown; 0 is the most."""
    return next((i for i, end in enumerate(MATTERS) if tag.endswith(end)), len(MATTERS))


def groups_of(scalars: dict[str, float], *, narrow: bool) -> Iterator[list[str]]:
    """Tags by prefix, always in the same order; the evaluation's come last, since they appear last."""
    tags = sorted(scalars, key=lambda tag: not tag.endswith(FIRST))
    by_prefix: dict[str, list[str]] = {"episode": [], "time": [], "train": []}
    for tag in tags:
        by_prefix.setdefault(tag.partition("/")[0], []).append(tag)
    by_prefix["time"] = [RATE] if narrow and RATE in scalars else []  # elsewhere the bar has it
    evaluation = by_prefix.pop("eval", [])
    yield from filter(None, [*by_prefix.values(), evaluation])


def _fit(text: str, room: int) -> str:
    """The text in exactly `room` characters; what is cut out of its middle leaves a sign."""
    if len(text) <= room:
        return text.ljust(room)
    tail = (room - 1) * 2 // 3 if room > 1 else 0
    return (text[: room - 1 - tail] + "…" + text[len(text) - tail :])[: max(room, 0)]


def short(value: float) -> str:
    """A number in at most nine characters."""
    if not math.isfinite(value):
        return str(value)
    if abs(value) >= 1e6 or 0 < abs(value) < 1e-3:
        return f"{value:.2e}"
    if abs(value) >= 1e3:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def clock_of(seconds: float) -> str:
    """Hours, minutes and seconds."""
    whole = int(max(seconds, 0))
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
