"""Policies that also estimate the value of a state."""

from abc import abstractmethod
from dataclasses import KW_ONLY
from typing import Any, ClassVar

import equinox as eqx
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from lerax.distribution import CHOICES, AbstractDistribution, Normal, distribution_over
from lerax.env import AbstractEnvLike
from lerax.network import MLP, Head, Network
from lerax.settings import setting
from lerax.space import Box
from lerax.statistics import RunningStatistics

from . import arguments
from .base_policy import AbstractPolicy
from .mlp import AbstractMLPPolicy


class AbstractActorCriticPolicy(AbstractPolicy):
    """A policy with a value estimate, as on-policy algorithms need it."""

    def noise(self, *, key: Key[Array, ""]) -> PyTree:
        """What `action_and_value` takes as its noise; the key itself by default.

        A policy that draws its random numbers here lets the loop draw those of a whole rollout at once,
        several times cheaper than one by one.
        """
        return key

    @abstractmethod
    def action_and_value(
        self,
        state: PyTree,
        observation: PyTree,
        *,
        noise: PyTree,
        action_mask: Bool[Array, "..."] | None = None,
    ) -> tuple[PyTree, PyTree, Float[Array, ""], Float[Array, ""]]:
        """Samples an action.

        Args:
            state: The policy's memory.
            observation: What the environment shows.
            noise: From `noise`.
            action_mask: Which actions are allowed; None allows all.

        Returns:
            The next memory, the action, the value of the observation, and the log probability of the action.
        """

    @abstractmethod
    def evaluate_action(
        self,
        state: PyTree,
        observation: PyTree,
        action: PyTree,
        *,
        action_mask: Bool[Array, "..."] | None = None,
    ) -> tuple[PyTree, Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
        """Judges an action.

        Args:
            state: The policy's memory.
            observation: What the environment showed.
            action: What was done.
            action_mask: Which actions were allowed; None allows all.

        Returns:
            The next memory, the value of the observation, the log probability of the action, and the entropy
            of the distribution it came from.
        """

    @abstractmethod
    def value(self, state: PyTree, observation: PyTree) -> tuple[PyTree, Float[Array, ""]]:
        """Next memory and value of the observation."""


class AbstractMLPActorCriticPolicy(AbstractMLPPolicy, AbstractActorCriticPolicy):
    """An action distribution and a value.

    Discrete actions are categorical, several at once independently; zeros and ones are Bernoulli variables;
    actions in a box are Gaussian with a standard deviation that does not depend on the observation.

    Attributes:
        actor: What the distribution is made of, and where there is no critic the value as the last number.
        critic: The value.
        log_std: Log standard deviations of actions in a box; None for choices.
    """

    actor: eqx.AbstractVar[MLP]
    critic: eqx.AbstractVar[MLP | None]
    log_std: eqx.AbstractVar[Float[Array, "..."] | None]

    _: KW_ONLY
    log_std_init: float = setting(
        0.0, "Initial log standard deviation (box actions).", at_least=-20, at_most=20, static=True
    )

    acts_in = (*CHOICES, Box)

    @abstractmethod
    def taken(self, state: PyTree, observation: PyTree) -> tuple[PyTree, tuple[PyTree, PyTree]]:
        """The next memory, and what the actor and the critic take."""

    def __call__(
        self,
        state: PyTree,
        observation: PyTree,
        *,
        key: Key[Array, ""] | None = None,
        action_mask: Bool[Array, "..."] | None = None,
    ) -> tuple[PyTree, Array]:
        state, (seen, _) = self.taken(state, observation)
        distribution = self._distribution(seen, action_mask)
        return state, distribution.mode() if key is None else distribution.sample(key=key)

    def noise(self, *, key: Key[Array, ""]) -> Array:
        return self._made_of(jnp.zeros(self.action_space.flat_size, jnp.float32)).noise(key=key)

    def action_and_value(
        self,
        state: PyTree,
        observation: PyTree,
        *,
        noise: Array,
        action_mask: Bool[Array, "..."] | None = None,
    ) -> tuple[PyTree, Array, Float[Array, ""], Float[Array, ""]]:
        state, (seen, valued) = self.taken(state, observation)
        distribution = self._distribution(seen, action_mask)
        action = distribution.action(noise)
        return state, action, self._value(valued), distribution.log_prob(action)

    def evaluate_action(
        self,
        state: PyTree,
        observation: PyTree,
        action: Array,
        *,
        action_mask: Bool[Array, "..."] | None = None,
    ) -> tuple[PyTree, Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
        state, (seen, valued) = self.taken(state, observation)
        distribution = self._distribution(seen, action_mask)
        return state, self._value(valued), distribution.log_prob(action), distribution.entropy()

    def value(self, state: PyTree, observation: PyTree) -> tuple[PyTree, Float[Array, ""]]:
        state, (_, seen) = self.taken(state, observation)
        return state, self._value(seen)

    def _first_log_std(self) -> Float[Array, "..."] | None:
        space = self.action_space
        return jnp.full(space.shape, self.log_std_init, jnp.float32) if isinstance(space, Box) else None

    def _value(self, seen: PyTree) -> Float[Array, ""]:
        return (self.actor if self.critic is None else self.critic)(seen)[-1]

    def _distribution(
        self, seen: PyTree, action_mask: Bool[Array, "..."] | None = None
    ) -> AbstractDistribution:
        return self._made_of(self.actor(seen)[: self.action_space.flat_size], action_mask)

    def _made_of(
        self, output: Float[Array, " size"], action_mask: Bool[Array, "..."] | None = None
    ) -> AbstractDistribution:
        if self.log_std is None:
            return distribution_over(self.action_space, output, action_mask)
        return Normal(output.reshape(self.action_space.shape), self.log_std)


class MLPActorCriticPolicy(AbstractMLPActorCriticPolicy):
    """Perceptrons for the action distribution and the value, separate ones or one with two heads.

    Args:
        env: The environment to act in. Only its two spaces are kept.
        key: PRNG key of the initial weights.
        settings: `hidden_sizes`, `activation`, `layer_norm`, `initialization`, `encoder`,
            `normalize_observations`, `shared_trunk` and `log_std_init`.

    Raises:
        SettingTypeError: The action space is a Dict or a Tuple, or an argument is of another kind.
        SettingError: A setting is out of range.
    """

    actor: Network
    critic: Network | None
    log_std: Float[Array, "..."] | None
    seen: RunningStatistics | None
    hidden_sizes: tuple[int, ...] = arguments.hidden_sizes(64, 64)
    activation: str = arguments.activation("tanh")
    initialization: str = arguments.initialization("orthogonal")
    shared_trunk: bool = setting(False, "One network for actions and value instead of two.")

    name: ClassVar[str] = "MLPActorCriticPolicy"

    def __init__(self, env: AbstractEnvLike, *, key: Key[Array, ""], **settings: Any):
        AbstractMLPPolicy.__init__(self, env, key=key, **settings)  # checkers of types see no inherited one

    def _make(self, key: Key[Array, ""]) -> None:
        self.log_std = self._first_log_std()
        # A small last layer: the first policy is close to uniform.
        actor, critic = [Head(self.action_space.flat_size, 0.01)], [Head(1)]
        if self.shared_trunk:
            (self.actor,), self.critic = self._networks(key, actor + critic), None
        else:
            self.actor, self.critic = self._networks(key, actor, critic)

    def distribution(
        self, observation: PyTree, action_mask: Bool[Array, "..."] | None = None
    ) -> AbstractDistribution:
        """The distribution of actions for an observation."""
        return self._distribution(self.normalized(observation), action_mask)

    def taken(self, state: None, observation: PyTree) -> tuple[None, tuple[PyTree, PyTree]]:
        return None, (self.normalized(observation),) * 2
