"""Rewards in a scale that training finds."""

import equinox as eqx
from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float

from lerax.statistics import RunningStatistics

MOST_REWARD = 10.0  # standard deviations of the return that a scaled reward may be


class RewardScale(eqx.Module):
    """What rewards are divided by: the standard deviation of discounted returns so far.

    Attributes:
        returns: Of each environment the sum of rewards until now, earlier ones discounted.
        statistics: Statistics of these sums.
    """

    returns: Float[Array, " env"]
    statistics: RunningStatistics

    @classmethod
    def initial(cls, num_envs: int) -> "RewardScale":
        """Before the first reward."""
        return cls(jnp.zeros(num_envs, jnp.float32), RunningStatistics.empty())

    def scaled(
        self, reward: Float[Array, "time env"], done: Bool[Array, "time env"], gamma: float | Float[Array, ""]
    ) -> tuple["RewardScale", Float[Array, "time env"]]:
        """The scale after a rollout, and its rewards in that scale."""

        def step(returns: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
            returns = gamma * returns + now[0]
            return returns * ~now[1], returns

        last, returns = lax.scan(step, self.returns, (reward, done))
        statistics = self.statistics.updated(returns.reshape(-1))
        return type(self)(last, statistics), statistics.scale(reward, MOST_REWARD)
