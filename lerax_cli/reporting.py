"""`lerax report`."""

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from lerax.errors import SettingError
from lerax.runs import CONFIG, Run

from . import forms, naming, words
from .compare import NAMED, By, Runs, named_again
from .report import BadInput, Failure, entry, result, say
from .values import Out, Overwrite, check_free

NAMES = {"y": "--y", "by": "--by", "output": "-o"}  # of what is refused
FILE = "report.html"


def report(
    runs: Runs,
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="FILE", help="A page that ends in .html, or a text that ends in .md."
        ),
    ] = FILE,
    y: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TAG",
            help="What curves are of, as metrics.jsonl calls it; may be repeated; the return.",
            autocompletion=words.tags,
        ),
    ] = None,
    by: By = None,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="What stands above it.")] = None,
    overwrite: Overwrite = False,
    out: Out = "logs",
) -> None:
    """Write a report on trainings: scores, curves, settings and videos in one file; prints its path."""
    from lerax.report import contents, write_report
    from lerax.study.groups import contestants

    try:
        groups, left_out = contestants(runs, out, by or [])
        path = _place(output, overwrite)
        found = contents(groups, left_out, title=title or "", tags=y or [], by=by or [], again=_again)
    except SettingError as error:
        raise BadInput(NAMES.get(error.name, "RUN"), error.reason) from None
    for line in found.problems:
        say(f"lerax: warning: {line}")
    try:
        written = write_report(path, found, groups)
    except OSError as error:
        raise Failure("-o", f"{output} cannot be written ({error.strerror})") from None
    entry("size", forms.size(written.size))
    if written.beside:
        entry("beside", ", ".join(map(str, written.beside)))
    if path.suffix.lower() == ".md":
        entry("next", f"lerax report {named_again(runs, out)} -o {quote(str(path.with_suffix('.html')))}")
    else:
        entry("next", f"open {path.resolve().as_uri()} in a browser")
    result(output)


def _place(output: str, overwrite: bool) -> Path:
    """Where the file goes, if it can go there, as far as names tell."""
    from lerax.report.write import check_place, pictures_of

    path = check_place(output)
    if "\0" in output or "://" in output:
        raise BadInput("-o", f"not the name of a file (got {output!r})")
    check_free(output, overwrite)
    for beside in pictures_of(path):
        check_free(beside, overwrite)
    if not path.parent.is_dir():
        raise BadInput("-o", f"in no folder that there is (got {output!r})")
    return path


def _again(run: Run) -> str:
    """The command that trains as a run was trained."""
    from lerax.study.groups import settings_of

    settings = settings_of(run)
    names = (str(settings.get(key, "")) for key in NAMED)
    return naming.training_again(names, run.path / CONFIG)
