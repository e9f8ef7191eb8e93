"""An algorithm: REINFORCE (Williams, 1992, https://doi.org/10.1007/BF00992696)."""

import equinox as eqx
import jax
import optax
from jax import lax
from jax import numpy as jnp
from jaxtyping import PyTree

from lerax.algorithm import AbstractAlgorithm, AbstractLearner
from lerax.collect import collect
from lerax.policy import AbstractPolicy
from lerax.settings import check_settings, setting


class Gradients(AbstractLearner):
    """What the algorithm keeps."""

    policy: AbstractPolicy
    opt_state: PyTree


class PolicyGradient(AbstractAlgorithm[Gradients]):
    """Makes an action as much more probable as what followed was better than usual."""

    num_envs: int = setting(8, "Environments stepped side by side.", at_least=1)
    num_steps: int = setting(64, "Steps of each environment in one iteration.", at_least=1)
    learning_rate: float = setting(0.05, "Step size of the optimizer.", above=0)
    gamma: float = setting(0.95, "Discount factor.", at_least=0, at_most=1)

    def __check_init__(self):
        check_settings(self)

    @property
    def steps_per_iteration(self):
        return self.num_envs * self.num_steps

    def init_learner(self, env, policy, *, key):
        return Gradients(policy, self.optimizer().init(eqx.filter(policy, policy.trainable())))

    def optimizer(self):
        return optax.adam(self.learning_rate)

    def iteration(self, state, *, key):
        policy, env = state.policy, state.env

        def act(memory, observation, mask, noise):
            return *policy(memory, observation, key=noise, action_mask=mask), None

        standing, steps = collect(
            env, policy, act, state.standing, noise=lambda key: key, key=key, num_steps=self.num_steps
        )

        def backwards(following, step):
            total = step.reward + self.gamma * jnp.where(step.done, 0.0, following)
            return total, total

        _, returns = lax.scan(backwards, jnp.zeros(self.num_envs), steps, reverse=True)
        weight = (returns - jnp.mean(returns)) / (jnp.std(returns) + 1e-6)

        def loss(policy):
            judge = lambda step: policy.distribution(step.observation, step.action_mask).log_prob(step.action)
            return -jnp.mean(weight * jax.vmap(jax.vmap(judge))(steps))

        value, gradient = eqx.filter_value_and_grad(loss)(policy)
        change, opt_state = self.optimizer().update(gradient, state.opt_state)
        learner = Gradients(eqx.apply_updates(policy, change), opt_state)
        return state.after(standing, learner), steps, {"loss": value, "learning_rate": self.learning_rate}
