"""What stands at the axes of curves."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from .curves import STEPS, Curves

LABELS = {
    "episode/return": "return of training episodes",
    "episode/length": "steps of training episodes",
    "eval/return": "return of evaluations",
    "eval/length": "steps of evaluations",
    "time/steps_per_second": "environment steps per second",
    "time/elapsed": "time (s)",
}
TIMES = ((7200.0, 3600.0, "h"), (300.0, 60.0, "min"))  # from so many seconds on, the unit
LARGE = ((10**9, "G"), (10**6, "M"), (10**3, "k"))


class Axis(NamedTuple):
    """An axis of steps or time.

    Attributes:
        label: What it is, with its unit.
        unit: The unit, in steps or seconds.
    """

    label: str
    unit: float

    @staticmethod
    def text(value: float, digits: int = 6) -> str:
        """A number at the axis, in a few letters: `20k`."""
        for size, letter in LARGE:
            if abs(value) >= size:
                return f"{value / size:.{digits}g}{letter}"
        return f"{value:.{digits}g}"

    @staticmethod
    def texts(at: Sequence[float]) -> list[str]:
        """Numbers at the axis; of one by itself, which is no round one, not all digits."""
        return [Axis.text(value, 6 if len(at) > 1 else 4) for value in at]


def axis_of(curves: Curves) -> Axis:
    """The axis along which curves are drawn."""
    if curves.axis == STEPS:
        return Axis("environment steps", 1.0)
    longest = max(curve.x[-1] for panel in curves.panels.values() for curve in panel)
    unit, word = next(((unit, word) for least, unit, word in TIMES if longest >= least), (1.0, "s"))
    return Axis(f"time ({word})", unit)


def round_step(low: float, high: float, count: int) -> float:
    """A step of 1, 2 or 5, or of that with zeros, of which about so many lie between two numbers."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)


def ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers between two, about so many; where these are the same, that one."""
    if not low < high:
        return [low]
    step = round_step(low, high, count)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


def label_of(tag: str) -> str:
    """What a tag is; most say so themselves."""
    return LABELS.get(tag, tag)


def plain(text: str) -> str:
    """Without what is no letter, and would steer a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
