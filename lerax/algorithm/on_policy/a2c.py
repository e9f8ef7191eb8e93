"""Advantage actor-critic (Mnih et al., 2016, https://arxiv.org/abs/1602.01783), all environments in step."""

from typing import ClassVar

import optax

from lerax.settings import setting

from .. import arguments
from ..optimizer import holding_rate
from .actor_critic import AbstractActorCriticAlgorithm


class A2C(AbstractActorCriticAlgorithm):
    """Advantage actor-critic: one step of the optimizer for each short rollout.

    The gradient is that of section 4.3 of the paper, grad log pi(a|s) (R - V(s)), with its n-step returns R
    where `gae_lambda` is 1, and an entropy bonus. Of the two optimizers RMSprop (Tieleman and Hinton, 2012)
    is the paper's.

    Raises:
        SettingError: A setting is out of range.
    """

    num_envs: int = arguments.num_envs(16)
    num_steps: int = arguments.num_steps(5)
    learning_rate: float = arguments.learning_rate(7e-4)
    learning_rate_schedule: str = arguments.learning_rate_schedule()
    gamma: float = arguments.gamma()
    gae_lambda: float = arguments.gae_lambda(1.0)
    normalize_rewards: bool = arguments.normalize_rewards()
    advantage_normalization: str = arguments.advantage_normalization("none", "batch")
    value_loss_coefficient: float = arguments.coefficient(1.0, "value loss")
    entropy_loss_coefficient: float = arguments.coefficient(0.0, "entropy bonus")
    max_grad_norm: float = arguments.max_grad_norm(0.5)
    optimizer: str = setting("rmsprop", "The optimizer.", choices=("rmsprop", "adam"))

    num_epochs: ClassVar[int] = 1
    num_batches: ClassVar[int] = 1

    def make_optimizer(self) -> optax.GradientTransformation:
        if self.optimizer == "adam":
            return super().make_optimizer()
        return holding_rate(optax.rmsprop, self.learning_rate, decay=0.99, eps=1e-5, eps_in_sqrt=False)
