"""`lerax watch`."""

import time
from typing import Annotated

import typer

from lerax import runs as found
from lerax.backend import ConsoleBackend
from lerax.backend.dashboard import ELAPSED
from lerax.backend.jsonl import METRICS, RecordReader
from lerax.runs import LIVES, Run
from lerax.settings import Limits, Setting

from . import about_run, naming, report
from .forms import since
from .report import Failure, Interrupted
from .runs import RunName
from .signals import Signals
from .train import Debug, Progress
from .values import Out, option

INTERVAL = Setting("interval", 1.0, "", Limits(at_least=0.1, at_most=3600.0))


def watch(
    run: RunName,
    out: Out = "logs",
    once: Annotated[bool, typer.Option("--once", help="Show what there is now, and end.")] = False,
    interval: Annotated[float, option(INTERVAL, "Seconds between two looks at the files.", "SECONDS")] = 1.0,
    progress: Progress = "auto",
    debug: Debug = False,
) -> int:
    """Show the dashboard of a run from its files, while it trains or afterwards."""
    watched = Watched(naming.find_run("RUN", run, out), progress)
    watched.look()
    code = 0
    if once or watched.run.status != LIVES:
        watched.console.show_once(watched.run.name)
    else:
        try:
            watched.follow(interval)
        except Interrupted as stop:
            code = stop.code
    if count := watched.damaged:
        lines = f"{count:,} line{'s' * (count > 1)} of its {METRICS}"
        report.say(f"lerax: warning: {watched.run.path}: {lines} cannot be read and stay out")
    if not code and watched.run.status != LIVES:
        report.say(f"lerax: {_ending(watched.run)}")
        if not watched.run.can_go_on:
            for way in about_run.ways_on(watched.run)[:1]:
                report.entry("next", way)
    return code


class Watched:
    """A run and its dashboard. Its files are only read.

    Args:
        run: The run.
        progress: As for `ConsoleBackend`.

    Attributes:
        run: What was known of it when it was last looked at.
        console: The dashboard.
    """

    def __init__(self, run: Run, progress: str):
        self.run = run
        self.console = ConsoleBackend(progress, device=run.device, files=str(run.path))  # type: ignore[arg-type]
        self.console.on_training_start(run.total, 0)
        self._reader = RecordReader(run.path / METRICS)
        self._elapsed, self._news_at = 0.0, time.monotonic()

    @property
    def damaged(self) -> int:
        """How many lines of its metrics were left out."""
        return self._reader.damaged

    def look(self) -> bool:
        """Takes over what is new in the files; whether anything is.

        Raises:
            Failure: They cannot be read, or are damaged.
        """
        self.run = found.read(self.run.path)  # first: what comes after it may be read, and is not missed
        if self.run.problem:
            raise Failure(str(self.run.path), self.run.problem)
        anew, records = self._reader.read()
        if anew:
            self.console.forget()
        lives, news = self.run.status == LIVES, False
        for step, scalars in records:
            self.console.log_scalars(scalars, step)
            self._elapsed = scalars.get(ELAPSED, self._elapsed)
            news, self._news_at = True, time.monotonic()
        if news or not lives:
            self.console.log_phase("training" if lives else self.run.status)
        quiet = time.monotonic() - self._news_at if lives else 0.0
        self.console.elapsed(self._elapsed + quiet if self.run.spent is None else self.run.spent)
        return news

    def follow(self, interval: float) -> None:
        """Shows the run until it has ended.

        Args:
            interval: Seconds between two looks.

        Raises:
            Interrupted: A signal came.
        """
        with Signals(quiet=True) as signals:
            signals.at_once = self.console.give_back
            signals.rest_with(self.console.rest)
            signals.hold()
            self.console.open(self.run.name)
            try:
                self.console.flush()
                while self.run.status == LIVES:
                    signals.release()
                    time.sleep(interval)
                    signals.hold()
                    if self.look():
                        self.console.flush()
            finally:
                signals.hold()
                self.console.leave() if self.run.status == LIVES else self.console.close()


def _ending(run: Run) -> str:
    """How a run has ended, and how it goes on."""
    last = (
        f"the last sign of life was {since(run.heard)} ago"
        if run.status == "died"
        else f"{since(run.heard)} ago"
    )
    why = f" ({run.reason})" if run.reason else ""
    lost = run.saved_steps < run.steps
    goes_on = f"goes on with it from step {run.saved_steps:,}" if lost else "goes on with it"
    does = "tells why" if run.status == "diverged" else goes_on
    ways = "".join(f"; `{way}` {does}" for way in about_run.ways_on(run)[:1] if run.can_go_on)
    return f"{run.name} {run.status}{why} at step {run.steps:,}, {last}{ways}"
