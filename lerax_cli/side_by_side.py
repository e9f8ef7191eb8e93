"""A training with several seeds: each a run of its own, side by side in one process, compiled once."""

import contextlib
import json
import math
import shutil
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import Any

from lerax import cores, runs
from lerax.algorithm import footprint
from lerax.algorithm.lanes import Lanes
from lerax.backend.seeds import SeedsConsole
from lerax.env.hosted import AbstractHostedEnv
from lerax.files import SEEDS, write_atomically
from lerax.study.statistics import interval, iqm

from . import directory, report
from .continued import Continued
from .job import Job
from .parts import Parts
from .report import Failure, Interrupted
from .signals import Compiling, SeedSignals, Signals
from .summary import summarize_seeds

OF_THE_END = ("evaluation", "solved", "seconds_training")  # in run.json
WORST = ("failed", "diverged", "interrupted", "paused", "pruned", "finished")
POLL_SECONDS = 0.5


class SideBySide:
    """Several trainings that differ in their seed, from the plan to the outcome; it stands in for a `Job`.

    Args:
        parts: What is trained.
        out: The folder that holds the runs.
        name: What all of them are called; None for a generated name.
        device: The device of JAX.
        console: The dashboard, if there is one.
        signals: The signals, held back.
        warned: The warnings.
        began: When the command began, of `time.monotonic`.
        going_on: The first of the runs that go on; None for new ones.
        until: When the time is up, of `time.monotonic`; None for never.
        seeds: The seeds.
        group: The runs that go on, by seed.
        prune: Asked by each whether training is not worth going on with; None where nobody knows.
        at: The directory that the runs are in, if that is there already; then some of them may go on, and the
            others are new.
    """

    def __init__(
        self,
        parts: Parts,
        out: Path,
        name: str | None,
        device: Any,
        console: SeedsConsole | None,
        signals: Signals,
        warned: report.Warnings,
        began: float,
        going_on: Continued | None,
        until: float | None,
        *,
        seeds: Sequence[int],
        group: Mapping[int, Continued],
        prune: Callable[[], bool] | None = None,
        at: Path | None = None,
    ):
        self.parts, self.plan, self.seeds = parts, parts.plan, list(seeds)
        self._out, self._name, self._console = out, name, console
        self._signals, self._warned = signals, warned
        self._group, self._until, self._device, self._began = group, until, device, began
        self._workers = self._at_a_time(lanes := len(self.seeds) > 1 and in_lanes(device, parts.env))
        self._lanes = Lanes(self._workers) if lanes else None
        self._compiling, self._counting, self._started = Compiling(), threading.Lock(), 0
        self._prune, self._at = prune, at
        self.path = at or (going_on.folder if going_on is not None else out)
        self.jobs: dict[int, Job] = {}

    def run(self) -> dict[str, Any]:
        """Trains all, as many at a time as there is room for; returns the outcome as `--json` prints it."""
        new = not self._group and self._at is None
        if new:
            self.path = self._make()
        console = self._console
        if console is not None:
            console.describe(device=self._device.device_kind, files=str(self.path))
            console.expect(self.parts.total_steps)
            console.open(self.path.name)
        try:
            for seed in self.seeds:
                self.jobs[seed] = self._job(seed)
                if seed not in self._group:
                    self.jobs[seed].prepare()
        except BaseException:
            for job in self.jobs.values():
                job.signals.at_once()
            if new:
                shutil.rmtree(self.path, ignore_errors=True)
            raise
        self._signals.at_once = self._abandon
        self._signals.save = self._save
        outcomes = self._train()
        if console is not None:
            console.log_phase(_status(outcomes))
            console.close()
        return self._outcome(outcomes)

    def known(self) -> dict[str, Any]:
        """The outcome as it is told of trainings that have all come to their end before."""
        return self._outcome({seed: self._ended(seed, one.run.status) for seed, one in self._group.items()})

    def summarize(self, outcome: dict[str, Any]) -> None:
        """The end of all in a few lines on standard error."""
        summarize_seeds(self, outcome)

    def tell_losses(self) -> None:
        """Says, where something could not be written, what could."""
        for job in self.jobs.values():
            job.tell_losses()

    def _make(self) -> Path:
        """The directory that the runs are in."""
        try:
            path = directory.new(self._out, self._name, lambda: directory.usual_name(self.parts))
            mark(path, self.seeds)
        except OSError as error:
            raise Failure("--out", f"cannot be written (got {str(self._out)!r}): {error.strerror}") from None
        return path

    def _job(self, seed: int) -> Job:
        warned = report.Warnings(f"seed {seed}: ")
        job = Job(
            replace(self.parts, plan=replace(self.plan, seed=seed)),
            self.path,
            f"seed_{seed}",
            self._device,
            self._console and self._console.of(seed),
            SeedSignals(self._signals, self._compiling),
            warned,
            self._began,
            self._group.get(seed),
            self._until,
            prune=self._prune,
        )
        if self._lanes is not None:  # what its numbers depend on
            job.about[directory.LANE] = [self.seeds.index(seed) % self._workers, self._workers]
        return job

    def _at_a_time(self, lanes: bool) -> int:
        """How many train at a time: in lanes as many as fit into memory, in rounds that are equally full."""
        number, parts, room = len(self.seeds), self.parts, len(self.seeds)
        if lanes or self._device.platform != "cpu":  # else it was seen to before
            room = min(room, footprint.room(parts.algorithm, parts.env, parts.policy_form))
        return math.ceil(number / math.ceil(number / room)) if lanes else min(room, cores.count())

    def _train(self) -> dict[int, dict[str, Any]]:
        """The outcome of each."""
        width, lanes = self._workers, self._lanes
        if lanes is None:
            turns = [[seed] for seed in self.seeds]
        else:  # a seed that goes on has the lane that it had
            turns = [self.seeds[seat::width] for seat in range(width)]
        with cores.divided(width if lanes is None else 1), ThreadPoolExecutor(width, "lerax seed") as pool:
            futures = [pool.submit(self._in_turn, seat, seeds) for seat, seeds in enumerate(turns)]
            waiting: set[Future[dict[int, dict[str, Any]]]] = set(futures)
            while waiting:  # in pieces: a signal's handler runs on this thread, between two of them
                waiting = wait(waiting, POLL_SECONDS, FIRST_COMPLETED).not_done
            outcomes = {seed: outcome for future in futures for seed, outcome in future.result().items()}
        return {seed: outcomes[seed] for seed in self.seeds}

    def _in_turn(self, seat: int, seeds: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Trains one after the other, each by itself or in the same lane."""
        outcomes = {}
        for seed in seeds:
            with contextlib.nullcontext() if self._lanes is None else self._lanes.seat(seat):
                outcomes[seed] = self._one(seed)
        return outcomes

    def _one(self, seed: int) -> dict[str, Any]:
        """Trains one, unless it is complete, or training was to end before it began."""
        job, run, ended = self.jobs[seed], self._group.get(seed), ""
        try:
            with job.warned.of_this_thread():
                if run is not None and run.is_complete(self.plan.steps):
                    ended = "finished"
                elif job.signals.received is not None or self._is_late(job):
                    ended = "interrupted" if job.signals.received is not None else "paused"
                    if run is None:
                        job.leave(ended)
                else:
                    if run is not None:
                        job.prepare()
                    return job.train()
        except Interrupted:
            ended = "interrupted"
        except Failure as error:
            report.say(f"lerax: error: seed {seed}: {error}")
            ended = "failed"
        finally:
            job.signals.phase = "ended"  # whatever it was doing, others may compile
            self._warned.add(job.warned)
        return self._ended(seed, ended)

    def _is_late(self, job: Job) -> bool:
        """Whether the time was up before one began; as many as train at once begin all the same."""
        with self._counting:
            late = job.limit.is_over and self._started >= self._workers
            self._started += not late
        return late

    def _ended(self, seed: int, status: str) -> dict[str, Any]:
        """The outcome of one that was not trained to an end now, and what the dashboard shows of it."""
        run = runs.read(self.path / f"seed_{seed}")
        if self._console is not None:
            part = self._console.of(seed)
            part.describe(device="", files=str(run.path))
            part.show_past(status, run.steps)
        known = {"env": run.env, "algo": run.algo, "seed": seed, "steps": run.steps}
        told = {name: run.facts[name] for name in OF_THE_END if name in run.facts}
        return {"run": str(run.path), "status": status} | known | told

    def _outcome(self, outcomes: dict[int, dict[str, Any]]) -> dict[str, Any]:
        """What became of all."""
        first = next(iter(outcomes.values()))
        found: dict[str, Any] = {
            "run": str(self.path),
            "status": _status(outcomes),
            "env": first["env"],
            "algo": first["algo"],
            "seeds": list(outcomes.values()),
        }
        evaluated = [end for end in outcomes.values() if end.get("evaluation")]
        if evaluated:
            scores = [[end["evaluation"]["mean_return"] for end in evaluated]]
            solved = sum(bool(end["solved"]) for end in evaluated)
            found["score"] = {"iqm": float(iqm(scores)), "of": len(evaluated), "solved": solved}
            if len(evaluated) > 1:
                found["score"]["interval"] = [float(end) for end in interval(iqm, scores)]
        return found | {"seconds": round(time.monotonic() - self._began, 3)}

    def _save(self) -> None:
        """Asks for a checkpoint of each."""
        for job in self.jobs.values():
            job.signals.save()

    def _abandon(self) -> None:
        """Leaves terminal and runs as they are to be found: the process is about to end."""
        if self._console is not None:
            self._console.give_back()
        for job in self.jobs.values():
            job.signals.at_once()


def in_lanes(device: Any, env: Any) -> bool:
    """Whether seeds are the lanes of one program; else each has a program and a thread of its own.

    On a CPU they have, which is faster there and leaves each bit for bit what it is by itself. Everywhere
    have those whose environments are objects outside of JAX: a lane that nobody trains in any more is
    computed on, and would step them. MuJoCo's engine bears that: to it a lane is some more rows.
    """
    return device.platform != "cpu" and not isinstance(env.unwrapped, AbstractHostedEnv)


def to_fit(seeds: Sequence[int], device: Any) -> int:
    """How many trainings must fit into memory at a time: on an accelerator there are as many as do."""
    return min(len(seeds), cores.count()) or 1 if device.platform == "cpu" else 1


def mark(path: Path, seeds: Sequence[int]) -> None:
    """Marks a directory as that of the runs of one training, a seed each.

    Raises:
        OSError: It cannot be written.
    """
    told = {"seeds": list(seeds), "argv": sys.argv[1:]}
    write_atomically(path / SEEDS, (json.dumps(told, indent=2) + "\n").encode("ascii"))


def _status(outcomes: dict[int, dict[str, Any]]) -> str:
    """That of the worst."""
    return min((end["status"] for end in outcomes.values()), key=WORST.index)
