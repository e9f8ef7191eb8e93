"""Advantages and returns: pure functions on `[time, env]` arrays, and objects for one environment."""

from abc import abstractmethod

import equinox as eqx
from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Real

from lerax.settings import check_count
from lerax.tree import floats


def gae(
    rewards: Real[Array, "time env"],
    values: Float[Array, "time env"],
    next_values: Float[Array, "time env"],
    terminals: Bool[Array, "time env"],
    dones: Bool[Array, "time env"],
    *,
    gamma: float | Float[Array, ""],
    gae_lambda: float | Float[Array, ""],
) -> Float[Array, "time env"]:
    """Generalized advantage estimation (Schulman et al., 2016, https://arxiv.org/abs/1506.02438).

    Args:
        rewards: The environment's rewards.
        values: Value of the observation that each action was taken in.
        next_values: Value of the observation that followed, of the same episode: at a truncation that of
            the last observation of the finished episode.
        terminals: Where the task ended: nothing follows.
        dones: Where an episode ended in either way: the sum over later steps is cut.
        gamma: Discount factor.
        gae_lambda: Weight of later steps; 0 is one-step, 1 is Monte Carlo.

    Returns:
        The advantage of each action.
    """
    rewards = floats(rewards)
    errors = rewards + gamma * next_values * (1.0 - terminals.astype(rewards.dtype)) - values
    decay = gamma * gae_lambda * (1.0 - dones.astype(rewards.dtype))

    def backwards(
        later: Float[Array, " env"], step: tuple[Float[Array, " env"], Float[Array, " env"]]
    ) -> tuple[Float[Array, " env"], Float[Array, " env"]]:
        error, factor = step
        advantage = error + factor * later
        return advantage, advantage

    unroll = min(8, rewards.shape[0])
    start = jnp.zeros_like(rewards[0])
    return lax.scan(backwards, start, (errors, decay), reverse=True, unroll=unroll)[1]


class AbstractAdvantageEstimator(eqx.Module):
    """Advantages and returns of one segment of one environment, as an object; `jax.vmap` maps it over many.

    A segment says only where episodes ended, so that a time limit counts as an end: `gae` tells them apart.
    """

    @abstractmethod
    def __call__(
        self,
        rewards: Real[Array, " time"],
        values: Real[Array, " time"],
        dones: Bool[Array, " time"],
        last_value: Real[ArrayLike, ""],
    ) -> tuple[Float[Array, " time"], Float[Array, " time"]]:
        """Judges a segment.

        Args:
            rewards: The environment's rewards.
            values: Value of the observation that each action was taken in.
            dones: Where an episode ended.
            last_value: Value of the observation after the last step.

        Returns:
            The advantage of each action, and the return that its value is to become.
        """


class GAE(AbstractAdvantageEstimator):
    """`gae` as an object.

    Attributes:
        gamma: Discount factor.
        lam: Weight of later steps; 0 is one-step, 1 is Monte Carlo.
    """

    gamma: float | Float[Array, ""] = 0.99
    lam: float | Float[Array, ""] = 0.95

    def __call__(
        self,
        rewards: Real[Array, " time"],
        values: Real[Array, " time"],
        dones: Bool[Array, " time"],
        last_value: Real[ArrayLike, ""],
    ) -> tuple[Float[Array, " time"], Float[Array, " time"]]:
        rewards, values = floats(rewards), floats(values)
        # One environment beside no other.
        row, value, next_value, done = (
            x[:, None] for x in (rewards, values, _followed(values, last_value), dones)
        )
        found = gae(row, value, next_value, done, done, gamma=self.gamma, gae_lambda=self.lam)[:, 0]
        return found, found + values


class BootstrappedReturn(AbstractAdvantageEstimator):
    """Discounted sums of rewards up to the episode's end, or that of the segment and `last_value`.

    Attributes:
        gamma: Discount factor.
    """

    gamma: float | Float[Array, ""] = 0.99

    def __call__(
        self,
        rewards: Real[Array, " time"],
        values: Real[Array, " time"],
        dones: Bool[Array, " time"],
        last_value: Real[ArrayLike, ""],
    ) -> tuple[Float[Array, " time"], Float[Array, " time"]]:
        returns = discounted_returns(rewards, dones, last_value, self.gamma)
        return returns - values, returns


class NStepReturn(AbstractAdvantageEstimator):
    """Discounted sums of at most n rewards, and the value of what follows them.

    Attributes:
        n: The most rewards that are summed.
        gamma: Discount factor.

    Raises:
        SettingError: n is no whole number, or below 1.
    """

    n: int = eqx.field(static=True)
    gamma: float | Float[Array, ""] = 0.99

    def __check_init__(self):
        object.__setattr__(self, "n", check_count("n", self.n, 5))

    def __call__(
        self,
        rewards: Real[Array, " time"],
        values: Real[Array, " time"],
        dones: Bool[Array, " time"],
        last_value: Real[ArrayLike, ""],
    ) -> tuple[Float[Array, " time"], Float[Array, " time"]]:
        rewards, values = floats(rewards), floats(values)
        discount = self.gamma * (1.0 - dones.astype(rewards.dtype))
        # One reward more each time: what counts of the next step is one step shorter.
        longer = lambda _, returns: rewards + discount * _followed(returns, last_value)
        returns = lax.fori_loop(0, min(self.n, rewards.shape[0]), longer, values)
        return returns - values, returns


def discounted_returns(
    rewards: Real[Array, " time"],
    dones: Bool[Array, " time"],
    last_value: Real[ArrayLike, ""],
    gamma: float | Float[Array, ""],
) -> Float[Array, " time"]:
    """The discounted sum of rewards from each step to the episode's end.

    Args:
        rewards: The environment's rewards.
        dones: Where an episode ended.
        last_value: What counts as the sum after the last step.
        gamma: Discount factor.
    """
    rewards = floats(rewards)
    return GAE(gamma, 1.0)(rewards, jnp.zeros_like(rewards), dones, last_value)[0]


def _followed(values: Float[Array, " time"], last: Float[ArrayLike, ""]) -> Float[Array, " time"]:
    """What follows each step, and `last` the last one."""
    return jnp.append(values[1:], jnp.asarray(last, values.dtype))
