"""`lerax runs`: a list of them, all that is known of one, and the removal of those that can go."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from lerax import runs as found
from lerax.files import is_terminal
from lerax.runs import Run
from lerax.settings import Limits, Setting

from . import about_run, naming, report, words
from .forms import score, since, size, steps
from .report import BadInput, Interrupted
from .values import Out, option, read_time

KEPT = Setting("keep_best", 0, "", Limits(at_least=1, at_most=2**31 - 1))

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
RunName = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="Its path, its name in the folder of runs or how that begins, `latest` or `best:ENV`.",
        autocompletion=words.runs,
    ),
]
OwnOut = Annotated[str | None, typer.Option(metavar="DIR", help="Folder that holds the runs; logs.")]


def runs(
    context: typer.Context,
    out: Out = "logs",
    status: Annotated[
        str | None,
        typer.Option(
            metavar="S[,S]", help="Only those of this status.", autocompletion=words.begin(found.STATUSES)
        ),
    ] = None,
    env: Annotated[
        str | None,
        typer.Option(metavar="ENV", help="Only those of this environment.", autocompletion=words.envs),
    ] = None,
    json: Json = False,
) -> None:
    """List the runs in a folder, show all that is known of one, or remove those that can go."""
    if context.invoked_subcommand is not None:
        return
    wanted = _statuses(status)
    listed = [
        run
        for run in found.runs_in(_folder(out))
        if run.status in (wanted or [run.status]) and (env is None or run.env.casefold() == env.casefold())
    ]
    if json:
        report.result_json([about_run.row(run) for run in listed])
        return
    _table(listed)
    if not listed:
        report.say(f"lerax: there is no such run in {out}")


def show(context: typer.Context, run: RunName, out: OwnOut = None, json: Json = False) -> None:
    """Show all that is known of a run, and how to go on with it."""
    one = naming.find_run("RUN", run, _out(context, out))
    told = about_run.tell(one)
    if json:
        report.result_json(told)
    else:
        report.result("\n".join(about_run.lines(told)))


def prune(
    context: typer.Context,
    out: OwnOut = None,
    keep_best: Annotated[
        int | None, option(KEPT, "Of each environment, keep so many runs of the best score.")
    ] = None,
    older_than: Annotated[
        str | None,
        typer.Option(metavar="AGE", help="Only runs without a sign of life for so long: 12h, 30d, 2w."),
    ] = None,
    status: Annotated[
        str | None,
        typer.Option(
            metavar="S[,S]",
            help="Only runs of this status, such as died,failed; else finished,diverged,failed.",
            autocompletion=words.begin(found.STATUSES[1:]),
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be removed.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove without asking.")] = False,
) -> int:
    """Remove runs that have ended; one that lives, and what links lead to, is never touched."""
    if keep_best is None and older_than is None and status is None:
        raise BadInput("prune", "would remove all; give --keep-best, --older-than or --status")
    statuses = _statuses(status)
    if found.LIVES in statuses:
        raise BadInput("--status", f"a run that lives is not removed (got {status!r}); stop it first")
    folder = _folder(_out(context, out))
    if not (dry_run or yes or (is_terminal(sys.stdin) and is_terminal(sys.stderr))):
        raise BadInput("--yes", "missing, and there is no terminal to ask on; give it, or --dry-run")
    everything = found.runs_in(folder)
    going = found.prunable(
        everything,
        keep_best=keep_best or 0,
        older_than=read_time("--older-than", older_than) if older_than is not None else 0.0,
        statuses=statuses or found.OVER,
    )
    _table(going)
    freed = sum(run.size for run in going)
    what = f"{len(going)} of {len(everything)} runs in {folder}, {size(freed)}"
    if dry_run or not going:
        report.say(f"lerax: would remove {what}" if going else f"lerax: nothing to remove in {folder}")
        return 0
    try:
        agreed = yes or _agreed(f"Remove {what}? [y/N] ")
    except Interrupted as stop:
        report.say_lines("\nlerax: nothing was removed")
        return stop.code
    if not agreed:
        report.say("lerax: nothing was removed")
        return 0
    return _remove(going)


SUBCOMMANDS = {"show": show, "prune": prune}


def _remove(going: list[Run]) -> int:
    """Removes runs, and says what that has freed; the exit code."""
    removed, freed, failed = 0, 0, 0
    for run in going:
        taken = run.size  # before it is gone
        try:
            if found.remove(run):
                removed, freed = removed + 1, freed + taken
            else:
                report.say(f"lerax: warning: {run.path} lives again, and stays")
        except OSError as error:
            failed += 1
            report.say(f"lerax: error: {run.path} cannot be removed: {error.filename}: {error.strerror}")
    report.say(f"lerax: removed {removed} run{'s' * (removed != 1)}, {size(freed)} are free again")
    return 1 if failed else 0


def _agreed(question: str) -> bool:
    """Whether somebody at the terminal says yes."""
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _out(context: typer.Context, own: str | None) -> str:
    """The folder of runs, given behind the subcommand's name or before it."""
    before = context.parent.params.get("out") if context.parent else None
    return own or before or "logs"


def _folder(out: str) -> Path:
    if not os.path.isdir(out):
        raise BadInput("--out", f"not a folder (got {out!r}); give the one that holds the runs")
    return Path(out)


def _statuses(text: str | None) -> list[str]:
    """The statuses that are named; none where no option is given."""
    named = [word.strip() for word in text.split(",")] if text is not None else []
    for word in named:
        if word not in found.STATUSES:
            raise BadInput("--status", f"no status (got {word!r}); allowed: {', '.join(found.STATUSES)}")
    return named


def _table(listed: list[Run]) -> None:
    """Runs in columns, if there are any."""
    rows = [("NAME", "ENV", "ALGO", "STATUS", "STEPS", "SCORE", "AGE", "SIZE")]
    for run in listed:
        facts = run.name, run.env, run.algo, run.status
        numbers = steps(run.steps, run.total), score(run.score), since(run.began), size(run.size)
        rows.append((*facts, *numbers))
    if listed:
        report.table(rows, spare=("SIZE", "ALGO", "AGE", "ENV"))
