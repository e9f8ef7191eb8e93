"""The dashboard in a notebook: HTML that a cell shows and that is replaced in place, without widgets.

IPython is not imported: where code runs in a notebook, its kernel has done that already.
"""

import secrets
import sys
import threading
import time
from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from .chart import resampled, sparkline
from .dashboard import ENDS, TREND, Shown, curve_of, groups_of, measures, short, what_matters

SECONDS = 0.25  # between two pictures, at least
ROWS = 60  # of the table; more are counted
POINTS, CURVE_SIZE = 160, (640, 120)  # of the curve, and its pixels
# Colours of text are those of the page; these are to be seen on white and on black.
BAR_COLOR, TREND_COLOR = "#2da44e", "#4a8fe7"
PHASE_COLORS = {"green": "#2da44e", "yellow": "#c98a00", "red": "#e0524a"}
CELL = "padding:1px 14px 1px 0;text-align:left;background:none;border:none"
SOFT = "opacity:.75"

Bundle = Mapping[str, str]
"""One thing in several forms, by their MIME types."""


def shell() -> Any:
    """IPython's shell where this runs in a notebook's kernel; None elsewhere, also in IPython's terminal."""
    get = getattr(sys.modules.get("IPython"), "get_ipython", None)
    found = None if get is None else get()
    return None if getattr(found, "kernel", None) is None else found


class Display:
    """An output of the cell that is running, replaced in place: a notebook's file holds the last one alone.

    It is sent at most once in `SECONDS`. What comes sooner is sent when that time is over, on another thread:
    the last picture is never lost, and nothing is sent where nothing happens.

    Args:
        bundle: Makes what is to be shown now.
    """

    def __init__(self, bundle: Callable[[], Bundle]):
        self._bundle = bundle
        self._id = f"lerax-{secrets.token_hex(8)}"
        self._lock = threading.Lock()
        self._sent: float | None = None  # when, on the clock of `time.monotonic`
        self._timer: threading.Timer | None = None

    def update(self) -> None:
        """Shows what there is now, or soon."""
        with self._lock:
            wait = 0.0 if self._sent is None else self._sent + SECONDS - time.monotonic()
            if wait <= 0:
                self._send()
            elif self._timer is None:
                self._timer = threading.Timer(wait, self._late)
                self._timer.daemon = True
                self._timer.start()

    def finish(self) -> None:
        """Shows what there is now, at once."""
        with self._lock:
            self._send()

    def _late(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._send()

    def _send(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if (there := shell()) is not None:
            data, transient = dict(self._bundle()), {"display_id": self._id}
            is_first, self._sent = self._sent is None, time.monotonic()
            there.display_pub.publish(data, {}, transient=transient, update=not is_first)


def as_html(shown: Shown, now: float) -> str:
    """The dashboard: name, progress, the curve of the return, and a table of the latest values."""
    color = PHASE_COLORS[ENDS.get(shown.phase, "yellow")]
    phase = f' &nbsp; <span style="color:{color}">&#9679;</span> {escape(shown.phase)}'
    device = f' &nbsp; <span style="{SOFT}">{escape(shown.device)}</span>' if shown.device else ""
    return titled(shown.name, bar(shown, now), _curve(shown), _table(shown), beside=phase + device)


def titled(title: str, *parts: str, beside: str = "") -> str:
    """HTML under a title, with more HTML beside that."""
    return f"<div><div><b>{escape(title)}</b>{beside}</div>{''.join(parts)}</div>"


def bar(shown: Shown, now: float) -> str:
    """How much is done, with times, steps and speed."""
    part, percent, gone, left, steps, speed = measures(shown, now)
    words = (percent.strip(), f"{gone} elapsed", left and f"{left} left", steps, speed)
    said = " &nbsp; ".join(escape(word) for word in words if word)
    style = f"width:100%;max-width:{CURVE_SIZE[0]}px;accent-color:{BAR_COLOR}"
    return f'<progress value="{part:.4f}" max="1" style="{style}"></progress><div>{said}</div>'


def _curve(shown: Shown) -> str:
    """The curve of the return as a drawing that takes the page's colour; "" where there is none."""
    points = curve_of(shown)
    if len(points) < 2:
        return ""
    width, height = CURVE_SIZE
    values = list(enumerate(resampled(points, POINTS)))
    low, high = min(y for _, y in values), max(y for _, y in values)
    down = lambda y: (high - y) / (high - low) * (height - 8) + 4 if high > low else height / 2
    line = " ".join(f"{i * width / (POINTS - 1):.0f},{down(y):.1f}" for i, y in values)
    drawn = f'<polyline points="{line}" fill="none" stroke="{BAR_COLOR}" stroke-width="2"/>'
    said = f"{shown.caption}, from {short(low)} to {short(high)}"
    svg = f'<svg viewBox="0 0 {width} {height}" style="width:100%;max-width:{width}px;display:block">'
    return f'<div style="{SOFT};margin-top:6px">{escape(said)}</div>{svg}{drawn}</svg>'


def _table(shown: Shown) -> str:
    """The latest values, each with its trend."""
    scalars = shown.scalars.copy()
    tags = [[tag] for group in groups_of(scalars, narrow=False) for tag in group]
    rows = "".join(_row(tag, scalars[tag], shown) for (tag,) in what_matters(tags, ROWS))
    more = f'<div style="{SOFT}">and {len(tags) - ROWS} more</div>' if len(tags) > ROWS else ""
    return f'<table style="margin:6px 0;border:none">{rows}</table>{more}' if rows else ""


def _row(tag: str, value: float, shown: Shown) -> str:
    curve = shown.curves.get(tag)
    trend = sparkline(curve.points.copy(), TREND[1]) if curve else ""
    return (
        f'<tr style="background:none"><td style="{CELL}">{escape(tag)}</td>'
        f'<td style="{CELL};text-align:right;font-variant-numeric:tabular-nums"><b>{short(value)}</b></td>'
        f'<td style="{CELL};color:{TREND_COLOR};font-family:monospace">{trend}</td></tr>'
    )
