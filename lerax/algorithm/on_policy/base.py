"""The iteration of on-policy algorithms: collect, judge, update. A subclass says how."""

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import numpy as np
import optax
from jax import random as jr
from jaxtyping import Array, Bool, Float, Key, PyTree

from lerax import tree
from lerax.collect import Standing, Steps, collect
from lerax.env import AbstractEnvLike
from lerax.errors import SettingError, SettingTypeError
from lerax.learner import AbstractLearner, Log
from lerax.policy import AbstractPolicy
from lerax.schedule import scheduled
from lerax.settings import check_settings

from .. import footprint
from ..arguments import MOST
from ..base_algorithm import AbstractAlgorithm
from ..optimizer import adam, with_rate
from ..state import AlgorithmState
from .batch import explained_variance, remembered, shuffles
from .reward_scale import RewardScale
from .update import Scalars, descend_minibatches


class OnPolicyLearner(AbstractLearner):
    """What on-policy algorithms keep.

    Attributes:
        policy: The policy.
        opt_state: The optimizer's state, of all that is trainable as one vector.
        reward_scale: What rewards are divided by; None where they stay as they are.
    """

    policy: Any
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
        max_grad_norm: Largest norm of the gradient; longer ones are scaled down.
        normalize_rewards: Whether rewards are divided by the running standard deviation of discounted
            returns, for learning only: what is logged stays as it is.
        trains: The class of the policies that it trains, and what these are called.

    Raises:
        SettingError: A setting is out of range, or the minibatches do not divide the rollout.
    """

    learning_rate: eqx.AbstractVar[float]
    learning_rate_schedule: eqx.AbstractVar[str]
    num_steps: eqx.AbstractVar[int]
    num_epochs: eqx.AbstractVar[int]
    num_batches: eqx.AbstractVar[int]
    gamma: eqx.AbstractVar[float]
    max_grad_norm: eqx.AbstractVar[float]
    normalize_rewards: eqx.AbstractVar[bool]
    trains: ClassVar[tuple[type[AbstractPolicy], str]]

    def __check_init__(self):
        check_settings(self)
        size = self.steps_per_iteration
        _must_count("num_steps", "num_envs * num_steps", size)
        _must_count("num_epochs", "num_epochs * num_batches", self.num_epochs * self.num_batches)
        _must_divide(self.num_batches, size, f"num_envs * num_steps = {size}")

    @abstractmethod
    def act(
        self, policy: Any, policy_state: PyTree, observation: PyTree, mask: PyTree, noise: PyTree
    ) -> tuple[PyTree, PyTree, PyTree]:
        """Acts in one environment.

        Args:
            policy: The policy.
            policy_state: Its memory.
            observation: What the environment shows.
            mask: Which actions are allowed; None allows all.
            noise: From the policy's `noise`.

        Returns:
            The next memory, the action, and what is to be recorded beside it.
        """

    @abstractmethod
    def judged(
        self, policy: Any, steps: Steps, reward: Float[Array, "time env"], standing: Standing
    ) -> PyTree:
        """What an update reads of a rollout.

        Args:
            policy: The policy that acted.
            steps: What happened.
            reward: The rewards, scaled or not.
            standing: Where the environments stand then.

        Returns:
            A module of `[time, env, ...]` with `observation`, `value` and `returns` in it.
        """

    @abstractmethod
    def loss(self, policy: Any, batch: Any, progress: Float[Array, ""]) -> tuple[Float[Array, ""], Scalars]:
        """The loss of a minibatch `[sample, ...]`, and scalars to log by name.

        Args:
            policy: The policy.
            batch: The minibatch.
            progress: The part of the training that is done, from 0 towards 1.
        """

    def exploring(self, policy: Any, progress: Float[Array, ""]) -> tuple[Any, Log]:
        """The policy that collects the next rollout, and scalars to log of it."""
        return policy, {}

    @property
    def enough(self) -> Callable[[Scalars], Bool[Array, ""]] | None:
        """Whether an iteration's updates end before the one that logs this; None where none of them does."""
        return None

    def make_optimizer(self) -> optax.GradientTransformation:
        """The optimizer; it works on all that is trainable, raveled into one vector, and holds its rate."""
        return adam(self.learning_rate, eps=1e-5)

    @property
    def steps_per_iteration(self) -> int:
        return self.num_envs * self.num_steps

    def divided(self, count: int) -> AbstractAlgorithm:
        return tree.with_fields(self, {"num_envs": self.num_envs // count})

    def init_learner(
        self, env: AbstractEnvLike, policy: AbstractPolicy, *, key: Key[Array, ""]
    ) -> OnPolicyLearner:
        kind, words = self.trains
        if not isinstance(policy, kind):
            raise SettingTypeError(self.name, policy, wrong=f"needs {words}", said=policy.name)
        if policy.through_time:
            what = f"num_envs = {self.num_envs}, as the memory of {policy.name} needs"
            _must_divide(self.num_batches, self.num_envs, what)
        vector = tree.ravel(policy, policy.trainable())[0]
        scale = RewardScale.initial(self.num_envs) if self.normalize_rewards else None
        return OnPolicyLearner(policy, self.make_optimizer().init(vector), scale)

    def buffers(self, env: AbstractEnvLike, policy: Any) -> dict[str, int]:
        def step(policy: Any, seed: Any) -> PyTree:
            state = env.initial(key=(key := jr.key(seed)))
            observation, mask = env.observation(state, key=key), env.action_mask(state, key=key)
            noise, remembered = policy.noise(key=key), policy.reset(key=key)
            row = self.act(policy, remembered, observation, mask, noise)
            # Each is kept as it comes, and packed for the update; observations before and after a step.
            return (row, mask, observation), (row, mask, observation), observation

        steps = self.steps_per_iteration
        per_step = footprint.size(eqx.filter_eval_shape(step, policy, np.uint32(0)))
        layers = footprint.layers(policy)
        values = 2 * max(layers, default=0) * steps
        update = sum(layers) * (steps // self.num_batches)  # the gradient needs all of them again
        return {
            "rollout": steps * per_step,
            "network": max(values, update),
            "order of minibatches": 4 * 4 * self.num_epochs * steps,
        }

    def iteration(
        self, state: AlgorithmState[OnPolicyLearner], *, key: Key[Array, ""]
    ) -> tuple[AlgorithmState[OnPolicyLearner], Steps, Log]:
        collect_key, update_key = jr.split(key)
        progress, scale = self.progress(state), state.learner.reward_scale
        rate = scheduled(self.learning_rate_schedule, self.learning_rate, progress)
        policy, log = self.exploring(state.learner.policy, progress)
        standing, steps = self._collect(state.env, policy, state.standing, collect_key)
        scale, batch = self._judged(policy, scale, steps, standing)
        opt_state = with_rate(state.learner.opt_state, rate)
        trained, opt_state, told = self._update(policy, opt_state, batch, progress, update_key)
        learner = OnPolicyLearner(trained.after_rollout(batch.observation), opt_state, scale)
        explained = explained_variance(batch.value, batch.returns)
        log = log | told | {"explained_variance": explained, "learning_rate": rate}
        return state.after(standing, learner), steps, log

    def rollout(
        self, state: AlgorithmState[OnPolicyLearner], *, key: Key[Array, ""]
    ) -> tuple[Standing, Steps]:
        policy, _ = self.exploring(state.learner.policy, self.progress(state))
        return self._collect(state.env, policy, state.standing, key)

    def _collect(
        self, env: AbstractEnvLike, policy: Any, standing: Standing, key: Key[Array, ""]
    ) -> tuple[Standing, Steps]:
        """Steps every environment `num_steps` times."""
        act, noise = lambda *seen: self.act(policy, *seen), lambda key: policy.noise(key=key)
        return collect(env, policy, act, standing, noise=noise, key=key, num_steps=self.num_steps)

    def _judged(
        self, policy: Any, scale: RewardScale | None, steps: Steps, standing: Standing
    ) -> tuple[RewardScale | None, Any]:
        """The scale of rewards after a rollout, and what the update reads of it, `[sample, ...]`."""
        reward = steps.reward
        if scale is not None:
            scale, reward = scale.scaled(reward, steps.done, self.gamma)
        batch = self.judged(policy, steps, reward, standing)
        return scale, jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batch)

    def _update(
        self, policy: Any, opt_state: PyTree, batch: Any, progress: Float[Array, ""], key: Key[Array, ""]
    ) -> tuple[Any, PyTree, Scalars]:
        """The policy and what the optimizer holds after an iteration's updates, and a log of them."""
        vector, unravel = tree.ravel(policy, policy.trainable())
        size = self.steps_per_iteration
        samples = lambda policy, batch: batch
        if policy.through_time:  # minibatches of environments with all of their steps
            of_envs = lambda x: x.reshape(self.num_steps, self.num_envs, *x.shape[1:]).swapaxes(0, 1)
            size, batch, samples = self.num_envs, jax.tree.map(of_envs, batch), remembered
        (vector, opt_state), log = descend_minibatches(
            lambda vector, batch: self.loss(now := unravel(vector), samples(now, batch), progress),
            (vector, opt_state),
            batch,
            shuffles(key, self.num_epochs, size).reshape(-1, size // self.num_batches),
            optimizer=self.make_optimizer(),
            max_norm=self.max_grad_norm,
            enough=self.enough,
        )
        return unravel(vector), opt_state, log


def _must_count(name: str, what: str, product: int) -> None:
    """Refuses a product of settings that compiled programs cannot count."""
    if product > MOST:
        raise SettingError(name, product, f"at most {MOST}", wrong=f"{what} is too large")


def _must_divide(num_batches: int, size: int, what: str) -> None:
    """Refuses minibatches that do not divide what they are cut from."""
    if size % num_batches:
        small = [n for n in range(1, math.isqrt(size) + 1) if size % n == 0]
        valid = sorted({*small, *(size // n for n in small)})
        below, above = [n for n in valid if n < num_batches][-1:], [n for n in valid if n > num_batches][:1]
        nearest = f"nearest: {', '.join(map(str, below + above))}"
        raise SettingError("num_batches", num_batches, wrong=f"does not divide {what}", hint=nearest)
