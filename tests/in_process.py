"""Runs the command in this process, for what it refuses before it imports or compiles much."""

import contextlib
import io
import subprocess
import warnings
from pathlib import Path

from lerax_cli import app

Finished = subprocess.CompletedProcess[str]


def run(*arguments: str, cwd: Path) -> Finished:
    """Runs `lerax` here: its streams are caught, and Python's warnings are afterwards what they were."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        warnings.catch_warnings(),
    ):
        code = app.run(list(arguments))
    return Finished(["lerax", *arguments], code, out.getvalue(), err.getvalue())
