"""Running statistics of episodes, one environment at a time."""

import jax
from jax import numpy as jnp
from jaxtyping import Array, Float, Int

from .base_callback import AbstractCallbackStepState, StepContext


class EpisodeStatistics(AbstractCallbackStepState):
    """Sums of the running episode, and moving averages over the finished ones.

    Attributes:
        episode_return: Sum of the environment's rewards in the running episode.
        episode_length: Steps of the running episode.
        average_return: Exponential moving average of finished episodes' returns.
        average_length: Exponential moving average of finished episodes' lengths.
        episodes: Finished episodes.
    """

    episode_return: Float[Array, "*env"]
    episode_length: Int[Array, "*env"]
    average_return: Float[Array, "*env"]
    average_length: Float[Array, "*env"]
    episodes: Int[Array, "*env"]

    @classmethod
    def initial(cls) -> "EpisodeStatistics":
        """Before the first step."""
        zero, none = jnp.array(0.0), jnp.array(0, jnp.int32)
        return cls(zero, none, zero, zero, none)

    def after(self, ctx: StepContext, alpha: float) -> "EpisodeStatistics":
        """The statistics after a step.

        Args:
            ctx: The step.
            alpha: Weight of the newest episode. The first episode begins the average.
        """
        total, length = self.episode_return + ctx.reward, self.episode_length + 1
        weight = jnp.where(self.episodes == 0, 1.0, alpha) * ctx.done
        return EpisodeStatistics(
            episode_return=jnp.where(ctx.done, 0.0, total),
            episode_length=jnp.where(ctx.done, 0, length),
            average_return=self.average_return + weight * (total - self.average_return),
            average_length=self.average_length + weight * (length - self.average_length),
            episodes=self.episodes + ctx.done,
        )

    def over_environments(self) -> dict[str, Array]:
        """Means over the environments that have finished an episode, and the number of episodes."""
        begun = self.episodes > 0
        count = jnp.maximum(jnp.sum(begun), 1)
        mean = lambda values: jnp.sum(jnp.where(begun, values, 0.0)) / count
        return {
            "episode/return": mean(self.average_return),
            "episode/length": mean(self.average_length),
            "episode/count": jnp.sum(self.episodes),
        }


def learning_rate(opt_state: object) -> Float[Array, ""]:
    """The learning rate that an Optax state holds (`inject_hyperparams`); NaN where it holds none."""
    for path, leaf in jax.tree_util.tree_flatten_with_path(opt_state)[0]:
        names = [str(getattr(part, "name", getattr(part, "key", ""))) for part in path]
        if names[-2:] == ["hyperparams", "learning_rate"]:
            return jnp.asarray(leaf, jnp.float32)
    return jnp.array(jnp.nan)
