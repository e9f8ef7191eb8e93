"""Memories of what has happened, to be filled by hand; algorithms fill their own."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, ArrayLike, Bool, Float, Key, PyTree, Real

from lerax import tree
from lerax.advantage import GAE
from lerax.algorithm import ReplayBuffer as Ring
from lerax.algorithm.off_policy.buffer import Row
from lerax.errors import SettingError
from lerax.space import AbstractSpace


class RolloutBuffer(eqx.Module):
    """A segment of one environment, `[time, ...]`.

    Attributes:
        observations: What the policy saw.
        actions: What it did.
        rewards: What it got.
        dones: Where an episode ended.
        log_probs: Log probabilities of the actions.
        values: Values of the observations.
        states: The policy's memories; None for none.
        action_masks: Which actions were allowed; None for all.
        advantages: What `compute_returns_and_advantages` gives.
        returns: Likewise.
    """

    observations: PyTree
    actions: PyTree
    rewards: Real[Array, " time"]
    dones: Bool[Array, " time"]
    log_probs: Float[Array, " time"]
    values: Float[Array, " time"]
    states: PyTree = None
    action_masks: PyTree = None
    advantages: Float[Array, " time"] | None = None
    returns: Float[Array, " time"] | None = None

    def compute_returns_and_advantages(
        self,
        last_value: Float[ArrayLike, ""],
        gae_lambda: float | Float[Array, ""],
        gamma: float | Float[Array, ""],
    ) -> "RolloutBuffer":
        """The same with advantages and returns, see `lerax.advantage.GAE`.

        Args:
            last_value: Value of the observation after the last step.
            gae_lambda: Weight of later steps.
            gamma: Discount factor.
        """
        judge = GAE(gamma, gae_lambda)
        advantages, returns = judge(self.rewards, self.values, self.dones, last_value)
        return dataclasses.replace(self, advantages=advantages, returns=returns)


class Draws(eqx.Module):
    """Steps drawn from a `ReplayBuffer`, `[sample, ...]`.

    Attributes:
        observations: What the policy saw.
        next_observations: What it saw then.
        actions: What it did.
        rewards: What it got.
        dones: Where the task ended.
        timeouts: Where the time was up.
        states: The policy's memories; None for none.
        next_states: Those after the step.
    """

    observations: PyTree
    next_observations: PyTree
    actions: PyTree
    rewards: Float[Array, " sample"]
    dones: Bool[Array, " sample"]
    timeouts: Bool[Array, " sample"]
    states: PyTree
    next_states: PyTree


class ReplayBuffer(eqx.Module):
    """The algorithms' `lerax.algorithm.ReplayBuffer`, filled step by step.

    Args:
        size: Steps that it holds.
        observation_space: Space of the observations.
        action_space: Space of the actions.
        state: A memory of the policy; None for none.
    """

    ring: Ring

    def __init__(
        self, size: int, observation_space: AbstractSpace, action_space: AbstractSpace, state: PyTree = None
    ):
        key, no = jr.key(0), jnp.array(False)
        seen, done = observation_space.sample, action_space.sample
        like = jax.eval_shape(
            lambda: _row(seen(key=key), seen(key=key), done(key=key), jnp.float32(0), no, no, state, state)
        )
        self.ring = Ring.empty(like, size, 1)

    def add(
        self,
        *,
        observation: PyTree,
        next_observation: PyTree,
        action: PyTree,
        reward: Float[ArrayLike, ""],
        done: Bool[ArrayLike, ""],
        timeout: Bool[ArrayLike, ""],
        state: PyTree = None,
        next_state: PyTree = None,
    ) -> "ReplayBuffer":
        """The buffer with a step more, in place of the oldest once it is full."""
        row = _row(observation, next_observation, action, reward, done, timeout, state, next_state)
        dtypes = jax.tree.unflatten(self.ring.packing.structure, self.ring.packing.dtypes)
        steps: Row = jax.tree.map(lambda x, dtype: jnp.asarray(x, dtype)[None, None], row, dtypes)
        return eqx.tree_at(lambda buffer: buffer.ring, self, self.ring.added(steps))

    def sample(self, batch_size: int, *, key: Key[Array, ""]) -> Draws:
        """Draws steps with replacement.

        Raises:
            SettingError: There is none, where that is known: inside of a compiled program it is not.
        """
        if not tree.is_traced(size := self.ring.size) and not int(size):
            raise SettingError("ReplayBuffer", None, wrong="holds no steps to draw; add some", said="0")
        found = self.ring.sample(batch_size, n_step=1, gamma=1.0, key=key)
        return Draws(
            rewards=found.reward, actions=found.action, **found.observation, **found.next_observation
        )


def _row(
    observation: PyTree,
    next_observation: PyTree,
    action: PyTree,
    reward: Any,
    done: Any,
    timeout: Any,
    state: PyTree,
    next_state: PyTree,
) -> Row:
    """A step as the ring has it: what that does not give back goes through as a part of the observation."""
    return Row(
        observation={"observations": observation, "states": state, "dones": done, "timeouts": timeout},
        action=action,
        action_mask=None,
        reward=reward,
        terminal=done,
        truncated=timeout,
        next_observation={"next_observations": next_observation, "next_states": next_state},
        next_action_mask=None,
    )
