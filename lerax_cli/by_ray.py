"""`lerax sweep --ray`: Ray Tune says where the trials are trained; this process shows and ends it.

Ray has a process of its own, whose words go to a file: it writes to standard output and hooks into signals.
"""

import contextlib
import functools
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from lerax import cores
from lerax.backend.sweep import SweepConsole
from lerax.files import SWEEP, parse_toml
from lerax.processes import python
from lerax.sweep.ranking import Row, ranking
from lerax.sweep.study import Sweep

from . import naming, report, standings
from .parsing import without
from .report import Failure
from .signals import Signals
from .sweeping import ended
from .swept import TABLE, Wanted

FOLDER, LOG = "ray", "ray.log"  # in the sweep's directory; in that of a start
LOOK_SECONDS = 0.5
CONNECT_SECONDS = 120.0  # in which a Ray has to be there
OWN = ("--ray", "--count", "--progress", "--device", "--time-limit")  # of this command, not of what trains
OWN_FLAGS = ("--json", "--quiet", "-q")


def work(
    wanted: Wanted,
    words: Sequence[str],
    warned: report.Warnings,
    began: float,
    *,
    address: str,
    count: int | None,
    device: str,
    progress: str,
    time_limit: float | None,
    json: bool,
    quiet: bool,
) -> int:
    """Has Ray work on a sweep until no trial is left to begin; returns the exit code.

    Args:
        wanted: What is swept.
        words: What stood behind `lerax sweep`.
        warned: The warnings.
        began: When the command began, of `time.monotonic`.
        address: Which Ray: `local`, `auto` or HOST:PORT.
        count: Trials that it begins at the most; None for all.
        device: What to train on.
        progress: How to show progress.
        time_limit: Seconds after which all saves and ends.
        json: Whether the outcome is printed as JSON.
        quiet: Whether nothing but warnings and errors is shown.
    """
    mode: Any = progress
    console = SweepConsole(mode)
    own = without(words, OWN, OWN_FLAGS)
    until = began + time_limit if time_limit is not None else None
    with Signals(quiet=quiet) as signals:
        signals.at_once = console.give_back
        signals.rest_with(console.rest)
        try:
            name = naming.written(wanted.base.algorithm.name)
            console.announce(f"sweep of {name} on {naming.written(wanted.base.env.name)}", "importing", None)
            path = _made(own, console)
            there = parse_toml((path / SWEEP).read_text())[TABLE]["trials"]
            trials = wanted.at_least or there
            sweep = Sweep(path, wanted.plan.of(trials))
            console.watch(path.name, functools.partial(standings.standing, sweep))
            signals.hold()
            signals.phase = "training"  # as far as it says when that will end
            folder = _folder(path)
            job: dict[str, Any] = {
                "address": address,
                "sweep": str(path.absolute()),
                "folder": str(folder.absolute()),
                "at": os.getcwd(),
                "words": ["sweep", "--count", "1", "--progress", "plain", "--device", device, *own],
                "trials": trials,
                "most": count,
                "cpus": min(len(wanted.plan.seeds), cores.count()),
                "gpus": int(device == "gpu"),
                "cores": cores.count(),
            }
            failure = Placing(sweep, job, folder / LOG, console, signals, warned, until).work()
        finally:
            console.dismiss()
        console.close()
        received = signals.received
    if failure is not None:
        raise Failure("--ray", f"{failure} (Ray's log: {folder / LOG}); the same command goes on")
    is_up = until is not None and time.monotonic() >= until
    complete = len(sweep.trials()) >= trials
    status = "interrupted" if received is not None else "finished" if complete and not is_up else "paused"
    return ended(sweep, status, received, warned, json=json, quiet=quiet)


def _made(words: Sequence[str], console: SweepConsole) -> Path:
    """Has a worker that trains nothing make or join the sweep, which takes JAX; returns the directory.

    Raises:
        typer.Exit: It has said what is wrong.
    """
    command, environment = python("-m", "lerax_cli", "sweep", "--count", "0", "--device", "cpu", "-q", *words)
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if done.returncode:
        console.dismiss()
    for line in os.fsdecode(done.stderr).splitlines():
        report.say(line)
    if done.returncode:
        raise typer.Exit(done.returncode if done.returncode > 0 else 1)
    return Path(os.fsdecode(done.stdout.removesuffix(b"\n")))


def _folder(path: Path) -> Path:
    """Makes the folder of this start.

    Raises:
        Failure: It cannot be written.
    """
    now = time.strftime("%Y%m%d-%H%M%S")
    folder = path / FOLDER / f"{now}-{os.getpid()}"
    try:
        folder.mkdir(parents=True)
        (folder / "stop").touch()
    except OSError as error:
        raise Failure("--out", f"cannot be written (got {str(folder)!r}): {error.strerror}") from None
    return folder


class Placing:
    """Ray's process at work, and what is shown of it.

    Args:
        sweep: The sweep.
        job: What it is to do, as `ray_trials.Job` has it.
        log: Where its words go.
        console: What shows the sweep.
        signals: The signals, held back.
        warned: The warnings.
        until: When the time is up, of `time.monotonic`; None for never.
    """

    def __init__(
        self,
        sweep: Sweep,
        job: dict[str, Any],
        log: Path,
        console: SweepConsole,
        signals: Signals,
        warned: report.Warnings,
        until: float | None,
    ):
        self._sweep, self._job, self._log = sweep, job, log
        self._console, self._signals, self._warned, self._until = console, signals, warned, until
        self._known = {row.trial: row.state for row in ranking(sweep.trials())}
        self._is_connected = False
        self._failure: str | None = None

    def work(self) -> str | None:
        """Waits until it has ended; why it could not go on, None where all is well."""
        command, environment = python("-m", "lerax_cli.ray_trials", json.dumps(self._job))
        with open(self._log, "ab") as log:
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for this process alone
            )
        self._signals.at_once = lambda: self._end_at_once(process)
        assert process.stdin is not None and process.stdout is not None
        answers, text = process.stdout.fileno(), b""
        began, is_to_end = time.monotonic(), False
        while True:
            if select.select([answers], [], [], LOOK_SECONDS)[0]:
                if not (more := os.read(answers, 65_536)):
                    break
                *lines, text = (text + more).split(b"\n")
                for line in lines:
                    self._hear(json.loads(line))
            self._tell()
            now = time.monotonic()
            if not self._is_connected and now > began + CONNECT_SECONDS:
                self._failure = f"no Ray has answered within {CONNECT_SECONDS:g} s"
            is_up = self._until is not None and now >= self._until
            if is_to_end or not (is_up or self._signals.received is not None or self._failure):
                continue
            is_to_end = True
            if self._is_connected:
                process.stdin.close()  # it is to stop, as it does at the end of this process, too
            else:
                self._kill(process)  # there is nothing to save, and it may wait for ever
        code = process.wait()
        process.stdin.close()
        process.stdout.close()
        if code < 0:
            self._kill(process)  # parts of Ray that would wait a minute for it
        self._tell()
        if code and self._failure is None and not is_to_end:
            return f"Ray's process has ended with exit code {code}"
        return self._failure

    def _kill(self, process: "subprocess.Popen[bytes]") -> None:
        """Ends Ray's process, and what belongs to it; trials end with it, and save what they can."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def _end_at_once(self, process: "subprocess.Popen[bytes]") -> None:
        self._console.give_back()
        self._kill(process)

    def _hear(self, said: dict[str, str]) -> None:
        """What Ray's process tells."""
        if "warning" in said:
            self._warned.say(said["warning"])
        self._failure = self._failure or said.get("failure")
        self._is_connected |= "connected" in said

    def _tell(self) -> None:
        """Says which trials have begun and ended since it was asked last, whoever trains them."""
        for row in ranking(self._sweep.trials()):
            before = self._known.get(row.trial)
            if before is None and not row.settings and row.state == "running":
                continue  # they are being drawn
            if before is None:
                self._console.tell({"trial": row.trial, "phase": "training"} | row.settings)
            if row.state != before:
                self._known[row.trial] = row.state
                if row.state != "running":
                    self._end(row)

    def _end(self, row: Row) -> None:
        score = {"score": row.score} if row.score is not None else {}
        self._console.end_trial({"trial": row.trial, "state": row.state} | score)
        if row.state == "failed":
            report.say(f"lerax: trial {row.trial} has failed: {row.reason}")
