"""One training run: from the plan to the outcome. It imports JAX, so that it is imported last."""

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
from jaxtyping import Array

from lerax import checkpoint, tree
from lerax.algorithm import divided
from lerax.algorithm.together import ProcessLostError
from lerax.backend import (
    AbstractLoggingBackend,
    BackendError,
    ConsoleBackend,
    JSONLBackend,
    MemoryBackend,
    VideoBackend,
)
from lerax.backend.jsonl import METRICS, read_records
from lerax.callback import CheckpointCallback, LoggingCallback, ProfileCallback, VideoCounts
from lerax.callback.stop import NonFiniteState
from lerax.env.hosted import AbstractHostedEnv
from lerax.errors import told
from lerax.evaluate import evaluate
from lerax.files import PROFILE
from lerax.hosted import HostedEnvError
from lerax.policy import AbstractPolicy
from lerax.runs import is_group

from . import report, wrapping
from .begun import Begun, begin
from .branched import branch_off
from .continued import CHECKPOINTS, Continued
from .control import TimeLimit, watching
from .declared import WRAP
from .directory import lane_of, make
from .distributed import GO_ON
from .parts import Parts, keys, load_backend
from .report import Failure, Interrupted
from .runtime import circumstances
from .signals import AnySignals
from .summary import POLICY, summarize

EVALUATION_EPISODES = 100
TRACEBACK = "traceback.txt"
LAST_VIDEOS_SECONDS = 5.0  # for videos after a signal: the command is to end within ten


class Job:
    """One training run, from the plan to the outcome.

    Args:
        parts: What is trained.
        out: The folder that holds the runs.
        name: Name of the run; None for a generated one.
        device: The device of JAX.
        console: The dashboard, if there is one.
        signals: The signals, held back.
        warned: The warnings.
        began: When the command began, of `time.monotonic`.
        going_on: The run that goes on, or that a new one branches off from; None for one from the beginning.
        until: When the time is up, of `time.monotonic`; None for never.
        profile: Whether some iterations are traced.
        prune: Asked whether training is not worth going on with; None where nobody knows.
        placed: The options that place this process among others, as they stand behind a command.
    """

    def __init__(
        self,
        parts: Parts,
        out: Path,
        name: str | None,
        device: Any,
        console: ConsoleBackend | None,
        signals: AnySignals,
        warned: report.Warnings,
        began: float,
        going_on: Continued | None = None,
        until: float | None = None,
        *,
        profile: bool = False,
        prune: Callable[[], bool] | None = None,
        placed: str = "",
    ):
        self.signals, self.warned, self.console = signals, warned, console
        self.device, self.out, self.name, self.began = device, out, name, began
        self.going_on, self.limit = going_on, TimeLimit(until, prune)
        self.placed = placed
        self.videos: VideoCounts | None = None
        self.profile: ProfileCallback | None = None
        self._profiles = profile
        self.saved: list[str] = []
        self.parts, self.plan = parts, parts.plan
        if going_on is not None and going_on.at is None:
            going_on.check_same(self.parts.config())
        self.about = {"config": self.parts.config()} | circumstances(device, self.plan.layout)
        self.backends = [load_backend(backend, out) for backend in self.plan.backends]

    @property
    def path(self) -> Path:
        """The run's directory."""
        return self.directory.path

    def run(self) -> dict[str, Any]:
        """Trains, evaluates and saves; returns the outcome as `--json` prints it."""
        self.prepare()
        return self.train()

    def prepare(self) -> None:
        """Makes the run's directory, or takes that of the run that goes on."""
        self.signals.release()
        self.begun = None if self.going_on is None else self._begun(self.going_on)
        self.signals.hold()  # a directory that was made is always marked with how it ended
        self.directory = make(self.parts, self.out, self.name, self.about, self.going_on, self.begun)
        self.signals.at_once = self._abandon

    def train(self) -> dict[str, Any]:
        """Does all that comes then."""
        begun, self.begun = self.begun, None  # whose state is donated to training
        try:
            self.signals.release()
            with self._logger(begun) as logger:
                outcome = self._to_its_end(logger, begun)
        except Interrupted:
            self._finish(status="interrupted")
            self._discard()
            raise
        except ProcessLostError as error:
            self._finish(status="interrupted")
            raise Failure("--distributed", f"{error}; {GO_ON}") from error
        except HostedEnvError as error:  # before there was anything to save
            self._finish(status="failed", error=str(error))
            raise Failure("train", f"{error}{self._traceback(error)}") from error
        except Exception as error:
            text = " ".join(told(error).split())[:500]
            self._finish(status="failed", error=text)
            raise error if isinstance(error, Failure) else Failure("train", text) from error
        if self.warned.lost:
            outcome["lost"] = self.warned.losses()
        self._finish(**outcome)
        return {"run": str(self.path)} | outcome

    def leave(self, status: str) -> dict[str, Any]:
        """Marks a run that was prepared and does not begin now; returns its outcome."""
        self._finish(status=status, steps=0)
        plan = self.plan
        facts = {"env": plan.env.name, "algo": plan.algorithm.name, "seed": plan.seed, "steps": 0}
        return {"run": str(self.path), "status": status} | facts

    def _finish(self, **facts: Any) -> None:
        """Marks how the run ended."""
        with self._saving("run.json"):
            self.directory.finish(**facts)

    @contextlib.contextmanager
    def _saving(self, name: str) -> Iterator[None]:
        """Notes whether a file is saved; one that the disk does not take is said, and ends nothing."""
        try:
            yield
            self.saved.append(name)
        except OSError as error:
            self.warned.lost.append(f"{self.path / name} is not saved: {error.strerror}")
            report.say(f"lerax: error: {self.warned.lost[-1]}")

    def summarize(self, outcome: dict[str, Any]) -> None:
        """The end of the run in a few lines on standard error."""
        summarize(self, outcome)

    def tell_losses(self) -> None:
        """Says, where something could not be written, what could."""
        if self.warned.lost:
            saved = " and ".join(self.saved) or "nothing"
            report.say(f"lerax: error: {self.path} is not complete, see above; saved: {saved}")

    def _abandon(self) -> None:
        """Leaves terminal and run as they are to be found: the process is about to end."""
        if self.console is not None:
            self.console.give_back()
        if self.directory.facts["status"] == "running":
            with contextlib.suppress(OSError):  # then it is found to have died
                self.directory.finish("interrupted")
            self._discard()

    def _discard(self) -> None:
        """Leaves nothing of a new run that has not made a step, unless it is one of several seeds."""
        begun = any((self.path / CHECKPOINTS).glob("*")) or any(read_records(self.path / METRICS))
        if self.going_on is None and not begun and not is_group(self.path.parent):
            shutil.rmtree(self.path, ignore_errors=True)

    def _begun(self, run: Continued) -> Begun:
        forms = [LoggingCallback(MemoryBackend()), *self._watching(run.layer.keys["nan"], None)]
        if run.at is not None:
            return branch_off(run, run.at, self.parts, forms)
        begun = begin(run, self.parts, forms, self.warned.say)
        then, now = _driven(begun.metadata), _driven(self.about)
        if begun.state is not None and then != now:
            self.warned.say(f"{run.path.name} was trained {then}, now {now}: no more bit for bit what it was")
        if run.trained_again and not self.signals.quiet:
            report.say(f"lerax: {run.trained_again}")
        return begun

    def _watching(self, nan: str, saver: CheckpointCallback | None) -> list[Any]:
        """The callbacks behind the logger, always in the same order: their states are in the checkpoints."""
        control = watching(nan, self.signals, self.limit, self.profile)
        return [*control, saver or CheckpointCallback(".")]

    def _logger(self, begun: Begun | None) -> LoggingCallback:
        path = self.path
        backends: list[AbstractLoggingBackend] = [JSONLBackend(self.out), *self.backends]
        if self.plan.records_videos:
            backends.append(VideoBackend(self.out))
        if self.console is not None:
            self.console.describe(device=self.device.device_kind, files=str(path))
            backends.append(self.console)
        wraps = {WRAP: wrapping.said(self.parts.wraps)} if self.parts.wraps else {}
        hparams = {"env": self.parts.env.name, "seed": self.plan.seed, "steps": self.plan.steps} | wraps
        try:
            return LoggingCallback(
                backends,
                name=path.name,
                hparams=hparams,
                **self.plan.videos,
                resume=True,  # the directory is there, made for this run
                elapsed=None if begun is None else begun.seconds,
                strict=True,
            )
        except BackendError as error:
            raise Failure("--backend", str(error)) from None

    def _saver(self, logger: LoggingCallback, seconds: float) -> CheckpointCallback:
        plan = self.plan
        return CheckpointCallback(
            self.path / CHECKPOINTS,
            every=plan.save_every,
            keep=plan.keep,
            logger=logger,
            metadata=self.about,
            seconds=seconds,
        )

    def _to_its_end(self, logger: LoggingCallback, begun: Begun | None) -> dict[str, Any]:
        """Trains, and lets the backends know how it ended."""
        status = "failed"
        try:
            outcome = self._train(logger, begun)
            status = outcome["status"]
            return outcome
        except Interrupted:
            status = "interrupted"
            raise
        finally:
            logger.on_phase(status)

    def _train(self, logger: LoggingCallback, begun: Begun | None) -> dict[str, Any]:
        seconds = 0.0 if begun is None else begun.seconds
        trained = time.monotonic() - self.signals.compiled  # one clock for all seeds, whoever compiles
        logger.count_from(trained)
        saver = self._saver(logger, seconds)
        self.profile = ProfileCallback(self.path / PROFILE) if self._profiles else None
        control, *others = self._watching(self.plan.nan, saver)
        control.on_phase("compiling")
        self.signals.save = saver.request
        if begun is None or begun.state is None:
            state, evaluation_key = self.parts.initial_state()
        else:
            state, evaluation_key = begun.state, keys(self.plan.seed)[2]
        fault = None
        try:
            state = self.parts.algorithm.run(state, self.plan.steps, callback=[logger, control, *others])
        except HostedEnvError as error:
            if error.state is None:
                raise
            state, fault = error.state, error
        finally:
            if self.profile is not None:
                self.profile.close()
        state = divided.on_one(state)
        iterations = int(state.iteration_count)
        steps = iterations * self.parts.algorithm.steps_per_iteration
        outcome: dict[str, Any] = {
            "status": self._status(steps),
            "env": self.plan.env.name,
            "algo": self.plan.algorithm.name,
            "seed": self.plan.seed,
            "steps": steps,
            "seconds_training": round(seconds + time.monotonic() - trained, 3),
        }
        if self.profile is not None:
            outcome |= self._profiled(self.profile.path)
        policy = state.policy
        guard = others[:-1]
        if guard and int(state.callback_state[2].iteration):
            policy = self._last_good(policy, state.callback_state[2])
            outcome |= {"status": "diverged", "diverged_at_iteration": iterations}
        if fault is not None:
            outcome |= {"status": "failed", "error": str(fault)}
            report.say(f"lerax: error: {fault}{self._traceback(fault)}; what was learned until then is saved")
        self.signals.phase = "saving"
        logger.on_phase("saving")
        with self._saving(POLICY):
            self._save(policy, outcome)
        if POLICY not in self.saved:
            outcome |= {"status": "failed", "error": self.warned.lost[-1]}
        if outcome["status"] == "finished":
            self.signals.phase = "evaluating"
            logger.on_phase("evaluating")
            outcome |= self._evaluated(policy, evaluation_key, logger, steps)
        if self.plan.records_videos and POLICY in self.saved:
            outcome |= self._with_videos(logger, outcome["status"])
        return outcome | {"seconds": round(time.monotonic() - self.began, 3)}

    def _profiled(self, trace: Path | None) -> dict[str, Any]:
        """What a trace adds to the outcome: where it is in the run's directory."""
        if trace is None:
            self.warned.say("--profile: no trace: it begins with the second iteration, and there was none")
            return {}
        return {"profile": str(trace.relative_to(self.path))}

    def _status(self, steps: int) -> str:
        if self.signals.received is not None:
            return "interrupted"
        if steps >= self.plan.steps:
            return "finished"
        return "pruned" if self.limit.was_pruned else "paused" if self.limit.has_come else "finished"

    def _last_good(self, policy: AbstractPolicy, found: NonFiniteState) -> AbstractPolicy:
        repeats = not isinstance(self.parts.env.unwrapped, AbstractHostedEnv)
        again = f"; next: lerax replay {quote(str(self.path))}" if repeats else ""
        report.say(
            f"lerax: error: training diverged at iteration {int(found.iteration)}; {found.reason}; "
            f"the policy before it is saved{again}"
        )
        return tree.ravel(policy)[1](found.parameters)

    def _traceback(self, fault: HostedEnvError) -> str:
        """Writes down where an environment has failed, and says in which file; "" where nobody knows."""
        if not fault.traceback:
            return ""
        with self._saving(TRACEBACK):
            self.directory.write(TRACEBACK, fault.traceback.encode())
        return f"; its traceback is in {self.path / TRACEBACK}"

    def _save(self, policy: AbstractPolicy, outcome: dict[str, Any]) -> None:
        parts = self.parts
        metadata = {"policy": parts.policy.name, "settings": parts.plain("policy")} | outcome
        metadata |= {"env_settings": parts.plain("env"), WRAP: parts.wraps}
        write = lambda path, data: self.directory.write(path.name, data)
        checkpoint.save(self.path / POLICY, policy, metadata, write=write)

    def _evaluated(
        self, policy: AbstractPolicy, key: Array, logger: LoggingCallback, steps: int
    ) -> dict[str, Any]:
        """What the evaluation adds to the outcome. The policy is saved: a signal ends it at once."""
        found: dict[str, Any] = {}
        with contextlib.suppress(Interrupted):
            self.signals.release()
            found = self._evaluate(policy, key)
            self.signals.hold()
        if self.signals.received is not None:
            return {"status": "interrupted"}
        evaluation = found["evaluation"]
        values = {"eval/return": evaluation["mean_return"], "eval/length": evaluation["mean_length"]}
        logger.log(values, steps)
        return found

    def _with_videos(self, logger: LoggingCallback, status: str) -> dict[str, Any]:
        """What the videos that still wait add to the outcome. All else is saved: a signal ends it at once.

        Where one has ended training, the first and the newest are made, if that is soon done.
        """
        if status == "interrupted":
            self.signals.phase = "encoding"
            logger.finish_videos(seconds=LAST_VIDEOS_SECONDS)
        else:
            with contextlib.suppress(Interrupted):
                self.signals.release()
                logger.finish_videos()
                self.signals.hold()
            if self.signals.received is not None:
                status = "interrupted"
        self.videos = logger.finish_videos(drop=True)
        return {"status": status, "videos": self.videos._asdict()}

    def _evaluate(self, policy: AbstractPolicy, key: Array) -> dict[str, Any]:
        result = evaluate(self.parts.env, policy, key=key, num_episodes=EVALUATION_EPISODES)
        returns, lengths = np.asarray(result.returns, float), np.asarray(result.lengths, float)
        mean = float(returns.mean())
        evaluation = {
            "episodes": EVALUATION_EPISODES,
            "mean_return": mean,
            "std_return": float(returns.std()),
            "mean_length": float(lengths.mean()),
        }
        solved = None if self.plan.score is None else mean >= self.plan.score
        return {"evaluation": evaluation, "solved": solved}


def _driven(about: dict[str, Any]) -> str:
    lane = lane_of(about)
    return "by itself" if lane is None else f"as lane {lane[0] + 1} of {lane[1]}"
