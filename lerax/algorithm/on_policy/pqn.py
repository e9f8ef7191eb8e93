"""Parallelised Q-network (Gallici et al., 2024, https://arxiv.org/abs/2407.04811)."""

from typing import ClassVar

import equinox as eqx
import jax
import optax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from lerax.advantage import gae
from lerax.collect import Standing, Steps
from lerax.learner import Log
from lerax.policy import MLPQPolicy

from .. import arguments
from ..exploration import AbstractEpsilonGreedy
from ..optimizer import holding_rate
from .base import AbstractOnPolicyAlgorithm
from .batch import values_around
from .update import Scalars


class QBatch(eqx.Module):
    """What the update reads; arrays are `[time, env, ...]`, flattened to `[sample, ...]`.

    Attributes:
        observation: What the policy saw.
        action: What it did.
        value: What the action was worth by the policy that did it.
        returns: What it should have been: the return Q(lambda).
    """

    observation: PyTree
    action: Int[Array, "*batch"]
    value: Float[Array, "*batch"]
    returns: Float[Array, "*batch"]


class PQN(AbstractEpsilonGreedy, AbstractOnPolicyAlgorithm):
    """Q-learning from fresh rollouts of many environments, with neither a replay memory nor target networks.

    Instead of these LayerNorm makes it stable, which `MLPPQNPolicy` has. The optimizer is RAdam
    (Liu et al., 2020), as in the authors' code.

    Raises:
        SettingError: A setting is out of range, or the minibatches do not divide the rollout.
    """

    num_envs: int = arguments.num_envs(32)
    num_steps: int = arguments.num_steps(64)
    num_epochs: int = arguments.num_epochs(4)
    num_batches: int = arguments.num_batches(16)
    learning_rate: float = arguments.learning_rate(2.5e-4)
    learning_rate_schedule: str = arguments.learning_rate_schedule()
    gamma: float = arguments.gamma()
    q_lambda: float = arguments.fraction(0.95, "Lambda of the returns Q(lambda).")
    normalize_rewards: bool = arguments.normalize_rewards()
    max_grad_norm: float = arguments.max_grad_norm(10.0)

    default_policy: ClassVar[str] = "MLPPQNPolicy"
    trains: ClassVar = (MLPQPolicy, "a policy that values actions, such as MLPPQNPolicy")

    def make_optimizer(self) -> optax.GradientTransformation:
        return holding_rate(optax.radam, self.learning_rate)

    def exploring(self, policy: MLPQPolicy, progress: Float[Array, ""]) -> tuple[MLPQPolicy, Log]:
        epsilon = self.epsilon_at(progress)
        return policy.with_epsilon(epsilon), {"epsilon": epsilon}

    def act(
        self,
        policy: MLPQPolicy,
        policy_state: PyTree,
        observation: PyTree,
        mask: Bool[Array, " n"] | None,
        noise: Array,
    ) -> tuple[PyTree, Int[Array, ""], Float[Array, ""]]:
        """What is recorded beside the action is its value."""
        action = policy.action(observation, noise, mask)
        return policy_state, action, policy.q_values(observation)[policy.choices.index(action)]

    def judged(
        self, policy: MLPQPolicy, steps: Steps, reward: Float[Array, "time env"], standing: Standing
    ) -> QBatch:
        """The returns r + gamma (lambda R' + (1 - lambda) max Q(s', .)) of section 4.

        Less max Q(s, .) they are the sums that generalized advantage estimation makes of max Q.
        """

        def best(_: PyTree, observation: PyTree, mask: Bool[Array, " n"] | None) -> Float[Array, ""]:
            least = jnp.finfo(jnp.float32).min
            if mask is not None:
                mask = mask | ~jnp.any(mask)  # an episode's last state may allow nothing: then all count
            return jnp.max(policy.q_values(observation), where=mask, initial=least)

        value, next_value = values_around(best, steps, standing)
        ends = steps.terminal, steps.done
        above = gae(reward, value, next_value, *ends, gamma=self.gamma, gae_lambda=self.q_lambda)
        return QBatch(steps.observation, steps.action, steps.extra, above + value)

    def loss(
        self, policy: MLPQPolicy, batch: QBatch, progress: Float[Array, ""]
    ) -> tuple[Float[Array, ""], Scalars]:
        """Half the mean squared error of the values of what was done."""
        index = policy.choices.index(batch.action)
        value = jax.vmap(lambda o, i: policy.q_values(o)[i])(batch.observation, index)
        loss = 0.5 * jnp.mean((value - batch.returns) ** 2)
        return loss, {"loss": loss, "q_value": jnp.mean(value)}
