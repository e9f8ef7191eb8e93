"""The mathematics that DDPG and TD3 share."""

import dataclasses
from typing import Any, ClassVar

import jax
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from lerax import tree
from lerax.env import AbstractEnvLike
from lerax.learner import Log, Maybe
from lerax.policy import MLPDeterministicPolicy

from . import arguments
from .base import AbstractOffPolicyAlgorithm
from .buffer import Transitions
from .critics import make_critics, q_values, squared_error
from .networks import AbstractNetworks, follow, must_be, trained, with_rest_of


class DeterministicNetworks(AbstractNetworks):
    """What deterministic policy gradients change.

    Attributes:
        policy: The policy.
        critics: What values actions.
        target_policy: Its slow copy.
        target_critics: Their slow copies.
        opt_state: Of the policy's and of the critics' optimizer.
    """

    policy: MLPDeterministicPolicy
    critics: tuple[Any, ...]
    target_policy: MLPDeterministicPolicy
    target_critics: tuple[Any, ...]
    opt_state: tuple[Any, Any]


class AbstractDeterministicAlgorithm(AbstractOffPolicyAlgorithm[DeterministicNetworks]):
    """Deterministic policy gradients (Silver et al., 2014) from a replay buffer.

    Noise and critics take actions in units of their box, from -1 to 1.

    Attributes:
        exploration_std: Standard deviation of the noise that is added to actions in training.
        tau: Part of the way that targets follow at each update of theirs.
        num_critics: Critics, of which the least is believed.
    """

    exploration_std: float = arguments.exploration_std(0.1)
    tau: float = arguments.tau()
    num_critics: ClassVar[int] = 1
    default_policy = "MLPDeterministicPolicy"

    @property
    def delay(self) -> int:
        """Updates of the critics for each one of the policy and of the targets."""
        return 1

    def smoothing(self, shape: tuple[int, ...], *, key: Key[Array, ""]) -> Float[Array, "..."]:
        """Noise that is added to the target policy's actions."""
        return jnp.zeros(shape, jnp.float32)

    def init_networks(
        self, env: AbstractEnvLike, policy: Any, *, key: Key[Array, ""]
    ) -> DeterministicNetworks:
        must_be(self.name, policy, MLPDeterministicPolicy)
        critics = make_critics(policy, self.num_critics, key=key)
        return DeterministicNetworks(
            policy=policy,
            critics=critics,
            target_policy=policy,
            target_critics=critics,
            opt_state=self.optimized(policy, critics),
        )

    def exploration_noise(self, policy: Any, *, key: Key[Array, ""]) -> Array:
        return jr.normal(key, (policy.action_space.flat_size,), jnp.float32)

    def explore(
        self, policy: Any, observation: PyTree, action_mask: Bool[Array, "..."] | None, *, noise: Array
    ) -> Array:
        action = policy.unit_action(observation) + self.exploration_std * noise
        return policy.scaled(jnp.clip(action, -1.0, 1.0))

    def update(
        self,
        networks: DeterministicNetworks,
        batch: Transitions,
        *,
        number: Int[Array, ""],
        key: Key[Array, ""],
    ) -> tuple[DeterministicNetworks, Log]:
        policy = networks.policy
        target = with_rest_of(networks.target_policy, policy)  # it sees what the policy sees
        action = jax.vmap(policy.unit)(batch.action)
        next_action = jax.vmap(target.unit_action)(batch.next_observation)
        next_action = jnp.clip(next_action + self.smoothing(next_action.shape, key=key), -1.0, 1.0)
        follows = q_values(networks.target_critics, policy, batch.next_observation, next_action)
        wanted = batch.reward + batch.discount * jnp.min(follows, axis=0)

        def critic_loss(critics: tuple) -> tuple[Float[Array, ""], Float[Array, ""]]:
            found = q_values(critics, policy, batch.observation, action)
            return squared_error(found, wanted), jnp.mean(found)

        optimizer, (policy_state, critic_state) = self.optimizer(), networks.opt_state
        critics, critic_state, loss, value = trained(networks.critics, critic_state, critic_loss, optimizer)

        def policy_loss(policy: Any) -> tuple[Float[Array, ""], None]:
            does = jax.vmap(policy.unit_action)(batch.observation)
            return -jnp.mean(q_values(critics[:1], policy, batch.observation, does)), None

        def improved(now: DeterministicNetworks) -> tuple[DeterministicNetworks, Float[Array, ""]]:
            policy, policy_state, loss, _ = trained(now.policy, now.opt_state[0], policy_loss, optimizer)
            now = DeterministicNetworks(
                policy=policy,
                critics=now.critics,
                target_policy=follow(now.target_policy, policy, self.tau),
                target_critics=follow(now.target_critics, now.critics, self.tau),
                opt_state=(policy_state, now.opt_state[1]),
            )
            return now, loss

        waiting = dataclasses.replace(
            networks, critics=critics, target_policy=target, opt_state=(policy_state, critic_state)
        )
        due, no_loss = number % self.delay == 0, jnp.array(0, jnp.float32)
        networks, least = tree.cond(due, improved, lambda now: (now, no_loss), waiting)
        log = {"critic_loss": loss, "q_value": value, "policy_loss": Maybe(least, due)}
        return networks, log
