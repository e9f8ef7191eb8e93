"""What on-policy algorithms share that have a policy and its value: how they act, advantages, the loss."""

from typing import ClassVar

import equinox as eqx
import jax
from jax import numpy as jnp
from jaxtyping import Array, Float, PyTree

from lerax.advantage import gae
from lerax.collect import Standing, Steps
from lerax.errors import SettingError
from lerax.policy import AbstractActorCriticPolicy

from .base import AbstractOnPolicyAlgorithm
from .batch import Batch, normalized, values_around
from .update import Scalars


class AbstractActorCriticAlgorithm(AbstractOnPolicyAlgorithm):
    """Follows the gradient of an objective of the policy, and learns its value beside it.

    A subclass gives its settings and, where it is not the policy gradient, `loss`.

    Attributes:
        gae_lambda: Lambda of generalized advantage estimation; 1 is the return itself, less the value.
        advantage_normalization: Where advantages are brought to mean 0 and deviation 1: in each
            `minibatch`, which is up to `loss`, in the whole `batch`, or nowhere (`none`).
        value_loss_coefficient: Weight of the value loss.
        entropy_loss_coefficient: Weight of the entropy bonus.
    """

    gae_lambda: eqx.AbstractVar[float]
    advantage_normalization: eqx.AbstractVar[str]
    value_loss_coefficient: eqx.AbstractVar[float]
    entropy_loss_coefficient: eqx.AbstractVar[float]

    trains: ClassVar = (AbstractActorCriticPolicy, "an actor-critic policy")

    def __check_init__(self):
        super().__check_init__()
        where = self.advantage_normalization
        parts = {"minibatch": self.num_batches, "batch": 1}.get(where, 0)
        if parts == self.steps_per_iteration:  # a number less its own mean
            wrong = f"a {where} of one step, whose advantage would become 0"
            hint = "advantage_normalization=none, or lower num_batches" if parts > 1 else "num_steps above 1"
            raise SettingError("advantage_normalization", where, wrong=wrong, hint=hint)

    @property
    def value_weight(self) -> float | Float[Array, ""]:
        """The weight of the value loss."""
        return self.value_loss_coefficient

    def act(
        self,
        policy: AbstractActorCriticPolicy,
        policy_state: PyTree,
        observation: PyTree,
        mask: PyTree,
        noise: PyTree,
    ) -> tuple[PyTree, PyTree, Float[Array, ""]]:
        """What is recorded beside the action is its log probability."""
        policy_state, action, _, log_prob = policy.action_and_value(
            policy_state, observation, noise=noise, action_mask=mask
        )
        return policy_state, action, log_prob

    def advantages(
        self,
        reward: Float[Array, "time env"],
        value: Float[Array, "time env"],
        next_value: Float[Array, "time env"],
        steps: Steps,
    ) -> tuple[Float[Array, "time env"], Float[Array, "time env"], Float[Array, "time env"] | None]:
        """The advantage of each action, what the value should have been, and the weight of each step.

        Args:
            reward: The rewards, scaled or not.
            value: Value of what was seen.
            next_value: Value of what followed in the same episode.
            steps: What happened.

        Returns:
            All of them; weights have the mean 1, None where all count alike.
        """
        advantage = gae(
            reward,
            value,
            next_value,
            steps.terminal,
            steps.done,
            gamma=self.gamma,
            gae_lambda=self.gae_lambda,
        )
        return advantage, advantage + value, None

    def judged(
        self,
        policy: AbstractActorCriticPolicy,
        steps: Steps,
        reward: Float[Array, "time env"],
        standing: Standing,
    ) -> Batch:
        value, next_value = values_around(lambda s, o, _: policy.value(s, o)[1], steps, standing)
        advantage, returns, weight = self.advantages(reward, value, next_value, steps)
        if self.advantage_normalization == "batch":
            advantage = normalized(advantage, weight)
        return Batch(
            observation=steps.observation,
            action=steps.action,
            action_mask=steps.action_mask,
            policy_state=steps.policy_state,
            log_prob=steps.extra,
            value=value,
            advantage=advantage if weight is None else advantage * weight,
            returns=returns,
            begins=jnp.roll(steps.done, 1, axis=0).at[0].set(True) if policy.through_time else None,
        )

    def evaluated(
        self, policy: AbstractActorCriticPolicy, batch: Batch
    ) -> tuple[Float[Array, " sample"], Float[Array, " sample"], Float[Array, " sample"]]:
        """Values, log probabilities of the actions, and entropies, by the policy as it is now."""
        evaluate = jax.vmap(lambda s, o, a, m: policy.evaluate_action(s, o, a, action_mask=m)[1:])
        return evaluate(batch.policy_state, batch.observation, batch.action, batch.action_mask)

    def loss(
        self, policy: AbstractActorCriticPolicy, batch: Batch, progress: Float[Array, ""]
    ) -> tuple[Float[Array, ""], Scalars]:
        """The policy gradient: that of E[log pi(a|s) A] (Sutton et al., 2000)."""
        value, log_prob, entropy = self.evaluated(policy, batch)
        return self.total(-jnp.mean(log_prob * batch.advantage), (value - batch.returns) ** 2, entropy)

    def total(
        self,
        policy_loss: Float[Array, ""],
        squared_error: Float[Array, " sample"],
        entropy: Float[Array, " sample"],
    ) -> tuple[Float[Array, ""], Scalars]:
        """The weighted sum of the three terms, and each of them to be logged.

        Args:
            policy_loss: What the policy is to lower.
            squared_error: Of the values.
            entropy: Of the policy's distributions.
        """
        value_loss = 0.5 * jnp.mean(squared_error)
        entropy_loss = -jnp.mean(entropy)
        loss = policy_loss + self.value_weight * value_loss + self.entropy_loss_coefficient * entropy_loss
        return loss, {
            "loss": loss,
            "policy_loss": policy_loss,
            "value_loss": value_loss,
            "entropy_loss": entropy_loss,
        }
