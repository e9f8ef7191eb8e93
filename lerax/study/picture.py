"""Curves as a picture in a file, by matplotlib."""

import io
import math
import textwrap
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from lerax.errors import SettingError
from lerax.files import write_atomically

from .axis import Axis, axis_of, label_of, plain
from .curves import EVERY_ENV, Curve, Curves

FORMATS = ("svg", "png", "pdf")
NEEDED = "matplotlib"
INSTALL = "pip install 'lerax[plot]'"
SIZE, DPI = (12.0, 8.0), 100  # inches, and pixels of each
WIDTH = 165  # letters of the caption in a line
COLORS = 10  # then lines are dashed
DASHES = ("-", "--", ":", "-.")
SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "lerax",
    "font.size": 12.0,
    "axes.unicode_minus": True,
    "text.parse_math": False,  # names are texts
}  # the same each time
LIGHT = "0.85"
DARK: dict[Any, Any] = dict.fromkeys(
    ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), LIGHT
) | {"figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none"}
GREY, GRID = ("0.3", "0.7"), (LIGHT, "0.3")  # of a light page, of a dark one
BRIGHTER = 0.75  # of what a colour lacks to white, what it still does on a dark page


class MissingExtraError(ImportError):
    """What draws the picture is not installed; the message says what installs it."""


def check_place(path: str | Path) -> str:
    """The format of a picture, from the ending of its name.

    Raises:
        SettingError: It is none that is drawn.
    """
    ending = Path(path).suffix.removeprefix(".").lower()
    if ending not in FORMATS:
        wrong = f"not the name of a file that ends in {', '.join(f'.{name}' for name in FORMATS)}"
        raise SettingError("output", str(path), wrong=wrong)
    return ending


def draw(curves: Curves, path: str | Path, *, title: str = "") -> None:
    """Draws curves: a panel for each environment, a line and a band for each group.

    Args:
        curves: The curves.
        path: The file, which ends in .svg, .png or .pdf. The same curves make the same bytes.
        title: What stands above all; "" for nothing.

    Raises:
        MissingExtraError: matplotlib is not installed.
        SettingError: The file is of another kind.
        OSError: It cannot be written.
    """
    write_atomically(Path(path), drawn(curves, check_place(path), title=title))


def drawn(curves: Curves, form: str, *, title: str = "", dark: bool = False) -> bytes:
    """What `draw` writes, for pages, too.

    Args:
        curves: The curves.
        form: One of `FORMATS`.
        title: What stands above all; "" for nothing.
        dark: Whether it is for a dark page, which shows through it then.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    if find_spec(NEEDED) is None:
        raise MissingExtraError(f"{NEEDED} missing; {INSTALL}")
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(SETTINGS | (DARK if dark else {})):
        figure: Any = Figure(figsize=SIZE, dpi=DPI, layout="constrained")
        columns = math.ceil(math.sqrt(len(curves.panels)))
        rows = math.ceil(len(curves.panels) / columns)
        names = list(dict.fromkeys(curve.name for panel in curves.panels.values() for curve in panel))
        x = axis_of(curves)
        for number, (env, panel) in enumerate(curves.panels.items()):
            axes = figure.add_subplot(rows, columns, number + 1)
            _panel(axes, panel, x, names, dark)
            axes.set_title("" if env == EVERY_ENV else plain(env))
            axes.set_xlabel(x.label)
            axes.set_ylabel(plain(label_of(curves.tag)))
        if title:
            figure.suptitle(title, fontweight="bold")
        figure.supxlabel(textwrap.fill(curves.caption(), WIDTH), fontsize="small", color=GREY[dark])
        picture = io.BytesIO()
        date = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form, {})
        figure.savefig(picture, format=form, metadata=date)
    return picture.getvalue()


def _panel(axes: Any, panel: list[Curve], x: Axis, names: list[str], dark: bool) -> None:
    import matplotlib
    from matplotlib.colors import to_rgb

    colors = matplotlib.color_sequences["petroff10"]
    if dark:  # the deep ones would be hard to see
        colors = [tuple(1 - BRIGHTER * (1 - part) for part in to_rgb(color)) for color in colors]
    lines = []
    for curve in panel:
        place = names.index(curve.name)
        color, dash = colors[place % COLORS], DASHES[place // COLORS % len(DASHES)]
        at = curve.x / x.unit
        mark = {"marker": "o"} if len(at) == 1 else {}
        seeds = f"{curve.runs} seed{'s' * (curve.runs > 1)}"
        lines += axes.plot(
            at,
            curve.value,
            color=color,
            linestyle=dash,
            linewidth=2,
            label=f"{plain(curve.name)} ({seeds})",
            **mark,
        )
        if (known := np.isfinite(curve.low)).any():
            axes.fill_between(at, curve.low, curve.high, color=color, alpha=0.2, linewidth=0)
            alone = known & ~np.append(known[1:], False) & ~np.append(False, known[:-1])
            axes.vlines(at[alone], curve.low[alone], curve.high[alone], color=color, linewidth=2)
    axes.xaxis.set_major_formatter(lambda value, _: x.text(value))
    axes.grid(linewidth=0.5, color=GRID[dark])
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.01)
    labels = [line.get_label() for line in lines]  # said, since it passes over those that begin with _
    axes.legend(lines, labels, frameon=False, fontsize="medium")
