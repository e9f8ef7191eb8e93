"""What is logged of a training: its settings, running statistics of episodes, and the algorithm's scalars."""

from typing import Any

import equinox as eqx
from jax import numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Int

from lerax.settings import setting, setting_values

from .base_callback import AbstractCallbackStepState, IterationContext, StepContext, TrainingContext
from .records import IterationScalars, TrainingStart


class EpisodeStatistics(AbstractCallbackStepState):
    """The running episode of one environment, and moving averages over the finished ones.

    Attributes:
        step: Steps taken in this training.
        episode_return: Sum of the environment's rewards in the current episode.
        episode_length: Steps of the current episode.
        episode_done: Whether the current episode has ended; the next step begins a new one.
        average_return: Exponential moving average of finished episodes' returns; 0 before the first.
        average_length: Exponential moving average of finished episodes' lengths; 0 before the first.
    """

    step: Int[Array, "*env"]
    episode_return: Float[Array, "*env"]
    episode_length: Int[Array, "*env"]
    episode_done: Bool[Array, "*env"]
    average_return: Float[Array, "*env"]
    average_length: Float[Array, "*env"]

    def __init__(
        self,
        step: Int[ArrayLike, "*env"],
        episode_return: Float[ArrayLike, "*env"],
        episode_length: Int[ArrayLike, "*env"],
        episode_done: Bool[ArrayLike, "*env"],
        average_return: Float[ArrayLike, "*env"],
        average_length: Float[ArrayLike, "*env"],
    ):
        self.step = jnp.asarray(step, jnp.int32)
        self.episode_return = jnp.asarray(episode_return, jnp.float32)
        self.episode_length = jnp.asarray(episode_length, jnp.int32)
        self.episode_done = jnp.asarray(episode_done, bool)
        self.average_return = jnp.asarray(average_return, jnp.float32)
        self.average_length = jnp.asarray(average_length, jnp.float32)

    @classmethod
    def initial(cls) -> "EpisodeStatistics":
        """Before the first step."""
        return cls(0, 0.0, 0, False, 0.0, 0.0)

    @property
    def begun(self) -> Bool[Array, "*env"]:
        """Whether an episode has finished, so that there are averages."""
        return self.average_length > 0

    def after(self, ctx: StepContext, alpha: float | Float[Array, ""]) -> "EpisodeStatistics":
        """The statistics after a step.

        Args:
            ctx: The step.
            alpha: Weight of the newest episode. The first episode begins the average.
        """
        total = jnp.where(self.episode_done, 0.0, self.episode_return) + ctx.reward
        length = jnp.where(self.episode_done, 0, self.episode_length) + 1
        weight = jnp.where(self.begun, alpha, 1.0) * ctx.done
        return EpisodeStatistics(
            step=self.step + 1,
            episode_return=total,
            episode_length=length,
            episode_done=ctx.done,
            average_return=self.average_return + weight * (total - self.average_return),
            average_length=self.average_length + weight * (length - self.average_length),
        )

    def over_environments(self) -> tuple[dict[str, Array], Bool[Array, ""]]:
        """Means over the environments that have finished an episode, and whether any has."""
        count = jnp.sum(self.begun, dtype=jnp.int32)
        mean = lambda values: jnp.sum(jnp.where(self.begun, values, 0.0)) / jnp.maximum(count, 1)
        means = {"episode/return": mean(self.average_return), "episode/length": mean(self.average_length)}
        return means, count > 0


def alpha_setting() -> Any:
    """Declares the weight of the newest episode."""
    return setting(0.9, "Weight of the newest episode in the moving averages.", above=0, at_most=1)


def training_start(ctx: TrainingContext, **settings: Any) -> TrainingStart:
    """Everything that is logged of a training that begins; `settings` beside the algorithm's."""
    algorithm, known = ctx.algorithm, setting_values(ctx.algorithm) | settings
    numbers = {name: value for name, value in known.items() if eqx.is_array(value)}
    return TrainingStart(
        done=ctx.iteration_count,
        total=ctx.locals["total_iterations"],
        names=(algorithm.name, ctx.policy.name, ctx.env.name),
        steps_per_iteration=algorithm.steps_per_iteration,
        settings=tuple((known | dict.fromkeys(numbers)).items()),
        numbers=numbers,
    )


def iteration_scalars(ctx: IterationContext) -> IterationScalars:
    """Everything that is logged of an iteration; the context's step state is an `EpisodeStatistics`."""
    means, begun = ctx.step_state.over_environments()
    log, there = ctx.training_log, ctx.training_log_mask
    logged = {name: value for name, value in log.items() if jnp.ndim(value) == 0}
    values = means | {f"train/{name}": value for name, value in logged.items()}
    mask = {tag: begun for tag in means}
    mask |= {f"train/{name}": there[name] for name in logged if name in there}
    return IterationScalars(ctx.iteration_count, values, mask)
