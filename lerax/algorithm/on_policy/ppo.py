"""Proximal policy optimization (Schulman et al., 2017, https://arxiv.org/abs/1707.06347)."""

from collections.abc import Callable

from jax import numpy as jnp
from jaxtyping import Array, Bool, Float

from lerax.policy import AbstractActorCriticPolicy
from lerax.schedule import scheduled
from lerax.settings import setting

from .. import arguments
from ..arguments import LARGE
from .actor_critic import AbstractActorCriticAlgorithm
from .batch import Batch, normalized
from .update import Scalars


class PPO(AbstractActorCriticAlgorithm):
    """Proximal policy optimization with a clipped objective.

    Raises:
        ValueError: A setting is out of range, or the minibatches do not divide the rollout.
    """

    num_envs: int = arguments.num_envs(4)
    num_steps: int = arguments.num_steps(128)
    num_epochs: int = arguments.num_epochs(4)
    num_batches: int = arguments.num_batches(4)
    learning_rate: float = arguments.learning_rate(2.5e-4)
    learning_rate_schedule: str = arguments.learning_rate_schedule()
    gamma: float = arguments.gamma()
    gae_lambda: float = arguments.gae_lambda(0.95)
    clip_coefficient: float = setting(0.2, "How far the probability ratio may move.", above=0, at_most=LARGE)
    clip_schedule: str = arguments.schedule("the clip coefficient")
    clip_value_loss: bool = setting(False, "Clip the change of the value, too.")
    normalize_rewards: bool = arguments.normalize_rewards()
    advantage_normalization: str = arguments.advantage_normalization("minibatch", "batch", "none")
    value_loss_coefficient: float = arguments.coefficient(0.5, "value loss")
    entropy_loss_coefficient: float = arguments.coefficient(0.01, "entropy bonus")
    max_grad_norm: float = arguments.max_grad_norm(0.5)
    target_kl: float | None = setting(
        None,
        "Largest divergence of an update, beyond 1.5 times of which the others of an iteration are left out.",
        kind="float or none",
        above=0,
        at_most=LARGE,
    )

    @property
    def enough(self) -> Callable[[Scalars], Bool[Array, ""]] | None:
        if (target := self.target_kl) is None:
            return None
        return lambda log: log["approx_kl"] > 1.5 * target

    def loss(
        self, policy: AbstractActorCriticPolicy, batch: Batch, progress: Float[Array, ""]
    ) -> tuple[Float[Array, ""], Scalars]:
        """Equations 7 and 9 of the paper."""
        value, log_prob, entropy = self.evaluated(policy, batch)
        clip = scheduled(self.clip_schedule, self.clip_coefficient, progress)
        log_ratio = log_prob - batch.log_prob
        ratio = jnp.exp(log_ratio)
        advantage = batch.advantage
        if self.advantage_normalization == "minibatch":
            advantage = normalized(advantage)
        clipped = jnp.clip(ratio, 1 - clip, 1 + clip)
        policy_loss = -jnp.mean(jnp.minimum(ratio * advantage, clipped * advantage))
        error = (value - batch.returns) ** 2
        if self.clip_value_loss:
            near = batch.value + jnp.clip(value - batch.value, -clip, clip)
            error = jnp.maximum(error, (near - batch.returns) ** 2)
        loss, log = self.total(policy_loss, error, entropy)
        return loss, log | {
            # http://joschu.net/blog/kl-approx.html, the low-variance estimator k3
            "approx_kl": jnp.mean(ratio - 1 - log_ratio),
            "clip_fraction": jnp.mean(jnp.abs(ratio - 1) > clip, dtype=jnp.float32),
        }
