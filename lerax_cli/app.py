"""The Typer app, and the one place where errors become exit codes."""

import os
import signal
import sys
import traceback
from typing import Annotated, Any

import typer
from typer._completion_classes import completion_init
from typer.completion import shell_completion

from lerax import __version__
from lerax.ending import end_at_once

from . import distributed
from .parsing import Answer, Group
from .report import Failure, Interrupted, Warnings, hold_streams, lost_result, result, say, say_lines, short
from .signals import interrupt

app = typer.Typer(
    name="lerax",
    cls=Group,
    help="Reinforcement learning on JAX: train, watch and record from the command line.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        result(f"lerax {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Reinforcement learning on JAX: train, watch and record from the command line."""
    Warnings().install()  # commands that count them have their own


def main() -> None:
    """Runs the command and ends the process with its exit code."""
    hold_streams()
    heeds = signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
    if heeds:
        signal.signal(signal.SIGINT, interrupt)
    code = run(sys.argv[1:])
    if heeds:  # all is done: an exception would be reported by whatever Python does last
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    lost = lost_result()
    # After a signal: what XLA still compiles, for half a minute maybe, is not waited for. And no process of
    # several waits for the others where something went wrong.
    if code > 128 or (code and distributed.count() > 1):
        end_at_once(code)
    sys.exit(code or lost)


def run(arguments: list[str]) -> int:
    """Runs the command.

    Returns:
        The exit code: 0, 1, 2, 5 of `eval`, or 128 + the signal's number.
    """
    if "_LERAX_COMPLETE" in os.environ:  # set by the scripts in completions/
        completion_init()
        shell_completion.add_completion_class(Answer, "fish")
    try:
        return int(app(arguments, prog_name="lerax", standalone_mode=False) or 0)
    except typer.Exit as stop:
        return stop.exit_code
    except SystemExit as stop:  # completions end so
        return int(bool(stop.code))
    except Failure as error:
        if "--debug" in arguments:
            traceback.print_exc()
        say(f"lerax: error: {error}")
        return error.code
    except Interrupted as stop:
        say(f"lerax: stopped by a signal (exit {stop.code})")
        return stop.code
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        say(f"lerax: error: {error}")
        return 1
    except Exception as error:
        from lerax.hosted import HostedEnvError  # not for the list of commands

        if isinstance(error, HostedEnvError):
            if "--debug" in arguments:
                say_lines(error.traceback)
            say(f"lerax: error: {error}")
            return 1
        if not hasattr(error, "format_message"):
            raise
        return _refuse(error)


def _refuse(error: Any) -> int:
    """Says what the parser found wrong. Typer does not export the classes of its errors."""
    message = error.format_message()
    if type(error).__name__ == "NoArgsIsHelpError":
        say_lines(message)
    else:
        say(f"lerax: error: {short(' '.join(message.split()))}")
    return error.exit_code
