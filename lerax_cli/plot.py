"""`lerax plot`."""

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lerax.errors import SettingError
from lerax.files import is_terminal
from lerax.settings import Limits, Setting

from . import report, words
from .compare import By, Runs, named_again
from .report import BadInput, Failure
from .values import Out, Overwrite, check_free, option

if TYPE_CHECKING:
    from lerax.study.curves import Curves

AXIS = Setting("x", "steps", "", Limits(choices=("steps", "time")))
BESIDE = 2  # lines of a terminal: what one would do next, and the prompt
NAMES = {"y": "--y", "by": "--by", "smooth": "--smooth", "output": "-o"}  # of what is refused


def plot(
    runs: Runs,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="A picture that ends in .svg, .png or .pdf; else the terminal.",
        ),
    ] = None,
    x: Annotated[str, option(AXIS, "What is on the x axis.")] = "steps",
    y: Annotated[
        str | None,
        typer.Option(
            metavar="TAG",
            help="What is on the y axis, as metrics.jsonl calls it; episode/return, else eval/return.",
            autocompletion=words.tags,
        ),
    ] = None,
    by: By = None,
    smooth: Annotated[
        str, typer.Option(metavar="WIDTH", help="Mean over so many steps or seconds, or a part such as 5%.")
    ] = "none",
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="What stands above it.")] = None,
    overwrite: Overwrite = False,
    out: Out = "logs",
) -> None:
    """Plot what runs have logged: a line for each training, with a band over its seeds."""
    from lerax.study import picture
    from lerax.study.curves import curves, read_smoothing
    from lerax.study.groups import contestants

    try:
        if output is not None:
            _check_place(output, overwrite)
        groups, left_out = contestants(runs, out, by or [])
        for line in left_out:
            report.say(f"lerax: warning: {line}")
        found = curves(groups, tag=y or "", axis=x, by=by or [], smooth=read_smoothing(smooth))
    except SettingError as error:
        raise BadInput(NAMES.get(error.name, "RUN"), error.reason) from None
    for line in found.problems:
        report.say(f"lerax: warning: {line}")
    again = named_again(runs, out)
    if output is None:
        _show(found, title or "")
        report.entry("next", f"lerax plot {again} -o curves.png")
        return
    try:
        picture.draw(found, output, title=title or "")
    except OSError as error:
        raise Failure("-o", f"{output} cannot be written ({error.strerror})") from None
    report.entry("shows", found.caption())
    report.entry("next", f"lerax compare {again}")
    report.result(output)


def _check_place(output: str, overwrite: bool) -> None:
    """Raises: BadInput, Failure, SettingError: No picture can be made there, as far as names tell."""
    from lerax.study import picture

    picture.check_place(output)
    check_free(output, overwrite)
    if not Path(output).parent.is_dir():
        raise BadInput("-o", f"in no folder that there is (got {output!r})")
    if find_spec(picture.NEEDED) is None:
        raise Failure("lerax plot", f"{picture.NEEDED} missing; {picture.INSTALL}")


def _show(found: "Curves", title: str) -> None:
    """Draws into the terminal, or the file that standard output is."""
    from lerax.study import terminal

    size = shutil.get_terminal_size()
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    colored = is_terminal(sys.stdout) and not plain
    text = terminal.draw(found, size.columns, size.lines - BESIDE, colored=colored, title=title)
    if colored:
        print(text, flush=True)  # with what steers colours, which a result is not to have
    else:
        report.result(text)
