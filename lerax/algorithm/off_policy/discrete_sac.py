"""Soft actor-critic for discrete actions (Christodoulou, 2019, https://arxiv.org/abs/1910.07207)."""

from typing import Any

import jax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from lerax.distribution import Categorical
from lerax.env import AbstractEnvLike
from lerax.learner import Log
from lerax.policy import MLPCategoricalPolicy
from lerax.settings import setting

from . import arguments
from .buffer import Transitions
from .critics import squared_error, values
from .networks import must_be, trained
from .soft import AbstractSoftAlgorithm, SoftNetworks


class DiscreteSAC(AbstractSoftAlgorithm):
    """Soft actor-critic whose expectations over actions are exact sums.

    Raises:
        ValueError: A setting is out of range, or does not fit the others.
    """

    tau: float = arguments.tau()
    entropy_fraction: float = setting(
        0.89, "The wanted entropy, as a part of that of the uniform policy.", at_least=0, at_most=1
    )

    default_policy = "MLPCategoricalPolicy"

    def init_networks(self, env: AbstractEnvLike, policy: Any, *, key: Key[Array, ""]) -> SoftNetworks:
        must_be(self.name, policy, MLPCategoricalPolicy)
        return self.make_networks(policy, targets=True, key=key)

    def explore(
        self, policy: Any, observation: PyTree, action_mask: Bool[Array, " n"] | None, *, noise: Array
    ) -> Int[Array, ""]:
        return policy.action(observation, noise, action_mask)

    def update(
        self, networks: SoftNetworks, batch: Transitions, *, number: Int[Array, ""], key: Key[Array, ""]
    ) -> tuple[SoftNetworks, Log]:
        policy, alpha, optimizer = networks.policy, networks.temperature.alpha, self.optimizer()
        policy_state, critic_state, _ = networks.opt_state
        q = lambda critics, observation: values(critics, jax.vmap(policy.normalized)(observation))

        # Equation 10: the expectation over the next action, written out.
        chances = _chances(policy, batch.next_observation, batch.next_action_mask)
        follows = jnp.min(q(networks.target_critics, batch.next_observation), axis=0)
        soft_value = _expected(chances, follows - alpha * chances.log_probs)
        wanted = batch.reward + batch.discount * soft_value
        chosen = jnp.arange(follows.shape[1]) == policy.choices.index(batch.action)[:, None]

        def critic_loss(critics: tuple) -> tuple[Float[Array, ""], Float[Array, ""]]:
            found = jnp.sum(jnp.where(chosen, q(critics, batch.observation), 0.0), axis=2)
            return squared_error(found, wanted), jnp.mean(found)

        critics, critic_state, loss, value = trained(networks.critics, critic_state, critic_loss, optimizer)
        least_value = jnp.min(q(critics, batch.observation), axis=0)

        def policy_loss(policy: Any) -> tuple[Float[Array, ""], Float[Array, ""]]:  # equation 12
            chances = _chances(policy, batch.observation, batch.action_mask)
            soft = _expected(chances, alpha * chances.log_probs - least_value)
            return jnp.mean(soft), jnp.mean(jax.vmap(lambda one: one.entropy())(chances))

        policy, policy_state, least, entropy = trained(policy, policy_state, policy_loss, optimizer)
        allowed = jnp.float32(follows.shape[1])
        if batch.action_mask is not None:
            allowed = jnp.sum(batch.action_mask, axis=1, dtype=jnp.float32)
        missing = self.entropy_fraction * jnp.mean(jnp.log(allowed)) - entropy
        networks = self.moved(networks, policy, critics, (policy_state, critic_state), missing)
        log = {"critic_loss": loss, "policy_loss": least, "q_value": value}
        log |= {"entropy": entropy, "temperature": alpha}
        return networks, log


SACDiscrete = DiscreteSAC
"""Its other name."""


def _chances(policy: Any, observation: PyTree, mask: Bool[Array, "sample n"] | None) -> Categorical:
    """The distributions of the samples' actions, mapped."""
    if mask is None:
        return jax.vmap(policy.distribution)(observation)
    return jax.vmap(policy.distribution)(observation, mask)


def _expected(chances: Categorical, of: Float[Array, "sample n"]) -> Float[Array, " sample"]:
    probs = jnp.exp(chances.log_probs)
    return jnp.sum(probs * jnp.where(probs > 0, of, 0.0), axis=1)  # of forbidden actions it is infinite
