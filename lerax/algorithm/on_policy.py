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
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from lerax import tree
from lerax.advantage import gae
from lerax.callback import AbstractCallback, StepContext
from lerax.callback.callback_list import overrides
from lerax.callback.outbox import closed
from lerax.env import AbstractEnvLike, advance
from lerax.env.step import allowed_actions
from lerax.policy import AbstractActorCriticPolicy
from lerax.space import Box

from . import memory
from .base_algorithm import AbstractAlgorithm, AlgorithmState, StepState
from .reward_scale import RewardScale


class Rollout(eqx.Module):
    """What was seen and done; arrays are `[time, env, ...]`, flattened to `[sample, ...]` for the update.

    Attributes:
        observation: What the policy saw.
        action: What it did, before any clipping to the action space.
        action_mask: Which actions it could choose from, None for all.
        log_prob: Log probability of the action when it was chosen.
        value: Value of the observation before the update.
        advantage: Estimated advantage of the action.
        returns: What the value should have been.
    """

    observation: PyTree
    action: PyTree
    action_mask: PyTree
    log_prob: Float[Array, "*batch"]
    value: Float[Array, "*batch"]
    advantage: Float[Array, "*batch"]
    returns: Float[Array, "*batch"]


class AbstractOnPolicyAlgorithm(AbstractAlgorithm):
    """Learns from fresh rollouts only.

    Attributes:
        num_steps: Steps of each environment in one rollout.
        num_epochs: Passes over a rollout.
        num_batches: Minibatches that a pass is cut into.
        gamma: Discount factor.
        gae_lambda: Lambda of generalized advantage estimation.
        max_grad_norm: Largest norm of the gradient; longer ones are scaled down.
        normalize_rewards: Whether rewards are divided by the running standard deviation of discounted
            returns, for learning only: what is logged stays as it is.
    """

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
        batch: Rollout,
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
        return optax.inject_hyperparams(optax.adam, hyperparam_dtype=jnp.float32)(
            learning_rate=self.learning_rate, eps=1e-5
        )

    def buffers(self, env: AbstractEnvLike, policy: Any) -> dict[str, int]:
        if not isinstance(policy, AbstractActorCriticPolicy):
            return {}  # it is refused where it is to act

        def step(policy: AbstractActorCriticPolicy, seed: Any) -> PyTree:
            state = env.initial(key=(key := jr.key(seed)))
            observation, mask = env.observation(state, key=key), env.action_mask(state, key=key)
            noise = policy.noise(key=key)
            row = policy.action_and_value(None, observation, noise=noise, action_mask=mask)
            # Each is kept as it comes, and packed for the update; observations before and after a step.
            return (row, mask, observation), (row, mask, observation), observation

        steps = self.steps_per_iteration
        per_step = memory.size(eqx.filter_eval_shape(step, policy, np.uint32(0)))
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

    def memory(self) -> RewardScale | None:
        return RewardScale.initial(self.num_envs) if self.normalize_rewards else None

    def iteration(
        self, state: AlgorithmState, *, key: Key[Array, ""], callback: AbstractCallback
    ) -> tuple[AlgorithmState, dict[str, Float[Array, ""]]]:
        collect_key, update_key = jr.split(key)
        step_state, memory, rollout = self._collect(state, collect_key, callback)
        vector, opt_state, log = self._update(state, rollout, update_key)
        policy = tree.ravel(state.policy)[1](vector).having_seen(rollout.observation)
        where = lambda s: (s.step_state, s.memory, s.policy, s.opt_state)
        parts = (step_state, memory, policy, opt_state)
        state = eqx.tree_at(where, state, parts, is_leaf=lambda x: x is None)
        return state, log | {"explained_variance": explained_variance(rollout.value, rollout.returns)}

    def _collect(
        self, state: AlgorithmState, key: Key[Array, ""], callback: AbstractCallback
    ) -> tuple[StepState, PyTree, Rollout]:
        """Steps every environment `num_steps` times, and estimates the advantages."""
        policy, env = self._actor_critic(state), state.env
        act = jax.vmap(lambda s, o, m, n: policy.action_and_value(s, o, noise=n, action_mask=m))
        mask_of = jax.vmap(lambda s, k: allowed_actions(env, s, key=k))
        step_of = jax.vmap(lambda s, a, f, k: advance(env, s, _bounded(env, a), key=k, fresh=f))

        def step(carry: StepState, drawn: PyTree) -> tuple[StepState, PyTree]:
            noise, fresh, (mask_keys, step_keys) = drawn
            mask = mask_of(carry.env_state, mask_keys)
            policy_state, action, _, log_prob = act(carry.policy_state, carry.observation, mask, noise)
            taken = step_of(carry.env_state, action, fresh, step_keys)
            row = (carry.observation, action, mask, log_prob, taken.reward)
            ends = (taken.terminal, taken.truncated, taken.next_observation)
            carry = StepState(taken.state, taken.observation, policy_state, carry.callback_state)
            return carry, (row, ends)

        keys = jr.split(key, (5, self.num_steps, self.num_envs))
        noise = jax.vmap(jax.vmap(lambda k: policy.noise(key=k)))(keys[0])
        fresh = jax.vmap(jax.vmap(lambda k: env.draw(key=k)))(keys[1])
        drawn = (noise, fresh, (keys[2], keys[3]))
        step_state, (row, ends) = tree.scan(step, state.step_state, drawn)
        observation, action, mask, log_prob, reward = row
        callback_state = _step_hooks(callback, state, row, ends, keys[4])
        step_state = eqx.tree_at(lambda s: s.callback_state, step_state, callback_state)
        value, next_value = self._values(policy, observation, step_state.observation, *ends)
        terminal: Bool[Array, "time env"] = ends[0]
        truncated: Bool[Array, "time env"] = ends[1]
        memory = state.memory
        if memory is not None:
            memory, reward = memory.scaled(reward, terminal | truncated, self.gamma)
        advantage = gae(
            reward,
            value,
            next_value,
            terminal,
            terminal | truncated,
            gamma=self.gamma,
            gae_lambda=self.gae_lambda,
        )
        rollout = Rollout(observation, action, mask, log_prob, value, advantage, advantage + value)
        return step_state, memory, jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), rollout)

    def _actor_critic(self, state: AlgorithmState) -> AbstractActorCriticPolicy:
        policy = state.policy
        if not isinstance(policy, AbstractActorCriticPolicy):
            raise TypeError(f"{self.name}: needs an actor-critic policy (got {policy.name})")
        if jax.tree.leaves(state.step_state.policy_state):
            raise TypeError(f"{self.name}: cannot train a policy that has a memory (got {policy.name})")
        return policy

    def _values(
        self,
        policy: AbstractActorCriticPolicy,
        observation: PyTree,
        last_observation: PyTree,
        terminal: Bool[Array, "time env"],
        truncated: Bool[Array, "time env"],
        next_observation: PyTree,
    ) -> tuple[Float[Array, "time env"], Float[Array, "time env"]]:
        """Values of all observations, and of those that followed in the same episode.

        One wide product after the rollout instead of one narrow one in each of its steps.
        """

        def value_of(observation: PyTree) -> Float[Array, "*batch"]:
            lead = terminal.shape[1]
            flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), observation)
            return jax.vmap(lambda o: policy.value(None, o)[1])(flat).reshape(-1, lead)

        append = lambda x, last: jnp.concatenate([x, last[None]])
        values = value_of(jax.tree.map(append, observation, last_observation))
        cut = truncated & ~terminal
        next_values = lax.cond(
            jnp.any(cut),
            lambda: jnp.where(cut, value_of(next_observation), values[1:]),
            lambda: values[1:],
        )
        return values[:-1], next_values

    def _update(
        self, state: AlgorithmState, rollout: Rollout, key: Key[Array, ""]
    ) -> tuple[Float[Array, " parameters"], PyTree, dict[str, Float[Array, ""]]]:
        """Optimizes over minibatches, on all parameters as one vector."""
        vector, unravel = tree.ravel(state.policy)
        optimizer, progress = self.optimizer(), self.progress(state)
        packing = tree.Packing(rollout, batch_axes=1)
        samples = packing.pack(rollout)

        def loss(vector: Array, batch: Rollout) -> Any:
            return self.loss(unravel(vector), batch, progress)

        def minibatch(carry: Any, rows: Int[Array, " sample"]) -> Any:
            vector, opt_state = carry
            batch = packing.unpack({name: array[rows] for name, array in samples.items()})
            gradient, log = jax.grad(loss, has_aux=True)(vector, batch)
            norm = jnp.linalg.norm(gradient)
            gradient = gradient * jnp.minimum(1.0, self.max_grad_norm / (norm + 1e-9))
            change, opt_state = optimizer.update(gradient, opt_state, vector)
            return (vector + change, opt_state), log | {"grad_norm": norm}

        size = self.steps_per_iteration
        rows = shuffles(key, self.num_epochs, size).reshape(-1, size // self.num_batches)
        (vector, opt_state), log = lax.scan(minibatch, (vector, state.opt_state), rows)
        return vector, opt_state, {name: jnp.mean(column) for name, column in log.items()}


def explained_variance(values: Float[Array, " n"], returns: Float[Array, " n"]) -> Float[Array, ""]:
    """The part of the returns' variance that the values explain; 0 where there is no variance."""
    total = jnp.var(returns)
    return jnp.where(total > 0, 1.0 - jnp.var(returns - values) / jnp.where(total > 0, total, 1.0), 0.0)


def shuffles(key: Key[Array, ""], count: int, size: int) -> Int[Array, "{count} {size}"]:
    """Random orders of `size` rows.

    A random word with the row's number in its low bits is sorted as one number: 4 to 10 times faster on a
    CPU than `jax.random.permutation`, which sorts pairs. Of the words at least 16 bits are random; the few
    that agree in all of them stay in order.
    """
    low = max(size - 1, 1).bit_length()
    if low > 16:
        return jax.vmap(lambda k: jr.permutation(k, jnp.arange(size, dtype=jnp.int32)))(jr.split(key, count))
    words = jr.bits(key, (count, size), jnp.uint32) >> low << low
    rows = jnp.sort(words | jnp.arange(size, dtype=jnp.uint32), axis=1)
    return (rows & ((1 << low) - 1)).astype(jnp.int32)


def _bounded(env: AbstractEnvLike, action: PyTree) -> PyTree:
    return env.action_space.clip(action) if isinstance(env.action_space, Box) else action


def _step_hooks(
    callback: AbstractCallback, state: AlgorithmState, row: PyTree, ends: PyTree, keys: Key[Array, "time env"]
) -> PyTree:
    """Calls `on_step` for every step of every environment, if any callback does something there.

    In a scan of its own: unrolled, it costs a fraction of what it would inside that of the rollout.
    """
    if not overrides(callback, "on_step"):
        return state.step_state.callback_state

    def hook(own: Any, row: Any, ends: Any, key: Key[Array, ""]) -> Any:
        observation, action, _, _, reward = row
        terminal, truncated, next_observation = ends
        values = {
            "observation": observation,
            "action": action,
            "next_observation": next_observation,
            "terminal": terminal,
            "truncated": truncated,
        }
        ctx = StepContext(own, state.env, state.policy, terminal | truncated, reward, values)
        return callback.on_step(ctx, key=key)

    def step(own: Any, xs: tuple) -> tuple[Any, None]:
        return jax.vmap(hook)(own, *xs), None

    with closed("on_step"):
        return tree.scan(step, state.step_state.callback_state, (row, ends, keys), unroll=32)[0]
