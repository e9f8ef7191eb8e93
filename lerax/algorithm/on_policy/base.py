"""The iteration of on-policy algorithms: collect, estimate advantages, update. A subclass gives the loss."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import numpy as np
import optax
from jax import lax
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Float, Int, Key, PyTree

from lerax import tree
from lerax.advantage import gae
from lerax.collect import Standing, Steps, collect
from lerax.env import AbstractEnvLike
from lerax.errors import SettingTypeError
from lerax.learner import AbstractLearner, Log
from lerax.policy import AbstractActorCriticPolicy, AbstractPolicy
from lerax.schedule import scheduled

from .. import footprint
from ..base_algorithm import AbstractAlgorithm
from ..optimizer import adam, descend, with_rate
from ..state import AlgorithmState
from .batch import Batch, explained_variance, shuffles
from .reward_scale import RewardScale


class OnPolicyLearner(AbstractLearner):
    """What on-policy algorithms keep.

    Attributes:
        policy: The policy.
        opt_state: The optimizer's state, of all that is trainable as one vector.
        reward_scale: What rewards are divided by; None where they stay as they are.
    """

    policy: AbstractActorCriticPolicy
    opt_state: PyTree
    reward_scale: RewardScale | None


class AbstractOnPolicyAlgorithm(AbstractAlgorithm[OnPolicyLearner]):
    """Learns from fresh rollouts only.

    Attributes:
        learning_rate: Step size of the optimizer.
        learning_rate_schedule: How it falls to 0 over the training.
        num_steps: Steps of each environment in one rollout.
        num_epochs: Passes over a rollout.
        num_batches: Minibatches that a pass is cut into.
        gamma: Discount factor.
        gae_lambda: Lambda of generalized advantage estimation.
        max_grad_norm: Largest norm of the gradient; longer ones are scaled down.
        normalize_rewards: Whether rewards are divided by the running standard deviation of discounted
            returns, for learning only: what is logged stays as it is.
    """

    learning_rate: eqx.AbstractVar[float]
    learning_rate_schedule: eqx.AbstractVar[str]
    num_steps: eqx.AbstractVar[int]
    num_epochs: eqx.AbstractVar[int]
    num_batches: eqx.AbstractVar[int]
    gamma: eqx.AbstractVar[float]
    gae_lambda: eqx.AbstractVar[float]
    max_grad_norm: eqx.AbstractVar[float]
    normalize_rewards: eqx.AbstractVar[bool]

    @abstractmethod
    def loss(
        self,
        policy: AbstractActorCriticPolicy,
        batch: Batch,
        progress: Float[Array, ""],
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """The loss of a minibatch `[sample, ...]`, and scalars to log by name.

        Args:
            policy: The policy.
            batch: The minibatch.
            progress: The part of the training that is done, from 0 towards 1.
        """

    @property
    def steps_per_iteration(self) -> int:
        return self.num_envs * self.num_steps

    def optimizer(self) -> optax.GradientTransformation:
        """The optimizer; it works on all that is trainable, raveled into one vector, and holds its rate."""
        return adam(self.learning_rate, eps=1e-5)

    def init_learner(
        self, env: AbstractEnvLike, policy: AbstractPolicy, *, key: Key[Array, ""]
    ) -> OnPolicyLearner:
        if not isinstance(policy, AbstractActorCriticPolicy):
            wrong = "needs an actor-critic policy"
            raise SettingTypeError(self.name, policy, wrong=wrong, said=policy.name)
        vector = tree.ravel(policy, policy.trainable())[0]
        scale = RewardScale.initial(self.num_envs) if self.normalize_rewards else None
        return OnPolicyLearner(policy, self.optimizer().init(vector), scale)

    def buffers(self, env: AbstractEnvLike, policy: Any) -> dict[str, int]:
        def step(policy: AbstractActorCriticPolicy, seed: Any) -> PyTree:
            state = env.initial(key=(key := jr.key(seed)))
            observation, mask = env.observation(state, key=key), env.action_mask(state, key=key)
            noise, remembered = policy.noise(key=key), policy.reset(key=key)
            row = policy.action_and_value(remembered, observation, noise=noise, action_mask=mask)
            # Each is kept as it comes, and packed for the update; observations before and after a step.
            return (row, mask, observation), (row, mask, observation), observation

        steps = self.steps_per_iteration
        per_step = footprint.size(eqx.filter_eval_shape(step, policy, np.uint32(0)))
        # Each layer gives a number for each of its columns; the gradient needs all of them again.
        layers = [
            4 * leaf.shape[-1] for leaf in jax.tree.leaves(policy) if len(getattr(leaf, "shape", ())) == 2
        ]
        values = 2 * max(layers, default=0) * steps
        update = sum(layers) * (steps // self.num_batches)
        return {
            "rollout": steps * per_step,
            "network": max(values, update),
            "order of minibatches": 4 * 4 * self.num_epochs * steps,
        }

    def iteration(
        self, state: AlgorithmState[OnPolicyLearner], *, key: Key[Array, ""]
    ) -> tuple[AlgorithmState[OnPolicyLearner], Steps, Log]:
        collect_key, update_key = jr.split(key)
        learner, progress = state.learner, self.progress(state)
        rate = scheduled(self.learning_rate_schedule, self.learning_rate, progress)
        standing, steps = self._collect(state.env, learner.policy, state.standing, collect_key)
        scale, batch = self._judged(learner, steps, standing)
        learner = eqx.tree_at(lambda it: it.opt_state, learner, with_rate(learner.opt_state, rate))
        vector, opt_state, log = self._update(learner, batch, progress, update_key)
        policy = tree.ravel(learner.policy, learner.policy.trainable())[1](vector)
        learner = OnPolicyLearner(policy.after_rollout(batch.observation), opt_state, scale)
        log |= {
            "explained_variance": explained_variance(batch.value, batch.returns),
            "learning_rate": rate,
        }
        return state.after(standing, learner), steps, log

    def _collect(
        self,
        env: AbstractEnvLike,
        policy: AbstractActorCriticPolicy,
        standing: Standing,
        key: Key[Array, ""],
    ) -> tuple[Standing, Steps]:
        """Steps every environment `num_steps` times; `extra` is the log probability of the action."""

        def act(policy_state: PyTree, observation: PyTree, mask: PyTree, noise: PyTree) -> tuple:
            policy_state, action, _, log_prob = policy.action_and_value(
                policy_state, observation, noise=noise, action_mask=mask
            )
            return policy_state, action, log_prob

        noise = lambda key: policy.noise(key=key)
        return collect(env, policy, act, standing, noise=noise, key=key, num_steps=self.num_steps)

    def _judged(
        self, learner: OnPolicyLearner, steps: Steps, standing: Standing
    ) -> tuple[RewardScale | None, Batch]:
        """What the update reads of a rollout, `[sample, ...]`, and the scale of rewards after it."""
        value, next_value = self._values(learner.policy, steps, standing)
        scale, reward = learner.reward_scale, steps.reward
        if scale is not None:
            scale, reward = scale.scaled(reward, steps.done, self.gamma)
        advantage = gae(
            reward,
            value,
            next_value,
            steps.terminal,
            steps.done,
            gamma=self.gamma,
            gae_lambda=self.gae_lambda,
        )
        batch = Batch(
            steps.observation,
            steps.action,
            steps.action_mask,
            steps.policy_state,
            steps.extra,
            value,
            advantage,
            advantage + value,
        )
        return scale, jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batch)

    def _values(
        self, policy: AbstractActorCriticPolicy, steps: Steps, standing: Standing
    ) -> tuple[Float[Array, "time env"], Float[Array, "time env"]]:
        """Values of all observations, and of those that followed in the same episode.

        One wide product after the rollout instead of one narrow one in each of its steps.
        """

        def value_of(inputs: PyTree) -> Float[Array, "*batch"]:
            flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), inputs)
            return jax.vmap(lambda m, o: policy.value(m, o)[1])(*flat).reshape(-1, self.num_envs)

        append = lambda x, last: jnp.concatenate([x, last[None]])
        inputs = (steps.policy_state, steps.observation)
        values = value_of(jax.tree.map(append, inputs, (standing.policy_state, standing.observation)))
        cut = steps.truncated & ~steps.terminal
        next_values = lax.cond(
            jnp.any(cut),
            lambda: jnp.where(cut, value_of((steps.next_policy_state, steps.next_observation)), values[1:]),
            lambda: values[1:],
        )
        return values[:-1], next_values

    def _update(
        self, learner: OnPolicyLearner, batch: Batch, progress: Float[Array, ""], key: Key[Array, ""]
    ) -> tuple[Float[Array, " parameters"], PyTree, Log]:
        """Optimizes over minibatches, on all that is trainable as one vector."""
        vector, unravel = tree.ravel(learner.policy, learner.policy.trainable())
        optimizer = self.optimizer()
        packing = tree.Packing(batch, batch_axes=1)
        samples = packing.pack(batch)

        def loss(vector: Array, batch: Batch) -> Any:
            return self.loss(unravel(vector), batch, progress)

        def minibatch(carry: Any, rows: Int[Array, " sample"]) -> Any:
            vector, opt_state = carry
            batch = packing.unpack({name: array[rows] for name, array in samples.items()})
            gradient, log = jax.grad(loss, has_aux=True)(vector, batch)
            vector, opt_state, norm = descend(
                optimizer, vector, gradient, opt_state, max_norm=self.max_grad_norm
            )
            return (vector, opt_state), log | {"grad_norm": norm}

        size = self.steps_per_iteration
        rows = shuffles(key, self.num_epochs, size).reshape(-1, size // self.num_batches)
        (vector, opt_state), log = lax.scan(minibatch, (vector, learner.opt_state), rows)
        return vector, opt_state, {name: jnp.mean(column) for name, column in log.items()}
