"""One training run: from the plan to the outcome. It imports JAX, so that it is imported last."""

import contextlib
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
from jaxtyping import Array

from lerax import checkpoint, tree
from lerax.backend import AbstractLoggingBackend, BackendError, ConsoleBackend, JSONLBackend, VideoBackend
from lerax.callback import LoggingCallback, StopOnNonFinite, VideoCounts
from lerax.callback.stop import NonFiniteState
from lerax.evaluate import evaluate
from lerax.names import OBJECT
from lerax.policy import AbstractPolicy
from lerax.run import RunDirectory, claim, generated_name

from . import report
from .control import RunControl
from .options import TrainingPlan
from .parts import build, load_backend
from .report import BadInput, Failure, Interrupted
from .signals import Signals

EVALUATION_EPISODES = 100
TENSORBOARD_IMAGES = 10  # of a tag, which it shows by itself
LAST_VIDEOS_SECONDS = 5.0  # for videos after a signal: the command is to end within ten
POLICY = "policy.eqx"
BESIDE_POLICY = 2**14  # that the rest of a run's directory takes before training


class Job:
    """One training run, from the plan to the outcome.

    Args:
        plan: What is trained.
        out: The folder that holds the runs.
        name: Name of the run; None for a generated one.
        device: The device of JAX.
        console: The dashboard, if there is one.
        signals: The signals, held back.
        warned: The warnings.
        began: When the command began, of `time.monotonic`.
    """

    def __init__(
        self,
        plan: TrainingPlan,
        out: Path,
        name: str | None,
        device: Any,
        console: ConsoleBackend | None,
        signals: Signals,
        warned: report.Warnings,
        began: float,
    ):
        self.plan, self.signals, self.warned, self.console = plan, signals, warned, console
        self.device, self.out, self.name, self.began = device, out, name, began
        self.videos: VideoCounts | None = None
        self.saved: list[str] = []
        self.parts = build(plan)
        self.backends = [load_backend(backend, out) for backend in plan.backends]

    def run(self) -> dict[str, Any]:
        """Trains, evaluates and saves; returns the outcome as `--json` prints it."""
        self.signals.release()
        self.signals.hold()  # a directory that was made is always marked with how it ended
        self.directory = self._directory(self.out, self.name)
        self.signals.at_once = self._abandon
        try:
            self.signals.release()
            with self._logger() as logger:
                outcome = self._to_its_end(logger)
        except Interrupted:
            self._finish(status="interrupted")
            raise
        except Exception as error:
            text = " ".join(f"{type(error).__name__}: {error}".split())[:500]
            self._finish(status="failed", error=text)
            raise error if isinstance(error, Failure) else Failure("train", text) from error
        if self.warned.lost:
            outcome["lost"] = self.warned.lost
        self._finish(**outcome)
        return {"run": str(self.directory.path)} | outcome

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
            self.warned.lost.append(f"{self.directory.path / name} is not saved: {error.strerror}")
            report.say(f"lerax: error: {self.warned.lost[-1]}")

    def tell_losses(self) -> None:
        """Says, where something could not be written, what could."""
        if self.warned.lost:
            saved = " and ".join(self.saved) or "nothing"
            report.say(f"lerax: error: {self.directory.path} is not complete, see above; saved: {saved}")

    def _abandon(self) -> None:
        """Leaves terminal and run as they are to be found: the process is about to end."""
        if self.console is not None:
            self.console.give_back()
        if self.directory.facts["status"] == "running":
            with contextlib.suppress(OSError):  # then it is found to have died
                self.directory.finish("interrupted")

    def summarize(self, outcome: dict[str, Any]) -> None:
        """The end of the run in a few lines on standard error."""
        plan, path = self.plan, self.directory.path
        say = report.say
        extra = outcome["steps"] - plan.steps
        filling = f" ({extra:,} to fill the last iteration)" if extra > 0 else ""
        say(
            f"{plan.algorithm.name} on {plan.env.name}, seed {plan.seed}: {outcome['status']} after "
            f"{outcome['steps']:,} steps{filling} in {outcome['seconds_training']:.1f} s"
        )
        evaluation = outcome.get("evaluation")
        if evaluation:
            solved = {True: "solved: ", False: "not solved: ", None: ""}[outcome["solved"]]
            aim = f", at least {plan.score:g} counts as solved" if plan.score is not None else ""
            say(
                f"{solved}mean return {evaluation['mean_return']:.1f} +- {evaluation['std_return']:.1f} "
                f"over {evaluation['episodes']} greedy episodes{aim}"
            )
        if self.videos is not None:
            say("videos      " + self.videos.text(f" in {path / 'videos'}" if self.videos.made else ""))
        if POLICY in self.saved:
            say(f"policy      {path / POLICY}")
        named = ("", plan.env), ("--algo ", plan.algorithm), ("--policy ", plan.policy)
        own = [f"{option}{one.name} " for option, one in named if one and OBJECT.fullmatch(one.name)]
        say(f"repeat      lerax train {''.join(own)}--config {quote(str(path / 'config.toml'))}")
        if "tensorboard" in plan.backends:
            made = 0 if self.videos is None else self.videos.made
            samples = f" --samples_per_plugin images={made}" if made > TENSORBOARD_IMAGES else ""
            say(f"curves      tensorboard --logdir {quote(str(path.parent))}{samples}")
        for backend in self.backends:
            if url := getattr(backend, "url", None):
                say(f"online      {url}")

    def _directory(self, out: Path, name: str | None) -> RunDirectory:
        plan, parts = self.plan, self.parts
        wanted = name or generated_name(parts.algorithm.name, parts.policy_form.name, parts.env.name)
        needed = parts.policy_bytes
        path = None
        try:
            path = out / claim(wanted, [out])
            if name is not None and path.name != name:
                path.rmdir()  # somebody took the name since it was checked
                raise BadInput("--name", f"a run of that name exists (got {name!r}); choose another")
            directory = RunDirectory(
                path,
                argv=sys.argv[1:],
                env=plan.env.name,
                algo=plan.algorithm.name,
                seed=plan.seed,
                device=str(self.device),
                versions={"python": platform.python_version()}
                | {package: version(package) for package in ("lerax", "jax", "equinox", "optax")},
            )
            directory.write_config(parts.config())
            directory.reserve(needed)
        except OSError as error:
            what = f"cannot be written (got {str(out)!r}): {error.strerror}"
            if path is not None:
                shutil.rmtree(path, ignore_errors=True)
                free = shutil.disk_usage(out).free
                what += f"; policy and run.json take {needed + BESIDE_POLICY:,} bytes, {free:,} are free"
            raise Failure("--out", what) from None
        return directory

    def _logger(self) -> LoggingCallback:
        path = self.directory.path
        backends: list[AbstractLoggingBackend] = [JSONLBackend(self.out), *self.backends]
        if self.plan.records_videos:
            backends.append(VideoBackend(self.out))
        if self.console is not None:
            self.console.describe(device=self.device.device_kind, files=str(path))
            backends.append(self.console)
        hparams = {"env": self.parts.env.name, "seed": self.plan.seed, "steps": self.plan.steps}
        try:
            return LoggingCallback(
                backends,
                name=path.name,
                hparams=hparams,
                **self.plan.videos,
                resume=True,  # the directory is there, made for this run
                strict=True,
            )
        except BackendError as error:
            raise Failure("--backend", str(error)) from None

    def _to_its_end(self, logger: LoggingCallback) -> dict[str, Any]:
        """Trains, and lets the backends know how it ended."""
        status = "failed"
        try:
            outcome = self._train(logger)
            status = outcome["status"]
            return outcome
        except Interrupted:
            status = "interrupted"
            raise
        finally:
            logger.on_phase(status)

    def _train(self, logger: LoggingCallback) -> dict[str, Any]:
        guard = [StopOnNonFinite()] if self.plan.nan == "stop" else []
        control = RunControl(self.signals)
        control.on_phase("compiling")
        state, evaluation_key = self.parts.initial_state()
        trained = time.monotonic()
        state = self.parts.algorithm.run(state, self.plan.steps, callback=[logger, control, *guard])
        iterations = int(state.iteration_count)
        steps = iterations * self.parts.algorithm.steps_per_iteration
        outcome: dict[str, Any] = {
            "status": "finished" if self.signals.received is None else "interrupted",
            "env": self.plan.env.name,
            "algo": self.plan.algorithm.name,
            "seed": self.plan.seed,
            "steps": steps,
            "seconds_training": round(time.monotonic() - trained, 3),
        }
        policy = state.policy
        if guard and int(state.callback_state[2].iteration):
            policy = self._last_good(policy, state.callback_state[2])
            outcome |= {"status": "diverged", "diverged_at_iteration": iterations}
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

    def _last_good(self, policy: AbstractPolicy, found: NonFiniteState) -> AbstractPolicy:
        report.say(
            f"lerax: error: training diverged: a loss or a parameter is not finite at iteration "
            f"{int(found.iteration)}; the policy before it is saved; try a smaller learning rate"
        )
        return tree.ravel(policy)[1](found.parameters)

    def _save(self, policy: AbstractPolicy, outcome: dict[str, Any]) -> None:
        parts = self.parts
        metadata = {"policy": parts.policy.name, "settings": parts.plain("policy")} | outcome
        metadata["env_settings"] = parts.plain("env")
        write = lambda path, data: self.directory.write(path.name, data)
        checkpoint.save(self.directory.path / POLICY, policy, metadata, write=write)

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
