"""Soft actor-critic (Haarnoja et al., 2018, https://arxiv.org/abs/1812.05905)."""

from typing import Any

import jax
from jax import numpy as jnp
from jaxtyping import Array, Float, Int, Key

from lerax.env import AbstractEnvLike
from lerax.learner import Log
from lerax.policy import MLPSquashedGaussianPolicy

from . import arguments
from .buffer import Transitions
from .critics import q_values, squared_error
from .networks import must_be, trained
from .soft import AbstractGaussianSoftAlgorithm, SoftNetworks, acted


class SAC(AbstractGaussianSoftAlgorithm):
    """Soft actor-critic with two critics and a learned temperature.

    Raises:
        ValueError: A setting is out of range, or does not fit the others.
    """

    tau: float = arguments.tau()

    def init_networks(self, env: AbstractEnvLike, policy: Any, *, key: Key[Array, ""]) -> SoftNetworks:
        must_be(self.name, policy, MLPSquashedGaussianPolicy)
        return self.make_networks(policy, targets=True, key=key)

    def update(
        self, networks: SoftNetworks, batch: Transitions, *, number: Int[Array, ""], key: Key[Array, ""]
    ) -> tuple[SoftNetworks, Log]:
        policy, alpha, optimizer = networks.policy, networks.temperature.alpha, self.optimizer()
        policy_state, critic_state, _ = networks.opt_state
        noise = self.noise_of(policy, (2, self.batch_size), key)

        # Equations 2 and 3: the soft value of what follows.
        distribution = jax.vmap(policy.distribution)(batch.next_observation)
        next_action, next_log_prob = acted(distribution, noise[0])
        follows = q_values(networks.target_critics, policy, batch.next_observation, next_action)
        soft_value = jnp.min(follows, axis=0) - alpha * next_log_prob
        wanted = batch.reward + batch.discount * soft_value
        action = jax.vmap(policy.unit)(batch.action)

        def critic_loss(critics: tuple) -> tuple[Float[Array, ""], Float[Array, ""]]:  # equation 5
            found = q_values(critics, policy, batch.observation, action)
            return squared_error(found, wanted), jnp.mean(found)

        critics, critic_state, loss, value = trained(networks.critics, critic_state, critic_loss, optimizer)

        def policy_loss(policy: Any) -> tuple[Float[Array, ""], Float[Array, ""]]:  # equation 7
            distribution = jax.vmap(policy.distribution)(batch.observation)
            action, log_prob = acted(distribution, noise[1])
            found = q_values(critics, policy, batch.observation, action)
            return jnp.mean(alpha * log_prob - jnp.min(found, axis=0)), -jnp.mean(log_prob)

        policy, policy_state, least, entropy = trained(policy, policy_state, policy_loss, optimizer)
        missing = self.missing_entropy(policy, entropy)
        networks = self.moved(networks, policy, critics, (policy_state, critic_state), missing)
        log = {"critic_loss": loss, "policy_loss": least, "q_value": value}
        log |= {"entropy": entropy, "temperature": alpha}
        return networks, log
