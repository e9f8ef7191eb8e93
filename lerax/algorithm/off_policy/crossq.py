"""CrossQ (Bhatt et al., 2024, https://arxiv.org/abs/1902.05605)."""

import dataclasses
from typing import Any

import jax
import optax
from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Float, Int, Key

from lerax import tree
from lerax.env import AbstractEnvLike
from lerax.learner import Log, Maybe
from lerax.policy import MLPCrossQPolicy

from .. import arguments as shared
from ..optimizer import adam
from . import arguments
from .buffer import Transitions
from .critics import q_values, squared_error
from .networks import must_be, trained, with_rest_of
from .soft import AbstractGaussianSoftAlgorithm, SoftNetworks, acted


class CrossQ(AbstractGaussianSoftAlgorithm):
    """Soft actor-critic without target networks: what is and what follows is renormalised in one batch.

    Raises:
        ValueError: A setting is out of range, or does not fit the others.
    """

    learning_rate: float = shared.learning_rate(1e-3)
    policy_delay: int = arguments.policy_delay(3)

    default_policy = "MLPCrossQPolicy"

    def optimizer(self) -> optax.GradientTransformation:
        return adam(self.learning_rate, b1=0.5)

    def init_networks(self, env: AbstractEnvLike, policy: Any, *, key: Key[Array, ""]) -> SoftNetworks:
        must_be(self.name, policy, MLPCrossQPolicy)
        return self.make_networks(policy, targets=False, key=key)

    def update(
        self, networks: SoftNetworks, batch: Transitions, *, number: Int[Array, ""], key: Key[Array, ""]
    ) -> tuple[SoftNetworks, Log]:
        policy, alpha = networks.policy, networks.temperature.alpha
        noise = self.noise_of(policy, (2, self.batch_size), key)
        distribution = jax.vmap(policy.distribution)(batch.next_observation)
        next_action, next_log_prob = acted(distribution, noise[0])
        together = lambda now, following: jax.tree.map(lambda *pair: jnp.concatenate(pair), now, following)
        normalized = jax.vmap(policy.normalized)
        observations = together(normalized(batch.observation), normalized(batch.next_observation))
        actions = together(jax.vmap(policy.unit)(batch.action), next_action)

        def critic_loss(critics: tuple) -> tuple[Float[Array, ""], Any]:
            outputs, after = zip(*(critic.train(observations, actions) for critic in critics), strict=True)
            found, follows = jnp.split(jnp.stack(outputs)[..., 0], 2, axis=1)
            soft_value = lax.stop_gradient(jnp.min(follows, axis=0)) - alpha * next_log_prob
            wanted = batch.reward + batch.discount * soft_value
            return squared_error(found, wanted), (jnp.mean(found), after)

        policy_state, critic_state, temperature_state = networks.opt_state
        critics, critic_state, loss, (value, after) = trained(
            networks.critics, critic_state, critic_loss, self.optimizer()
        )
        critics = with_rest_of(critics, after)
        opt_state = policy_state, critic_state, temperature_state
        waiting = dataclasses.replace(networks, critics=critics, opt_state=opt_state)
        due = number % self.policy_delay == 0
        nothing = jnp.zeros((), jnp.float32), jnp.zeros((), jnp.float32)
        improved = lambda now: self._improved(now, batch, noise[1])
        networks, (least, entropy) = tree.cond(due, improved, lambda now: (now, nothing), waiting)
        log = {"critic_loss": loss, "q_value": value, "temperature": alpha}
        log |= {"policy_loss": Maybe(least, due), "entropy": Maybe(entropy, due)}
        return networks, log

    def _improved(
        self, networks: SoftNetworks, batch: Transitions, noise: Float[Array, "sample size"]
    ) -> tuple[SoftNetworks, tuple[Float[Array, ""], Float[Array, ""]]]:
        """The networks after an update of policy and temperature, the policy's loss and its entropy."""
        policy_state, critic_state, _ = networks.opt_state
        alpha = networks.temperature.alpha

        def policy_loss(policy: Any) -> tuple[Float[Array, ""], Any]:
            distribution, after = policy.train(batch.observation)
            action, log_prob = acted(distribution, noise)
            found = q_values(networks.critics, policy, batch.observation, action)
            return jnp.mean(alpha * log_prob - jnp.min(found, axis=0)), (-jnp.mean(log_prob), after)

        policy, policy_state, least, (entropy, after) = trained(
            networks.policy, policy_state, policy_loss, self.optimizer()
        )
        missing = self.missing_entropy(policy, entropy)
        policy = with_rest_of(policy, after)
        networks = self.moved(networks, policy, networks.critics, (policy_state, critic_state), missing)
        return networks, (least, entropy)
