"""The work on a sweep: trial after trial, until there are as many as there are to be."""

import contextlib
import functools
import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from lerax import runs
from lerax.backend.dashboard import CURVE
from lerax.backend.seeds import SeedsConsole
from lerax.backend.sweep import SweepConsole
from lerax.errors import NotFiniteWarning
from lerax.files import SEEDS, SWEEP, UNFINISHED, write_atomically
from lerax.run import joined_name
from lerax.sweep.lock import exclusively
from lerax.sweep.ranking import write_best
from lerax.sweep.study import JOURNAL, LOCK, Sweep
from lerax.sweep.trial import FAILED, FAILED_IN_A_ROW, Trial, Verdict, verdict

from . import continued, naming, options, report, runtime, standings
from .report import BadInput, Failure, Interrupted
from .signals import Signals
from .swept import TABLE, Wanted, layer_of
from .values import Layer, read_file

DIGITS = 8  # of what is swept, in its name
PROGRAMS = 16  # trainings of different form, after which the programs of those before are forgotten
BEGUN = (LOCK, JOURNAL, SWEEP)  # what there is of a sweep before its first trial


def work(
    wanted: Wanted,
    folder: Path,
    name: str | None,
    warned: report.Warnings,
    began: float,
    *,
    device: str,
    progress: str,
    time_limit: float | None,
    count: int | None,
    json: bool,
    quiet: bool,
) -> int:
    """Works on a sweep until there is no trial left to begin; returns the exit code.

    Args:
        wanted: What is swept.
        folder: The folder that holds runs, or that of the sweep.
        name: Name of the sweep; None for the one that is made of what is swept.
        warned: The warnings.
        began: When the command began, of `time.monotonic`.
        device: What to train on.
        progress: How to show progress.
        time_limit: Seconds after which the process saves and ends.
        count: Trials after which the process ends; None for all that there are.
        json: Whether the outcome is printed as JSON.
        quiet: Whether nothing but warnings and errors is shown.
    """
    base = wanted.base
    is_sweep = (folder / SWEEP).is_file()
    if not is_sweep:
        options.check_place(str(folder), name, taken=True)
    if base.nan == "off":
        warned.install(NotFiniteWarning)
    mode: Any = progress
    console = SweepConsole(mode)
    with Signals(quiet=quiet) as signals, contextlib.ExitStack() as stack:
        stack.callback(console.dismiss)
        signals.at_once = console.give_back
        signals.rest_with(console.rest)
        console.announce(
            f"sweep of {naming.written(base.algorithm.name)} on {naming.written(base.env.name)}",
            "importing",
            None,
        )
        signals.hold()  # compiled modules crash where an exception ends their import
        from lerax import provenance

        provenance.begin()  # while JAX is imported
        found = runtime.prepare(device, warned.say)
        from .parts import build

        with contextlib.redirect_stdout(sys.stderr):  # what an environment prints is no result
            content = wanted.content(build(base).config())
            path = folder if is_sweep else folder / (name or usual_name(wanted, content))
            content = _join(path, content, wanted.at_least)
            trials = content[TABLE]["trials"] if wanted.at_least is None else wanted.at_least
            sweep = Sweep(path, wanted.plan.of(trials))
            console.watch(path.name, functools.partial(standings.standing, sweep))
            until = began + time_limit if time_limit is not None else None
            worker = Worker(
                sweep,
                wanted,
                layer_of(str(path / SWEEP), content),
                found,
                console,
                signals,
                warned,
                began,
                until,
                count,
            )
            status = worker.work()
        console.close()
        received = signals.received
    return ended(sweep, status, received, warned, json=json, quiet=quiet)


def ended(
    sweep: Sweep, status: str, received: int | None, warned: report.Warnings, *, json: bool, quiet: bool
) -> int:
    """Says what has come of the work on a sweep; returns the exit code.

    Args:
        sweep: The sweep.
        status: How the work has ended.
        received: The signal that has ended it; None for none.
        warned: The warnings.
        json: Whether the outcome is printed as JSON.
        quiet: Whether nothing but warnings and errors is shown.
    """
    outcome = standings.outcome(sweep, status)
    if json:
        report.result_json(outcome)
    else:
        if not quiet:
            standings.summarize(sweep, outcome)
        report.result(str(sweep.path))
    if status == "interrupted" and received is not None:
        return 128 + received
    counted = outcome["trials"]
    return 1 if warned.lost or (counted["failed"] and counted["failed"] == sum(counted.values())) else 0


def usual_name(wanted: Wanted, content: dict[str, Any]) -> str:
    """What a sweep without a name is called: the same for the same, however many trials there are."""
    table = {key: value for key, value in content[TABLE].items() if key != "trials"}
    text = json.dumps(content | {TABLE: table}, sort_keys=True)
    digits = hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
    names = (naming.label(entry.name) for entry in (wanted.base.algorithm, wanted.base.env))
    return joined_name(*names, after=f"_sweep_{digits}")


def _join(path: Path, content: dict[str, Any], trials: int | None) -> dict[str, Any]:
    """Makes a sweep's directory, or checks that what is there is the same; returns what its file says.

    Args:
        path: The directory.
        content: What its file would say.
        trials: The trials that were asked for now.

    Raises:
        BadInput: Something else is there.
        Failure: It cannot be written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        others = [one for one in os.listdir(path) if one not in BEGUN and not one.endswith(UNFINISHED)]
        if others and not (path / SWEEP).is_file():
            raise BadInput(
                "--name", f"{path} is there already and no sweep (got {min(others)} in it); choose another"
            )
        with exclusively(path / LOCK):
            if (path / SWEEP).is_file():
                there = read_file("SWEEP", str(path / SWEEP))
                _check_same(path, there, content)
                if (trials or 0) <= there[TABLE].get("trials", 0):
                    return there
                content = there | {TABLE: there[TABLE] | {"trials": trials}}
            write_atomically(path / SWEEP, tomli_w.dumps(content).encode())
    except OSError as error:
        raise Failure("--out", f"cannot be written (got {str(path)!r}): {error.strerror}") from None
    return content


def _check_same(path: Path, there: dict[str, Any], content: dict[str, Any]) -> None:
    """Raises: BadInput: A sweep of this name tries something else."""
    old, new = (_flat({TABLE: {"trials": 0}}, one) for one in (there, content))
    for key in (*old, *new):
        if old.get(key) != new.get(key):
            told = f"{path} has {key} = {old.get(key)!r} (got {new.get(key)!r})"
            raise BadInput(
                "--name",
                f"{told}; a sweep goes on with its own settings: choose another name, or leave it out",
            )


def _flat(without: dict[str, Any], content: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """The values of tables in tables by their whole names, but for the trials."""
    found: dict[str, Any] = {}
    for key, value in content.items():
        name = f"{before}{key}"
        if isinstance(value, dict):
            found |= _flat(without, value, f"{name}.")
        elif name != f"{TABLE}.trials":
            found[name] = value
    return found


class Worker:
    """One process at work on a sweep.

    Args:
        sweep: The sweep.
        wanted: What is swept.
        layer: What its file says of all trainings.
        device: The device of JAX.
        console: What shows it.
        signals: The signals, held back.
        warned: The warnings.
        began: When the command began, of `time.monotonic`.
        until: When the time is up, of `time.monotonic`; None for never.
        count: Trials that it begins at the most; None for all.
    """

    def __init__(
        self,
        sweep: Sweep,
        wanted: Wanted,
        layer: Layer,
        device: Any,
        console: SweepConsole,
        signals: Signals,
        warned: report.Warnings,
        began: float,
        until: float | None,
        count: int | None,
    ):
        self._sweep, self._wanted, self._layer, self._device = sweep, wanted, layer, device
        self._console, self._signals, self._warned = console, signals, warned
        self._began, self._until, self._count = began, until, count
        self._seeds = sweep.plan.seeds
        self._broken = 0  # trials in a row that failed while they trained
        self._forms: set[str] = set()

    def work(self) -> str:
        """Trains until there is nothing to begin; `finished`, or `interrupted` or `paused` before that.

        It has paused, too, where it has begun as many trials as it may, and more are to be begun.

        Raises:
            Failure: Nothing can be trained.
        """
        begun = 0
        while True:
            if self._signals.received is not None:
                return "interrupted"
            if self._until is not None and time.monotonic() >= self._until:
                return "paused"
            if begun == self._count:
                is_all = len(self._sweep.trials()) >= self._sweep.plan.trials
                return "finished" if is_all else "paused"
            trial = self._sweep.begin()
            if trial is None:
                return "finished"
            try:
                found = self._train(trial)
                if found is None:
                    return "interrupted" if self._signals.received is not None else "paused"
                self._sweep.finish(trial, found)
            except Interrupted:
                return "interrupted"
            finally:
                self._signals.hold()
                self._signals.at_once = self._console.give_back
                trial.release()
            self._tell(trial, found)
            begun += 1

    def _tell(self, trial: Trial, found: Verdict) -> None:
        """Says how a trial has ended."""
        with self._warned_of_the_disk():
            write_best(self._sweep)
        facts = {"score": found.score} if found.score is not None else {}
        self._console.end_trial({"trial": trial.number, "state": found.state} | facts)
        if found.state == FAILED:
            report.say(f"lerax: trial {trial.number} has failed: {found.facts.get('reason')}")
        if self._broken >= FAILED_IN_A_ROW:
            what = f"{self._broken} trials in a row failed, the last one: {found.facts.get('reason')}"
            raise Failure("sweep", f"{what}; mend that, and the same command goes on")

    @contextlib.contextmanager
    def _warned_of_the_disk(self) -> Any:
        try:
            yield
        except OSError as error:
            self._warned.say(f"{error.filename} is not written: {error.strerror}")

    def _train(self, trial: Trial) -> Verdict | None:
        """Trains a trial, or goes on with it; what came of it, None where it can go on."""
        if trial.taken_over and (known := self._known(trial)):
            return known
        from .parts import build
        from .side_by_side import SideBySide, to_fit

        try:
            group = self._begun(trial)
            plan = self._wanted.training(self._layer, trial.settings, self._warned.say)
            parts = build(plan, to_fit(self._seeds, self._device))
        except Failure as error:
            return Verdict(FAILED, None, {"reason": str(error)})
        if why := parts.algorithm.idle(plan.steps):
            self._warned.say(f"trial {trial.number}: {why}")
        self._forget_programs(trial)
        console = self._console.begin_trial(trial.number, trial.settings, self._seeds, again=trial.taken_over)
        job = SideBySide(
            parts,
            trial.path.parent,
            None,
            self._device,
            console,
            self._signals,
            self._warned,
            self._began,
            next(iter(group.values()), None),
            self._until,
            seeds=self._seeds,
            group=group,
            prune=self._pruning(trial, console),
            at=trial.path,
        )
        outcome = job.run()
        job.tell_losses()
        self._broken = self._broken + 1 if outcome["status"] == "failed" else 0
        return verdict(outcome["seeds"], self._seeds, self._sweep.plan.goal)

    def _known(self, trial: Trial) -> Verdict | None:
        """What came of a trial that another process left, where that is over; None where it goes on."""
        left = runs.seeds_of(trial.path)
        if found := verdict([run.facts for run in left], self._seeds, self._sweep.plan.goal):
            return found
        died = not left or any(run.status in ("died", runs.UNKNOWN) for run in left)
        if died and self._sweep.count_death(trial, sum(run.steps for run in left)):
            return Verdict(FAILED, None, {"reason": "its process has died again and again"})
        return None

    def _begun(self, trial: Trial) -> dict[int, continued.Continued]:
        """The runs of a trial that go on, by seed."""
        from .side_by_side import mark

        if not (trial.path / SEEDS).is_file():
            mark(trial.path, self._seeds)
        found = {
            seed: continued.find(continued.AUTO, str(trial.path), f"seed_{seed}") for seed in self._seeds
        }
        return {seed: run for seed, run in found.items() if run is not None}

    def _pruning(self, trial: Trial, console: SeedsConsole) -> Any:
        """Whether the trial is to end, as each of its trainings asks between two chunks."""
        if self._sweep.plan.pruner == "none":
            return None

        asking, found = threading.Lock(), [False]

        def prune() -> bool:
            with asking:  # one for all seeds
                found[0] = found[0] or judge()
            return found[0]

        def judge() -> bool:
            going = [part.shown for part in console.parts.values() if part.shown.total and part.shown.step]
            values = [shown.scalars[CURVE] for shown in going if CURVE in shown.scalars]
            part = min((shown.step / shown.total for shown in going), default=0.0)
            return self._sweep.is_pruned(trial, values, part)

        return prune

    def _forget_programs(self, trial: Trial) -> None:
        """Gives back the memory of programs, if there were many: whole numbers and words make others."""
        self._forms.add(repr({k: v for k, v in trial.settings.items() if not isinstance(v, float)}))
        if len(self._forms) > PROGRAMS:
            import jax

            self._forms.clear()
            jax.clear_caches()
