"""`lerax eject`."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from lerax.errors import SettingError
from lerax.files import write_atomically
from lerax.names import UnknownName
from lerax.runs import CONFIG, LoadedRun

from . import continued, naming, report
from .report import BadInput, Failure, Interrupted
from .runs import RunName
from .signals import Signals
from .train import Debug, Quiet, Trust
from .values import Out, Overwrite, check_free

FILE = "train.py"


def eject(
    run: RunName,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE.py", help="The file of the program.")
    ] = FILE,
    overwrite: Overwrite = False,
    trust: Trust = None,
    out: Out = "logs",
    debug: Debug = False,
    quiet: Quiet = False,
) -> int:
    """Write a program in Python that trains as a run was trained, bit for bit; prints its path."""
    warned = report.Warnings()
    warned.install()
    found = continued.read(run, out, "RUN")
    classes = trust or []
    continued.trusted(found, classes)
    path = _place(output, overwrite)
    try:
        with Signals(quiet=quiet) as signals:
            signals.hold()  # compiled modules crash where an exception ends their import
            text, name = _written(LoadedRun(found.run, classes), out, path)
            signals.release()
            try:
                write_atomically(path, text.encode())
            except OSError as error:
                raise Failure("-o", f"{path} cannot be written ({error.strerror})") from None
    except Interrupted as stop:
        report.say(f"lerax: stopped by a signal (exit {stop.code}); no file was written")
        return stop.code
    if "branched_from" in found.run.facts:
        warned.say(f"{found.path} branched off from another run; {path} trains from the beginning")
    if not quiet:
        report.entry("logs", str(Path(out, name)))
        report.entry("next", f"python {shlex.quote(str(path))}")
    report.result(str(path))
    return 0


def _place(text: str, overwrite: bool) -> Path:
    """Where the file goes, if it can go there, as far as names tell."""
    path = Path(text)
    if path.suffix != ".py" or "://" in text or "\0" in text:
        raise BadInput("-o", f"not the name of a file that ends in .py (got {text!r})")
    check_free(text, overwrite)
    return path


def _written(run: LoadedRun, out: str, path: Path) -> tuple[str, str]:
    """The program, and what it calls its training."""
    from lerax import eject as library

    config = str(run.path / CONFIG)
    try:
        with naming.looking_here(run.trust):
            return library.script(run, folder=out, beside=path.parent), library.name_of(run)
    except SettingError as error:
        raise Failure(config, str(error)) from None
    except (UnknownName, ImportError, TypeError) as error:
        raise Failure(config, str(error)) from error
    except (Exception, SystemExit) as error:  # others' code may raise what it likes
        raise Failure(config, f"{type(error).__name__}: {error}") from error
