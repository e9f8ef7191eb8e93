"""REINFORCE (Williams, 1992, https://doi.org/10.1007/BF00992696), with a baseline or without."""

from typing import ClassVar

from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Float

from lerax import devices
from lerax.advantage import gae
from lerax.collect import Steps
from lerax.settings import setting

from .. import arguments
from .actor_critic import AbstractActorCriticAlgorithm


class REINFORCE(AbstractActorCriticAlgorithm):
    """REINFORCE: one step of the optimizer for each rollout, along grad log pi(a|s) (G - b(s)).

    G is the discounted sum of rewards up to the episode's end. With a baseline, b(s) is the value, and an
    episode that is cut, by its time limit or by the rollout's end, goes on with the value of what followed.
    Without one, b(s) is 0 and nothing is estimated: a time limit ends an episode like anything else, and
    the steps whose episode goes on beyond the rollout are left out. Rollouts should be several episodes long,
    since long episodes are left out more often than short ones.

    Raises:
        SettingError: A setting is out of range.
    """

    num_envs: int = arguments.num_envs(8)
    num_steps: int = arguments.num_steps(256)
    learning_rate: float = arguments.learning_rate(3e-3)
    learning_rate_schedule: str = arguments.learning_rate_schedule()
    gamma: float = arguments.gamma()
    baseline: bool = setting(True, "Subtract the value from returns, and let it stand for what is cut off.")
    normalize_rewards: bool = arguments.normalize_rewards()
    advantage_normalization: str = arguments.advantage_normalization("none", "batch")
    value_loss_coefficient: float = arguments.coefficient(0.5, "value loss")
    entropy_loss_coefficient: float = arguments.coefficient(0.0, "entropy bonus")
    max_grad_norm: float = arguments.max_grad_norm(0.5)

    gae_lambda: ClassVar[float] = 1.0
    num_epochs: ClassVar[int] = 1
    num_batches: ClassVar[int] = 1

    @property
    def value_weight(self) -> float | Float[Array, ""]:
        return self.value_loss_coefficient if self.baseline else 0.0

    def advantages(
        self,
        reward: Float[Array, "time env"],
        value: Float[Array, "time env"],
        next_value: Float[Array, "time env"],
        steps: Steps,
    ) -> tuple[Float[Array, "time env"], Float[Array, "time env"], Float[Array, "time env"] | None]:
        if self.baseline:
            return super().advantages(reward, value, next_value, steps)
        nothing = jnp.zeros_like(value)
        returns = gae(
            reward, nothing, nothing, steps.done, steps.done, gamma=self.gamma, gae_lambda=self.gae_lambda
        )
        whole = lax.cummax(steps.done.astype(jnp.float32), axis=0, reverse=True)
        size = whole.size * devices.count()
        return returns, returns, whole / jnp.maximum(devices.mean(jnp.mean(whole)), 1.0 / size)
