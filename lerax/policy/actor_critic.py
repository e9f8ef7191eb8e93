"""Policies that also estimate the value of a state."""

from abc import abstractmethod
from typing import ClassVar

from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from lerax.distribution import AbstractDistribution, Categorical, Normal
from lerax.network import Head, Network
from lerax.settings import setting
from lerax.space import Box, Discrete
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


class MLPActorCriticPolicy(AbstractMLPPolicy, AbstractActorCriticPolicy):
    """Perceptrons for the action distribution and the value, separate ones or one with two heads.

    Discrete actions are categorical; actions in a box are Gaussian with a standard deviation that does not
    depend on the observation.

    Args:
        env: The environment to act in. Only its two spaces are kept.
        key: PRNG key of the initial weights.
        settings: `hidden_sizes`, `activation`, `layer_norm`, `initialization`, `encoder`,
            `normalize_observations`, `shared_trunk` and `log_std_init`.

    Raises:
        SettingTypeError: The action space is neither Discrete nor a Box, or an argument is of another kind.
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
    log_std_init: float = setting(
        0.0, "Initial log standard deviation (box actions).", at_least=-20, at_most=20, static=True
    )

    name: ClassVar[str] = "MLPActorCriticPolicy"
    acts_in = (Discrete, Box)

    def _make(self, key: Key[Array, ""]) -> None:
        self.log_std = None
        if isinstance(self.action_space, Box):
            self.log_std = jnp.full(self.action_space.shape, self.log_std_init, jnp.float32)
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

    def __call__(
        self,
        state: None,
        observation: PyTree,
        *,
        key: Key[Array, ""] | None = None,
        action_mask: Bool[Array, "..."] | None = None,
    ) -> tuple[None, Array]:
        distribution = self.distribution(observation, action_mask)
        return None, distribution.mode() if key is None else distribution.sample(key=key)

    def noise(self, *, key: Key[Array, ""]) -> Array:
        size = self.action_space.flat_size
        if self.log_std is None:
            return Categorical(jnp.zeros(size, jnp.float32)).noise(key=key)
        return Normal(jnp.zeros_like(self.log_std), self.log_std).noise(key=key)

    def action_and_value(
        self,
        state: None,
        observation: PyTree,
        *,
        noise: Array,
        action_mask: Bool[Array, "..."] | None = None,
    ) -> tuple[None, Array, Float[Array, ""], Float[Array, ""]]:
        distribution = self.distribution(observation, action_mask)
        action = distribution.action(noise)
        return None, action, self.value(state, observation)[1], distribution.log_prob(action)

    def evaluate_action(
        self,
        state: None,
        observation: PyTree,
        action: Array,
        *,
        action_mask: Bool[Array, "..."] | None = None,
    ) -> tuple[None, Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
        distribution = self.distribution(observation, action_mask)
        value = self.value(state, observation)[1]
        return None, value, distribution.log_prob(action), distribution.entropy()

    def value(self, state: None, observation: PyTree) -> tuple[None, Float[Array, ""]]:
        network = self.actor if self.critic is None else self.critic
        return None, network(self.normalized(observation))[-1]

    def _distribution(
        self, normalized: PyTree, action_mask: Bool[Array, "..."] | None = None
    ) -> AbstractDistribution:
        output = self.actor(normalized)[: self.action_space.flat_size]
        if self.log_std is None:
            return Categorical(output, action_mask)
        return Normal(output.reshape(self.action_space.shape), self.log_std)
