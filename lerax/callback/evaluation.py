"""EvalCallback: how good the policy is, measured while it is trained."""

import contextlib
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Int, Key

from lerax import checkpoint, tree
from lerax.env import AbstractEnvLike
from lerax.env.contract import check_env
from lerax.env.step import check_contract
from lerax.evaluate import evaluate
from lerax.policy import AbstractPolicy
from lerax.policy.base_policy import check_policy
from lerax.settings import check_count, check_instance, check_value, setting_values

from . import outbox
from .base_callback import AbstractCallback, OwnState, TrainingContext, next_multiple
from .logging import LoggingCallback


class EvalCallback(AbstractCallback):
    """Evaluates the policy every so many iterations, always on the same episodes, and keeps the best one.

    Works where the host drives training; inside a `jax.jit` of yours it does nothing and warns. The best one
    is that of all trainings that it was given to: for another task make another callback.

    Args:
        interval: Iterations between two evaluations; the first comes after as many.
        num_episodes: Episodes of an evaluation.
        env: The environment to evaluate in; by default the one that is trained on.
        logger: Gets `eval/return` and `eval/length`, means over the episodes.
        best_path: File to save the best policy in, each time there is a better one, in a folder that is made;
            a training that goes on from a checkpoint counts the one that is there.
        deterministic: Take the most probable actions instead of samples.
        seed: Of the episodes.

    Raises:
        ValueError: `interval` or `num_episodes` is below 1, or not a whole number; `seed` or `deterministic`
            has a wrong type.
        TypeError: `env` is no environment, or `logger` no LoggingCallback.
    """

    interval: int = eqx.field(static=True)
    num_episodes: int = eqx.field(static=True)
    deterministic: bool = eqx.field(static=True)
    seed: int = eqx.field(static=True)
    best_path: Path | None = eqx.field(static=True)
    env: AbstractEnvLike | None
    logger: LoggingCallback | None
    _handle: Int[Array, ""]

    def __init__(
        self,
        interval: int,
        *,
        num_episodes: int = 10,
        env: AbstractEnvLike | None = None,
        logger: LoggingCallback | None = None,
        best_path: str | Path | None = None,
        deterministic: bool = True,
        seed: int = 0,
    ):
        self.interval = check_count("interval", interval, 100)
        self.num_episodes = check_count("num_episodes", num_episodes, 10)
        if env is not None:
            check_env(env)
        if logger is not None:
            check_instance("logger", logger, LoggingCallback, "LoggingCallback(ConsoleBackend())")
        self.deterministic = check_value("deterministic", deterministic, True)
        self.seed = check_value("seed", seed, 0)
        self.best_path = None if best_path is None else Path(best_path)
        self.env, self.logger = env, logger
        self._handle = jnp.array(outbox.register(_Best(self.best_path)), jnp.int32)

    @property
    def best_policy(self) -> AbstractPolicy | None:
        """The policy with the highest mean return; None before the first evaluation."""
        return self._best.policy

    @property
    def best_return(self) -> float:
        """Its mean return; minus infinity before the first evaluation."""
        return self._best.mean_return

    @property
    def evaluations(self) -> list[tuple[int, float, float]]:
        """Environment steps, mean return and mean length of each evaluation, in order."""
        return list(self._best.evaluations)

    def on_training_start(self, ctx: TrainingContext, *, key: Key[Array, ""]) -> Any:
        outbox.warn_inside_jit("EvalCallback")
        if self.env is not None:  # the first evaluation may be hours away
            check_contract(self.env)
            check_policy(ctx.policy, self.env)
        outbox.emit(self._handle, _Begun(ctx.iteration_count, ctx.algorithm.steps_per_iteration))
        return ctx.state

    def next_due(self, iteration: int) -> int:
        return next_multiple(iteration, self.interval)

    def on_host(self, state: Any, own: OwnState, iteration: int) -> None:
        env = state.env if self.env is None else self.env
        result = evaluate(
            env,
            state.policy,
            key=jr.key(self.seed),
            num_episodes=self.num_episodes,
            deterministic=self.deterministic,
        )
        mean_return = float(np.mean(np.asarray(result.returns, float)))
        mean_length = float(np.mean(np.asarray(result.lengths, float)))
        steps_per_iteration = self._best.steps_per_iteration
        step = iteration * steps_per_iteration if self.logger is None else self.logger.step_at(iteration)
        self._best.evaluations.append((step, mean_return, mean_length))
        if self.logger is not None:
            self.logger.log({"eval/return": mean_return, "eval/length": mean_length}, step)
        if mean_return > self._best.mean_return:
            self._keep(state.policy, env, mean_return, step)

    def _keep(self, policy: AbstractPolicy, env: AbstractEnvLike, mean_return: float, step: int) -> None:
        self._best.mean_return = mean_return
        self._best.policy = jax.block_until_ready(tree.copy_arrays(policy))
        if self.best_path is not None:
            about = {"policy": policy.name, "settings": setting_values(policy), "env": env.name}
            self.best_path.parent.mkdir(parents=True, exist_ok=True)
            checkpoint.save(self.best_path, policy, about | {"steps": step, "return": mean_return})

    @property
    def _best(self) -> "_Best":
        found = outbox.receiver_of(int(self._handle))
        assert isinstance(found, _Best)
        return found


class _Begun(eqx.Module):
    """Iterations done before, and environment steps of an iteration."""

    done: Int[Array, ""]
    steps_per_iteration: int = eqx.field(static=True)


class _Best:
    """The host's half of an EvalCallback."""

    def __init__(self, path: Path | None) -> None:
        self.policy: AbstractPolicy | None = None
        self._path = path
        self.mean_return = -float("inf")
        self.evaluations: list[tuple[int, float, float]] = []
        self.steps_per_iteration = 1

    def receive(self, message: _Begun, times: np.ndarray, running: np.ndarray | None) -> None:
        """Takes what is known when training begins. One that goes on has a best policy already."""
        self.steps_per_iteration = message.steps_per_iteration
        if np.any(message.done) and not self.evaluations and self._path is not None and self._path.exists():
            with contextlib.suppress(checkpoint.CheckpointError):  # a damaged one is replaced by the next
                self.mean_return = float(checkpoint.read_metadata(self._path)["return"])
