"""Proximal policy optimization (Schulman et al., 2017, https://arxiv.org/abs/1707.06347)."""

import math

import jax
from jax import numpy as jnp
from jaxtyping import Array, Float

from lerax.errors import SettingError
from lerax.policy import AbstractActorCriticPolicy
from lerax.schedule import scheduled
from lerax.settings import check_settings, setting

from .. import arguments
from ..arguments import LARGE, MOST
from .base import AbstractOnPolicyAlgorithm
from .batch import Batch


class PPO(AbstractOnPolicyAlgorithm):
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
    gae_lambda: float = setting(0.95, "Lambda of the advantage estimate.", at_least=0, at_most=1)
    clip_coefficient: float = setting(0.2, "How far the probability ratio may move.", above=0, at_most=LARGE)
    clip_schedule: str = arguments.schedule("the clip coefficient")
    clip_value_loss: bool = setting(False, "Clip the change of the value, too.")
    normalize_rewards: bool = arguments.normalize_rewards()
    normalize_advantages: bool = setting(True, "Normalize advantages in each minibatch.")
    value_loss_coefficient: float = arguments.coefficient(0.5, "value loss")
    entropy_loss_coefficient: float = arguments.coefficient(0.01, "entropy bonus")
    max_grad_norm: float = arguments.max_grad_norm(0.5)

    def __check_init__(self):
        check_settings(self)
        size = self.steps_per_iteration
        _must_count("num_steps", "num_envs * num_steps", size)
        _must_count("num_epochs", "num_epochs * num_batches", self.num_epochs * self.num_batches)
        if size % self.num_batches:
            small = [n for n in range(1, math.isqrt(size) + 1) if size % n == 0]
            valid = sorted({*small, *(size // n for n in small)})
            below = [n for n in valid if n < self.num_batches][-1:]
            above = [n for n in valid if n > self.num_batches][:1]
            wrong = f"does not divide num_envs * num_steps = {size}"
            nearest = f"nearest: {', '.join(map(str, below + above))}"
            raise SettingError("num_batches", self.num_batches, wrong=wrong, hint=nearest)

    def loss(
        self,
        policy: AbstractActorCriticPolicy,
        batch: Batch,
        progress: Float[Array, ""],
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        judge = jax.vmap(lambda s, o, a, m: policy.evaluate_action(s, o, a, action_mask=m))
        inputs = batch.policy_state, batch.observation, batch.action, batch.action_mask
        _, value, log_prob, entropy = judge(*inputs)
        clip = scheduled(self.clip_schedule, self.clip_coefficient, progress)
        log_ratio = log_prob - batch.log_prob
        ratio = jnp.exp(log_ratio)
        advantage = batch.advantage
        if self.normalize_advantages:
            advantage = (advantage - jnp.mean(advantage)) / (jnp.std(advantage) + 1e-8)
        clipped = jnp.clip(ratio, 1 - clip, 1 + clip)
        policy_loss = -jnp.mean(jnp.minimum(ratio * advantage, clipped * advantage))
        error = (value - batch.returns) ** 2
        if self.clip_value_loss:
            near = batch.value + jnp.clip(value - batch.value, -clip, clip)
            error = jnp.maximum(error, (near - batch.returns) ** 2)
        value_loss = 0.5 * jnp.mean(error)
        entropy_loss = -jnp.mean(entropy)
        loss = (
            policy_loss
            + self.value_loss_coefficient * value_loss
            + self.entropy_loss_coefficient * entropy_loss
        )
        return loss, {
            "loss": loss,
            "policy_loss": policy_loss,
            "value_loss": value_loss,
            "entropy_loss": entropy_loss,
            # http://joschu.net/blog/kl-approx.html, the low-variance estimator k3
            "approx_kl": jnp.mean(ratio - 1 - log_ratio),
            "clip_fraction": jnp.mean(jnp.abs(ratio - 1) > clip, dtype=jnp.float32),
        }


def _must_count(name: str, what: str, product: int) -> None:
    """Refuses a product of settings that compiled programs cannot count."""
    if product > MOST:
        raise SettingError(name, product, f"at most {MOST}", wrong=f"{what} is too large")
