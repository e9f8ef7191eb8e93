"""Curves in a terminal, out of characters, by plotext."""

import textwrap
from typing import Any

from .axis import Axis, axis_of, label_of, plain, ticks
from .curves import EVERY_ENV, Curve, Curves

MARKERS = ("braille", "o", "x", "+", "*", "#", "s", "v")  # of lines without colours
DOTS = "\u28ff"  # what the first shows as
COLORS = ("blue+", "orange+", "green+", "red+", "magenta+", "cyan+", "gray+", "yellow")
LEAST = 10  # lines of a panel: what is more than the terminal has goes over its edge
NARROWEST = 40
TICKS = 5


def draw(curves: Curves, width: int, height: int, *, colored: bool, title: str = "") -> str:
    """Curves as lines of text: a panel for each environment, one below the other.

    Bands are not drawn, since lines could not be told from them: where each line ends stands below, with its
    interval, and with what it is drawn of, because in a narrow terminal a panel has no room to say it.

    Args:
        curves: The curves.
        width: Characters in a line.
        height: Lines of all, where there is room for them.
        colored: Whether lines are told apart by colours, else by what they are made of.
        title: What stands above all; "" for nothing.
    """
    import plotext

    width = max(width, NARROWEST)
    names = list(dict.fromkeys(curve.name for panel in curves.panels.values() for curve in panel))
    below = [*_wrapped(curves.caption("intervals"), width), *_ends(plotext, curves, names, width, colored)]
    above = _wrapped(title, width)
    room = max((height - len(below) - len(above)) // len(curves.panels), LEAST)
    x = axis_of(curves)
    drawn = []
    for env, panel in curves.panels.items():
        head = " of ".join(filter(None, (label_of(curves.tag), env if env != EVERY_ENV else "")))
        heads = [line.center(width).rstrip() for line in _wrapped(head, width)]
        drawn += [*heads, *_panel(plotext, panel, x, names, width, room - len(heads), colored)]
    return "\n".join([*above, *drawn, *below])


def _panel(
    plotext: Any,
    panel: list[Curve],
    x: Axis,
    names: list[str],
    width: int,
    height: int,
    colored: bool,
) -> list[str]:
    """One panel; the module keeps what is drawn, until it is cleared."""
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plot_size(width, height)
    for curve in panel:
        place = names.index(curve.name)
        how: dict[str, Any] = {"marker": MARKERS[0 if colored else place % len(MARKERS)]}
        how |= {"color": COLORS[place % len(COLORS)]} if colored else {}
        label = f"{plain(curve.name)} ({curve.runs} seed{'s' * (curve.runs > 1)})"
        plotext.plot((curve.x / x.unit).tolist(), curve.value.tolist(), label=label, **how)
    low = min(float(curve.x[0]) for curve in panel) / x.unit
    high = max(float(curve.x[-1]) for curve in panel) / x.unit
    at = ticks(low, high, TICKS)
    plotext.xticks(at, x.texts(at))
    values = [value for curve in panel for value in (float(curve.value.min()), float(curve.value.max()))]
    at = ticks(min(values), max(values), height // 3)
    plotext.yticks(at, x.texts(at))
    plotext.xlabel(x.label)
    text = plotext.build()
    plotext.clear_figure()
    return (text if colored else plotext.uncolorize(text)).rstrip("\n").split("\n")


def _ends(plotext: Any, curves: Curves, names: list[str], width: int, colored: bool) -> list[str]:
    """Where each line ends, with the interval there."""
    lines = []
    for env, panel in curves.panels.items():
        for curve in panel:
            low, high = curve.low[-1], curve.high[-1]
            band = f", {low:.4g} to {high:.4g}" if low == low else ""
            where = f" on {env}" if env != EVERY_ENV and len(curves.panels) > 1 else ""
            place = names.index(curve.name)
            mark = MARKERS[place % len(MARKERS)] if place % len(MARKERS) and not colored else DOTS
            text = f"{curve.name}{where}: {curve.value[-1]:.4g}{band} at the end"
            first, *more = _wrapped(text, width - len(mark) - 1)
            mark = plotext.colorize(mark, COLORS[place % len(COLORS)]) if colored else mark
            lines += [f"{mark} {first}", *(f"  {line}" for line in more)]
    return lines


def _wrapped(text: str, width: int) -> list[str]:
    """A text in lines, none of which ends within a number."""
    return textwrap.wrap(plain(text), width, break_on_hyphens=False)
