"""One training run: from the plan to the outcome."""

import contextlib
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from lerax import registry
from lerax.run import RunDirectory, claim, generated_name

from . import options, report, runtime
from .options import Plan
from .report import BadInput, Failure, Interrupted
from .signals import Signals

if TYPE_CHECKING:
    from lerax.backend import ConsoleBackend
    from lerax.callback import LoggingCallback, VideoCounts

EVALUATION_EPISODES = 100
POLICY = "policy.eqx"
HEADER_BYTES, LEAF_BYTES = 2**12, 2**7  # of a policy's file beside its numbers: once, and for each array
BESIDE_POLICY = 2**14  # that the rest of a run's directory takes before training


class Job:
    """One training run, from the plan to the outcome."""

    def __init__(
        self,
        plan: Plan,
        out: Path,
        name: str | None,
        device: str,
        console: "ConsoleBackend | None",
        signals: Signals,
        warned: report.Warnings,
    ):
        self.plan, self.signals, self.warned, self.console = plan, signals, warned, console
        if console is not None:
            signals.at_once = console.give_back
            signals.rest_with(console.rest)
        self.began = time.monotonic()
        signals.hold()  # compiled modules crash where an exception ends their import
        self.device = runtime.prepare(device, warned.say)
        self.out, self.name = out, name
        self.videos: VideoCounts | None = None
        self.saved: list[str] = []
        self._build()
        self.backends = [self._backend(backend) for backend in plan.backends]

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
            say("videos      " + self.videos.text(f" in {path / 'videos'}"))
        if POLICY in self.saved:
            say(f"policy      {path / POLICY}")
        say(f"repeat      lerax train --config {quote(str(path / 'config.toml'))}")
        if "tensorboard" in plan.backends:
            say(f"curves      tensorboard --logdir {quote(str(path.parent))}")
        for backend in self.backends:
            if url := getattr(backend, "url", None):
                say(f"online      {url}")

    def _build(self) -> None:
        """Algorithm, environment and policy from their names and settings."""
        plan = self.plan
        algorithm_class, self.policy_class = plan.algorithm.load(), plan.policy.load()
        self.algorithm_settings = options.all_settings(algorithm_class, plan.settings["algorithm"])
        self.policy_settings = options.all_settings(self.policy_class, plan.settings["policy"])
        try:
            self.algorithm = algorithm_class(**self.algorithm_settings)
            self.algorithm.num_iterations(plan.steps)
        except ValueError as error:
            name, _, what = str(error).partition(": ")
            raise BadInput(self._place(name), what) from None
        self.env = plan.env.load()()
        self._check_memory()

    def _check_memory(self) -> None:
        """Refuses what does not fit, before anything is compiled or a directory made."""
        import equinox as eqx
        import numpy as np
        from jax import random as jr

        from lerax.algorithm import memory

        make = lambda seed: self.policy_class(env=self.env, **self.policy_settings, key=jr.key(seed))
        self.policy_form = eqx.filter_eval_shape(make, np.uint32(0))
        try:
            memory.check(self.algorithm, self.env, self.policy_form)
        except MemoryError as error:
            raise Failure("memory", str(error)) from None

    def _place(self, name: str) -> str:
        """Where a value came from that does not fit the others."""
        if name == "total_timesteps":
            return self.plan.steps_from
        given = self.plan.settings["algorithm"].get(name)
        return f"{given.where}: {given.name}" if given is not None else name

    def _backend(self, name: str) -> Any:
        """A backend that was named; nothing of it is opened yet."""
        try:
            return registry.load_backend(name)(log_dir=self.out)
        except ValueError as error:
            raise BadInput("--backend", f"{name}: {error}") from error
        except (Exception, SystemExit) as error:  # a plugin may raise what it likes
            raise BadInput(
                "--backend", f"{name} is not available; {type(error).__name__}: {error}"
            ) from error

    def _directory(self, out: Path, name: str | None) -> RunDirectory:
        plan = self.plan
        wanted = name or generated_name(self.algorithm.name, plan.policy.name, self.env.name)
        needed = self._policy_bytes()
        path = None
        try:
            path = out / claim(wanted, [out])
            if name is not None and path.name != name:
                path.rmdir()  # somebody took the name since it was checked
                raise BadInput("--name", f"a run of that name exists (got {name!r}); choose another")
            directory = RunDirectory(
                path,
                argv=sys.argv[1:],
                env=self.env.name,
                algo=plan.algorithm.name,
                seed=plan.seed,
                device=str(self.device),
                versions={"python": platform.python_version()}
                | {package: version(package) for package in ("lerax", "jax", "equinox", "optax")},
            )
            directory.write_config(self._config())
            directory.reserve(needed)
        except OSError as error:
            what = f"cannot be written (got {str(out)!r}): {error.strerror}"
            if path is not None:
                shutil.rmtree(path, ignore_errors=True)
                free = shutil.disk_usage(out).free
                what += f"; policy and run.json take {needed + BESIDE_POLICY:,} bytes, {free:,} are free"
            raise Failure("--out", what) from None
        return directory

    def _policy_bytes(self) -> int:
        """The most that the policy's file takes."""
        import jax

        from lerax.algorithm import memory

        arrays = len(jax.tree.leaves(self.policy_form))
        return HEADER_BYTES + LEAF_BYTES * arrays + memory.size(self.policy_form)

    def _config(self) -> dict[str, Any]:
        plan = self.plan
        score = {} if plan.score is None else {"score": plan.score}
        return {
            "env": self.env.name,
            "algo": plan.algorithm.name,
            "seed": plan.seed,
            "steps": plan.steps,
            "preset": "none",
            "backend": plan.backends or ["none"],
            "nan": plan.nan,
            "video_interval": plan.video_interval,
            **score,
            "algorithm": self.algorithm_settings,
            "policy": self.policy_settings,
        }

    def _logger(self) -> "LoggingCallback":
        from lerax.backend import BackendError, JSONLBackend, VideoBackend
        from lerax.callback import LoggingCallback

        path = self.directory.path
        backends: list[Any] = [JSONLBackend(self.out), *self.backends]
        if self.plan.video_interval:
            backends.append(VideoBackend(self.out))
        if self.console is not None:
            self.console.describe(device=self.device.device_kind, files=str(path))
            backends.append(self.console)
        hparams = {"env": self.env.name, "seed": self.plan.seed, "steps": self.plan.steps}
        try:
            return LoggingCallback(
                backends,
                name=path.name,
                hparams=hparams,
                video_interval=self.plan.video_interval,
                resume=True,
                strict=True,
            )
        except BackendError as error:
            raise Failure("--backend", str(error)) from None

    def _to_its_end(self, logger: "LoggingCallback") -> dict[str, Any]:
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

    def _train(self, logger: "LoggingCallback") -> dict[str, Any]:
        from lerax.callback import StopOnNonFinite

        from .control import RunControl

        guard = [StopOnNonFinite()] if self.plan.nan == "stop" else []
        control = RunControl(self.signals)
        control.on_phase("compiling")
        state, evaluation_key = self._initial_state()
        trained = time.monotonic()
        state = self.algorithm.run(state, self.plan.steps, callback=[logger, control, *guard])
        iterations = int(state.iteration_count)
        steps = iterations * self.algorithm.steps_per_iteration
        outcome: dict[str, Any] = {
            "status": "finished" if self.signals.received is None else "interrupted",
            "env": self.env.name,
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
        if self.plan.video_interval and POLICY in self.saved:
            outcome |= self._with_videos(logger, outcome["status"])
        return outcome | {"seconds": round(time.monotonic() - self.began, 3)}

    def _initial_state(self) -> tuple[Any, Any]:
        """The state before training and the key of the evaluation, from the seed, in one program."""
        import equinox as eqx
        import numpy as np
        from jax import random as jr

        @eqx.filter_jit
        def initial(seed: Any) -> tuple[Any, Any]:
            policy_key, learn_key, evaluation_key = jr.split(jr.key(seed), 3)
            policy = self.policy_class(env=self.env, **self.policy_settings, key=policy_key)
            state = self.algorithm.init(self.env, policy, key=learn_key, total_timesteps=self.plan.steps)
            return state, evaluation_key

        return initial(np.uint32(self.plan.seed))

    def _last_good(self, policy: Any, found: Any) -> Any:
        from lerax import tree

        report.say(
            f"lerax: error: training diverged: a loss or a parameter is not finite at iteration "
            f"{int(found.iteration)}; the policy before it is saved; try a smaller learning rate"
        )
        return tree.ravel(policy)[1](found.parameters)

    def _save(self, policy: Any, outcome: dict[str, Any]) -> None:
        from lerax import checkpoint

        metadata = {"policy": policy.name, "settings": self._config()["policy"]} | outcome
        write = lambda path, data: self.directory.write(path.name, data)
        checkpoint.save(self.directory.path / POLICY, policy, metadata, write=write)

    def _evaluated(self, policy: Any, key: Any, logger: "LoggingCallback", steps: int) -> dict[str, Any]:
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

    def _with_videos(self, logger: "LoggingCallback", status: str) -> dict[str, Any]:
        """What the videos that still wait add to the outcome. All else is saved: a signal ends it at once."""
        if status != "interrupted":
            with contextlib.suppress(Interrupted):
                self.signals.release()
                logger.finish_videos()
                self.signals.hold()
            if self.signals.received is not None:
                status = "interrupted"
        self.videos = logger.finish_videos(drop=True)
        return {"status": status, "videos": self.videos._asdict()}

    def _evaluate(self, policy: Any, key: Any) -> dict[str, Any]:
        import numpy as np

        from lerax.evaluate import evaluate

        result = evaluate(self.env, policy, key=key, num_episodes=EVALUATION_EPISODES)
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
