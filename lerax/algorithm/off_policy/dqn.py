"""Deep Q-learning (Mnih et al., 2015, https://doi.org/10.1038/nature14236)."""

import dataclasses
from typing import Any

import jax
import optax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from lerax import tree
from lerax.env import AbstractEnvLike
from lerax.learner import Log
from lerax.policy import MLPQPolicy
from lerax.settings import setting

from .. import arguments as shared
from ..exploration import AbstractEpsilonGreedy
from . import arguments
from .base import AbstractOffPolicyAlgorithm
from .buffer import Transitions
from .networks import AbstractNetworks, follow, must_be, trained, with_rest_of


class QNetworks(AbstractNetworks):
    """What Q-learning changes.

    Attributes:
        policy: The policy, whose network is trained.
        target: Its slow copy.
        opt_state: Of the optimizer.
    """

    policy: MLPQPolicy
    target: MLPQPolicy
    opt_state: Any


class DQN(AbstractEpsilonGreedy, AbstractOffPolicyAlgorithm[QNetworks]):
    """Deep Q-learning with replay and a target network; by default double (van Hasselt et al., 2016).

    Dueling networks (Wang et al., 2016) are a setting of the policy.

    Raises:
        ValueError: A setting is out of range, or does not fit the others.
    """

    train_frequency: int = arguments.train_frequency(4)
    buffer_size: int = arguments.buffer_size(100_000)
    batch_size: int = arguments.batch_size(64)
    learning_starts: int = arguments.learning_starts(1_000)
    learning_rate: float = shared.learning_rate(1e-3)
    max_grad_norm: float = shared.max_grad_norm(10.0)
    double: bool = setting(True, "Choose by the network what the target values.")
    target_interval: int = setting(250, "Updates between those of the target.", at_least=1, at_most=2**30)
    tau: float = arguments.tau(1.0)

    default_policy = "MLPQPolicy"

    def init_networks(self, env: AbstractEnvLike, policy: Any, *, key: Key[Array, ""]) -> QNetworks:
        must_be(self.name, policy, MLPQPolicy)
        return QNetworks(policy=policy, target=policy, opt_state=self.optimized(policy)[0])

    def optimizer(self) -> optax.GradientTransformation:
        return optax.chain(optax.clip_by_global_norm(self.max_grad_norm), super().optimizer())

    def prepared(self, networks: QNetworks, progress: Float[Array, ""]) -> QNetworks:
        networks = super().prepared(networks, progress)
        epsilon = self.epsilon_at(progress)
        return dataclasses.replace(networks, policy=networks.policy.with_epsilon(epsilon))

    def explore(
        self, policy: Any, observation: PyTree, action_mask: Bool[Array, " n"] | None, *, noise: Array
    ) -> Int[Array, ""]:
        return policy.action(observation, noise, action_mask)

    def update(
        self, networks: QNetworks, batch: Transitions, *, number: Int[Array, ""], key: Key[Array, ""]
    ) -> tuple[QNetworks, Log]:
        q = lambda policy, observation: jax.vmap(policy.q_values)(observation)
        target = with_rest_of(networks.target, networks.policy)  # it sees what the policy sees
        follows = q(target, batch.next_observation)
        judged = q(networks.policy, batch.next_observation) if self.double else follows
        if (mask := batch.next_action_mask) is not None:
            mask = mask | ~jnp.any(mask, axis=1, keepdims=True)  # a time limit may leave none: then all count
            judged = jnp.where(mask, judged, -jnp.inf)
        best = jnp.arange(judged.shape[1]) == jnp.argmax(judged, axis=1, keepdims=True)
        wanted = batch.reward + batch.discount * jnp.sum(jnp.where(best, follows, 0.0), axis=1)
        chosen = jnp.arange(judged.shape[1]) == target.choices.index(batch.action)[:, None]

        def loss(policy: MLPQPolicy) -> tuple[Float[Array, ""], Float[Array, ""]]:
            found = jnp.sum(jnp.where(chosen, q(policy, batch.observation), 0.0), axis=1)
            return jnp.mean(optax.losses.huber_loss(found, wanted)), jnp.mean(found)

        policy, opt_state, value, mean = trained(networks.policy, networks.opt_state, loss, self.optimizer())
        due = (number + 1) % self.target_interval == 0
        target = tree.where(due, follow(target, policy, self.tau), target)
        networks = QNetworks(policy=policy, target=target, opt_state=opt_state)
        return networks, {"loss": value, "q_value": mean}

    def logged(self, networks: QNetworks) -> Log:
        return {"epsilon": networks.policy.epsilon.epsilon}
