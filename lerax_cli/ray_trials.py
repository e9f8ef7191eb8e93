"""What runs in Ray: a process that is its driver, and trials of Ray Tune, each of which trains one.

A trial of Tune is a process of the ordinary worker that begins one trial, whichever the journal gives it.
Tune says where and when, sees that it lives, and is told what comes of it; the journal decides all else.
"""

import contextlib
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray  # pyright: ignore[reportMissingImports]
from ray import tune  # pyright: ignore[reportMissingImports]

from lerax import runs
from lerax.processes import python
from lerax.sweep.ranking import ranking
from lerax.sweep.study import Sweep
from lerax.sweep.trial import FAILED_IN_A_ROW

from .report import ERROR

REPORT_SECONDS, LOOK_SECONDS = 5.0, 0.2  # between two reports to Tune, and two looks at the process
CONNECT_SECONDS = 10.0
RETRIES = 3  # of a trial of Tune whose process is lost
BEGUN = re.compile(rb"^trial=([0-9]+) ", re.MULTILINE)  # as a worker tells it where there is no terminal
SCORE, LOCAL = "score", "local"
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # only that which is named below
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a score comes at the end
}


@dataclass(frozen=True)
class Job:
    """What Ray is to do.

    Attributes:
        address: `local`, `auto` or HOST:PORT.
        sweep: The sweep's directory.
        folder: What Ray writes there.
        at: Where the command was given, on every machine.
        words: What trains a trial: the words behind `lerax`.
        trials: Trials that there are to be.
        most: How many may be begun; None for all.
        cpus: Cores that a trial asks for.
        gpus: GPUs that a trial asks for.
        cores: Those of this machine.
    """

    address: str
    sweep: str
    folder: str
    at: str
    words: list[str]
    trials: int
    most: int | None
    cpus: int
    gpus: int
    cores: int

    @property
    def told(self) -> Path:
        """A file that says whether to stop: opened anew it is up to date on NFS, too."""
        return Path(self.folder, "stop")

    def is_over(self) -> bool:
        """Whether all is to stop."""
        with contextlib.suppress(OSError):
            return bool(self.told.read_bytes())
        return True  # the directory is gone

    def missing(self) -> int:
        """How many trials have not ended and are trained by nobody."""
        sweep = Sweep(Path(self.sweep))
        rows = ranking(sweep.trials())
        there = [row for row in rows if row.state != "running" or not sweep.is_left(row.trial)]
        return max(self.trials - len(there), 0)


class Placed(tune.Trainable):
    """A trial of Tune: a process that trains one of the sweep's."""

    def setup(self, config: dict[str, Any], job: Job | None = None) -> None:
        assert job is not None
        self._job, self._sweep, self._trial = job, Sweep(Path(job.sweep)), -1
        self._log = Path(job.folder, f"{self.trial_id}.log")
        self._asked, self._process = False, None
        if job.is_over():
            return
        words, environment = python("-m", "lerax_cli.followed", str(os.getpid()), *job.words)
        own = os.path.dirname(str(ray.__file__))  # packages that Ray brings for itself
        paths = environment["PYTHONPATH"].split(os.pathsep)
        environment["PYTHONPATH"] = os.pathsep.join(one for one in paths if not one.startswith(own))
        with open(self._log, "ab") as log:
            self._from = log.tell()  # what is before is of a process that was lost
            self._process = subprocess.Popen(
                words,
                cwd=job.at,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )

    def step(self) -> dict[str, Any]:
        process, end = self._process, time.monotonic() + REPORT_SECONDS
        if process is None:
            return {"done": True}
        while process.poll() is None and time.monotonic() < end:
            if not self._asked and self._job.is_over():
                self._asked = True
                process.terminate()
            time.sleep(LOOK_SECONDS)
        found = self._look()
        if process.returncode is None:
            return found
        if found.get("state", "running") == "running" and process.returncode and not self._asked:
            raise RuntimeError(self._said() or f"its process has ended with exit code {process.returncode}")
        return found | {"done": True}

    def cleanup(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait()

    def _look(self) -> dict[str, Any]:
        """What is known of the trial: nothing before it has begun."""
        if self._trial < 0 and (begun := BEGUN.search(self._text())):
            self._trial = int(begun[1])
        row = next((row for row in ranking(self._sweep.trials()) if row.trial == self._trial), None)
        if row is None:
            return {}
        parts = runs.seeds_of(self._sweep.directory(row.trial))
        returns = [value for part in parts if (value := part.last("episode/return")) is not None]
        found: dict[str, Any] = {"trial": row.trial, "state": row.state, "settings": row.settings}
        found["steps"] = sum(part.steps for part in parts)
        found["broken"] = row.state == "failed" and any(part.status == "failed" for part in parts)
        if returns:
            found["episode_return"] = sum(returns) / len(returns)
        if row.score is not None:
            found[SCORE] = row.score
        if row.reason:
            found["reason"] = row.reason
        return found

    def _text(self) -> bytes:
        with open(self._log, "rb") as file:
            file.seek(self._from)
            return file.read()

    def _said(self) -> str:
        """The error that the process has ended with; "" where it has said none."""
        lines = self._text().decode(errors="replace").splitlines()
        return next((line for line in reversed(lines) if line.startswith(ERROR)), "")


class Watch(tune.Callback):
    """Knows what lives, and tells the command what goes wrong.

    Its state is the class's, since Tune copies it.
    """

    tell: Any = None
    asked = threading.Event()
    live: set[str] = set()
    broken = 0

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        Watch.live.add(trial.trial_id)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if result.get("done") and "state" in result:
            Watch.count(result.get("broken", False), result.get("reason", ""))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        Watch.live.discard(trial.trial_id)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        Watch.tell(warning="a process under Ray was lost; another goes on with its trial")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        Watch.live.discard(trial.trial_id)
        Watch.tell(warning=f"a process under Ray was lost {RETRIES + 1} times: {_reason(trial)}")
        Watch.count(True, _reason(trial))

    @staticmethod
    def count(broken: bool, reason: str) -> None:
        """Counts what breaks in a row, and ends all where that is too much."""
        Watch.broken = Watch.broken + 1 if broken else 0
        if Watch.broken == FAILED_IN_A_ROW and not Watch.asked.is_set():
            Watch.tell(failure=f"{Watch.broken} trials in a row failed, the last one: {reason}")
            Watch.asked.set()


class Stop(tune.Stopper):
    """Ends Tune once what lived has ended by itself: Tune itself would kill it after ten seconds."""

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return Watch.asked.is_set() and not Watch.live


def _reason(trial: Any) -> str:
    """Why a trial of Tune has failed, in a line."""
    problem = trial.get_pickled_error() or trial.get_error()
    cause = getattr(problem, "cause", None) or problem
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return lines[-1] if lines else type(cause).__name__


@contextlib.contextmanager
def connected(job: Job) -> Iterator[None]:
    """While there is a Ray: one of its own on this machine, or that of a cluster."""
    own: dict[str, Any] = {}
    host, _, port = job.address.rpartition(":")
    if host:  # where nobody listens Ray would wait for ever
        try:
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
        except (OSError, OverflowError) as error:
            raise ConnectionError(f"nobody answers ({getattr(error, 'strerror', None) or error})") from error
    if job.address == LOCAL:
        own = {"include_dashboard": False, "num_cpus": job.cores}
        if not {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"} & os.environ.keys():
            os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex()  # else Ray makes a file in the home directory
    ray.init(address=job.address, log_to_driver=False, logging_level="error", **own)
    try:
        yield
    finally:
        ray.shutdown()


def place(job: Job) -> None:
    """Has Ray train what is missing, and once more what was lost, for as long as that gets on."""
    left = job.trials if job.most is None else job.most
    before = job.trials + 1
    for turn in range(job.trials):
        number = min(missing := job.missing(), left)
        if not number or missing >= before or Watch.asked.is_set():
            return
        before, left = missing, left - number
        folder = Path(job.folder)
        asked = {"cpu": job.cpus, "gpu": job.gpus}
        placed = tune.with_resources(tune.with_parameters(Placed, job=job), asked)
        tune.Tuner(
            placed,
            tune_config=tune.TuneConfig(num_samples=number, metric=SCORE, mode="max"),
            run_config=tune.RunConfig(
                name=f"{folder.name}_{turn}" if turn else folder.name,
                storage_path=str(folder.parent),
                verbose=0,
                stop=Stop(),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # the sweep has its own
                failure_config=tune.FailureConfig(max_failures=RETRIES),
                callbacks=[Watch(), tune.logger.JsonLoggerCallback()],
            ),
        ).fit()


def main() -> None:
    """Does the job of its argument, until standard input ends; tells what goes wrong as lines of JSON."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what Ray and others print
    os.environ |= QUIET
    job = Job(**json.loads(sys.argv[1]))

    def tell(**said: str) -> None:
        with contextlib.suppress(OSError):
            answers.write(json.dumps(said) + "\n")

    def watch() -> None:
        while os.read(0, 1024):
            pass
        Watch.asked.set()

    def spread() -> None:
        Watch.asked.wait()
        with contextlib.suppress(OSError):
            job.told.write_bytes(b"stop\n")

    Watch.tell = tell
    for do in (watch, spread):
        threading.Thread(target=do, daemon=True).start()
    try:
        with connected(job):
            tell(connected=job.address)
            place(job)
    except Exception as error:
        tell(failure=f"{job.address}: {' '.join(str(error).split())}")
        raise


if __name__ == "__main__":
    from lerax_cli import ray_trials  # by its name, under which Ray's workers find it, too

    ray_trials.main()
