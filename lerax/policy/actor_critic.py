"""Policies that also estimate the value of a state."""

from abc import abstractmethod
from itertools import pairwise
from typing import ClassVar

import equinox as eqx
import jax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from lerax import tree
from lerax.distribution import AbstractDistribution, Categorical, Normal
from lerax.env import AbstractEnvLike
from lerax.env.contract import check_env
from lerax.errors import SettingTypeError
from lerax.network import ACTIVATIONS, MLP, orthogonal
from lerax.settings import check_settings, setting
from lerax.space import AbstractSpace, Box, Discrete
from lerax.statistics import RunningStatistics

from .base_policy import AbstractPolicy

MOST = 10.0  # standard deviations that a normalized observation may lie from the mean


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

    def after_rollout(self, observation: PyTree) -> "AbstractActorCriticPolicy":
        """The policy after a rollout: what it learns from observations other than by gradients.

        Args:
            observation: Those of the rollout, `[sample, ...]`.

        Returns:
            By default the policy as it is.
        """
        return self


class MLPActorCriticPolicy(AbstractActorCriticPolicy):
    """Separate perceptrons for the action distribution and the value.

    Discrete actions are categorical; actions in a box are Gaussian with a standard deviation that does not
    depend on the observation.

    Args:
        env: The environment to act in. Only its two spaces are kept.
        normalize_observations: Subtract the mean of all observations seen in training and divide by their
            standard deviation. Both are part of the policy, and change in training only.
        hidden_sizes: Widths of the hidden layers of each perceptron.
        activation: Name of the activation function.
        log_std_init: Initial logarithm of the standard deviation in a box.
        key: PRNG key of the initial weights.

    Raises:
        TypeError: The action space is neither Discrete nor a Box, or an argument is of another kind.
        ValueError: A setting is out of range.
    """

    actor: MLP
    critic: MLP
    log_std: Float[Array, "..."] | None
    seen: RunningStatistics | None
    action_space: AbstractSpace = eqx.field(static=True)
    observation_space: AbstractSpace = eqx.field(static=True)
    hidden_sizes: tuple[int, ...] = setting(
        (64, 64), "Widths of the hidden layers.", at_least=1, at_most=2**14
    )
    activation: str = setting("tanh", "Activation function.", choices=tuple(ACTIVATIONS))
    log_std_init: float = setting(
        0.0, "Initial log standard deviation (box actions).", at_least=-20, at_most=20, static=True
    )
    normalize_observations: bool = setting(False, "Normalize observations by all that was seen.")

    name: ClassVar[str] = "MLPActorCriticPolicy"

    def __init__(
        self,
        env: AbstractEnvLike,
        *,
        hidden_sizes: tuple[int, ...] = (64, 64),
        activation: str = "tanh",
        log_std_init: float = 0.0,
        normalize_observations: bool = False,
        key: Key[Array, ""],
    ):
        check_env(env)
        self.action_space, self.observation_space = env.action_space, env.observation_space
        self.hidden_sizes, self.activation = hidden_sizes, activation
        self.log_std_init, self.normalize_observations = log_std_init, normalize_observations
        check_settings(self)
        if isinstance(self.action_space, Discrete):
            outputs, self.log_std = self.action_space.n, None
        elif isinstance(self.action_space, Box):
            outputs = self.action_space.flat_size
            self.log_std = jnp.full(self.action_space.shape, float(log_std_init), jnp.float32)
        else:
            wrong = "unsupported action space"
            raise SettingTypeError("MLPActorCriticPolicy", self.action_space, "Discrete, Box", wrong=wrong)
        layers = (self.observation_space.flat_size, *self.hidden_sizes)
        normalizes = self.normalize_observations
        self.seen = RunningStatistics.empty(layers[0]) if normalizes else None
        self.actor, self.critic = _networks(tree.typed_key(key), layers, outputs, activation)

    def distribution(
        self, observation: PyTree, action_mask: Bool[Array, "..."] | None = None
    ) -> AbstractDistribution:
        """The distribution of actions for an observation."""
        return self._distribution(self._input(observation), action_mask)

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
        blank = jnp.zeros(self.observation_space.flat_size, jnp.float32)
        return self._distribution(blank).noise(key=key)

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
        return None, self.critic(self._input(observation))[0]

    def after_rollout(self, observation: PyTree) -> "MLPActorCriticPolicy":
        statistics = self.seen
        if statistics is None:
            return self
        updated = statistics.updated(jax.vmap(self.observation_space.flatten)(observation))
        return eqx.tree_at(lambda policy: policy.seen, self, updated)

    def _distribution(
        self, flat: Float[Array, " size"], action_mask: Bool[Array, "..."] | None = None
    ) -> AbstractDistribution:
        output = self.actor(flat)
        if self.log_std is None:
            return Categorical(output, action_mask)
        return Normal(output.reshape(self.action_space.shape), self.log_std)

    def _input(self, observation: PyTree) -> Float[Array, " size"]:
        flat = self.observation_space.flatten(observation)
        statistics = self.seen
        return flat if statistics is None else statistics.normalize(flat, MOST)


@tree.compiled
def _networks(key: Key[Array, ""], layers: tuple[int, ...], outputs: int, activation: str) -> tuple[MLP, MLP]:
    """The actor and the critic at first, drawn together: there is one drawing to compile."""
    actor, critic = (*layers, outputs), (*layers, 1)
    matrices = orthogonal(key, (*pairwise(actor), *pairwise(critic)))
    count = len(layers)
    # A small last layer: the first policy is close to uniform.
    return (
        MLP(actor, activation=activation, output_scale=0.01, matrices=matrices[:count]),
        MLP(critic, activation=activation, matrices=matrices[count:]),
    )
