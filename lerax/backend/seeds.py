"""The dashboard of several trainings side by side that differ in their seed."""

import math
import time
from collections.abc import Sequence

import numpy as np

from .chart import sparkline
from .console import ConsoleBackend, Progress
from .dashboard import CURVE, ENDS, RATE, STARTING, TREND, Line, Shown, dashboard, short

WAITING = "waiting"
POINTS = 200  # of the curve of all
LEAST_FOR_IQM = 3  # seeds; of fewer it is the mean
NARROWEST = 50  # columns that the trend of a seed needs


class SeedsConsole(ConsoleBackend):
    """Shows them on standard error: together in a terminal, as lines that begin with the seed elsewhere.

    Args:
        progress: As for `ConsoleBackend`.
        seeds: The seeds.

    Attributes:
        parts: What each of them is shown with.
    """

    def __init__(self, progress: Progress, seeds: Sequence[int]):
        super().__init__(progress)
        self.parts = {seed: ConsoleBackend("off", words={"seed": seed}) for seed in seeds}
        self._total = 0
        for part in self.parts.values():
            part.shown.phase = WAITING

    def of(self, seed: int) -> ConsoleBackend:
        """What one of them is shown with."""
        part = self.parts[seed]
        part.progress = "plain" if self._mode == "plain" else "off"
        return part

    def expect(self, steps: int) -> None:
        """Says how many environment steps each of them has."""
        self._total = steps
        for part in self.parts.values():
            part.shown.total = steps

    def log_phase(self, phase: str) -> None:
        self._begin_phase(phase)

    def close(self) -> None:
        self.leave()

    def _lines(self, width: int, height: int, said: list[str]) -> list[Line]:
        each = {seed: part.shown for seed, part in self.parts.items()}
        whole = together(self.shown, each, self._total)
        rows = [_row(seed, shown, width) for seed, shown in each.items()]
        return dashboard(whole, width, height, time.monotonic(), said, rows)


def together(shown: Shown, each: dict[int, Shown], total: int) -> Shown:
    """Several trainings as one that has done the steps of all.

    Args:
        shown: What is known of all; changed to that.
        each: What is known of each.
        total: Environment steps of each.
    """
    parts = list(each.values())
    shown.step, shown.total = sum(part.step for part in parts), total * len(parts)
    going = [part for part in parts if part.phase not in (*ENDS, WAITING)]
    rate = sum(part.scalars.get(RATE, 0.0) for part in going)
    shown.scalars = {RATE: rate} if rate else {}
    ended = sum(part.phase in ENDS for part in parts)
    if shown.phase not in ENDS and (ended or going):
        phase = going[0].phase.partition(" ")[0] if going else STARTING
        shown.phase = f"{phase} {ended}/{len(parts)} done"
    shown.curve, shown.band = middle(
        [part.curves[CURVE].points.copy() for part in parts if CURVE in part.curves]
    )
    kind = "mean" if len(parts) < LEAST_FOR_IQM else "interquartile mean"
    shown.caption = f"{CURVE}: {kind} of the seeds, dots from least to best"
    return shown


def middle(
    curves: Sequence[Sequence[tuple[float, float]]],
) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """The mean of some curves, the interquartile mean of three or more, and the least and the best of them.

    At each place those count that have come so far.
    """
    curves = [curve for curve in curves if curve]
    if not curves:
        return [], []
    places = np.linspace(
        min(curve[0][0] for curve in curves), max(curve[-1][0] for curve in curves), POINTS + 1
    )
    heights = [np.interp(places, *zip(*curve, strict=True), left=np.nan, right=np.nan) for curve in curves]
    line: list[tuple[float, float]] = []
    band: list[tuple[float, float]] = []
    for x, *at in zip(places.tolist(), *(height.tolist() for height in heights), strict=True):
        if values := sorted(y for y in at if not math.isnan(y)):
            cut = len(values) // 4
            inner = values[cut : len(values) - cut]
            line.append((x, sum(inner) / len(inner)))
            band.append((values[0], values[-1]))
    return line, band


def _row(seed: int, shown: Shown, width: int) -> Line:
    """What there is of one of them in a line."""
    curve = shown.curves.get(CURVE)
    value = shown.scalars.get("eval/return", shown.scalars.get(CURVE))
    part = f"{int(100 * min(shown.step / shown.total, 1.0)) if shown.total else 0:3}%"
    phase = shown.phase.partition(" ")[0]
    line = [(f" seed {seed:<4}", ""), (f" {phase:<11}", ENDS.get(phase, "yellow")), (f" {part}", "")]
    line.append((f" {'' if value is None else short(value):>9} ", "bold"))
    if curve and width >= NARROWEST:
        line.append((sparkline(curve.points.copy(), min(TREND[1], width - NARROWEST + TREND[0])), "blue"))
    return line
