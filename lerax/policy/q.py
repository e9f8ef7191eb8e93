"""Policies that value each action."""

from typing import Any, ClassVar

import equinox as eqx
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, ArrayLike, Bool, Float, Int, Key, PyTree

from lerax import tree
from lerax.env import AbstractEnvLike
from lerax.network import Head, Network
from lerax.settings import setting
from lerax.statistics import RunningStatistics

from . import arguments
from .discrete import AbstractDiscretePolicy
from .mlp import AbstractMLPPolicy


class Exploration(tree.Untrained):
    """How often an action is a random one."""

    epsilon: Float[Array, ""]


class MLPQPolicy(AbstractDiscretePolicy):
    """A perceptron that values each discrete action; the best one is done (Mnih et al., 2015).

    Sampled actions are random ones in a part epsilon of the steps, and else the best ones. The setting
    `epsilon` there is a part of the policy that algorithms change (`with_epsilon`).

    Args:
        env: The environment to act in. Only its two spaces are kept.
        key: PRNG key of the initial weights.
        settings: `hidden_sizes`, `activation`, `layer_norm`, `initialization`, `encoder`,
            `normalize_observations` and `dueling`.

    Raises:
        SettingTypeError: The action space is not Discrete, or there is no such setting.
        SettingError: A setting is out of range.
    """

    network: Network
    epsilon: Exploration
    seen: RunningStatistics | None
    hidden_sizes: tuple[int, ...] = arguments.hidden_sizes(120, 84)

    dueling: bool = setting(False, "Value and advantages of the actions apart (Wang et al., 2016).")

    name: ClassVar[str] = "MLPQPolicy"

    def __init__(self, env: AbstractEnvLike, *, key: Key[Array, ""], **settings: Any):
        AbstractMLPPolicy.__init__(self, env, key=key, **settings)  # checkers of types see no inherited one

    def _make(self, key: Key[Array, ""]) -> None:
        state = [Head(1)] if self.dueling else []
        (self.network,) = self._networks(key, [*state, Head(self.action_space.flat_size)])
        self.epsilon = Exploration(jnp.array(0.05, jnp.float32))

    def q_values(self, observation: PyTree) -> Float[Array, " n"]:
        """The value of each action."""
        outputs = self.network(self.normalized(observation))
        if not self.dueling:
            return outputs
        value, advantages = outputs[0], outputs[1:]
        return value + advantages - jnp.mean(advantages)

    def with_epsilon(self, value: Float[ArrayLike, ""]) -> "MLPQPolicy":
        """The same policy with random actions in this part of the sampled steps."""
        return eqx.tree_at(lambda policy: policy.epsilon.epsilon, self, jnp.asarray(value, jnp.float32))

    def noise(self, *, key: Key[Array, ""]) -> Float[Array, " numbers"]:
        """What `action` takes; drawn for a whole rollout at once it is several times cheaper."""
        return jr.uniform(key, (self.action_space.flat_size + 1,), jnp.float32)

    def action(
        self,
        observation: PyTree,
        noise: Float[Array, " numbers"],
        action_mask: Bool[Array, " n"] | None = None,
    ) -> Int[Array, ""]:
        """The random action that `noise` makes: epsilon-greedy among what is allowed."""
        explores = noise[0] < self.epsilon.epsilon
        return self._best(jnp.where(explores, noise[1:], self.q_values(observation)), action_mask)

    def __call__(
        self,
        state: None,
        observation: PyTree,
        *,
        key: Key[Array, ""] | None = None,
        action_mask: Bool[Array, " n"] | None = None,
    ) -> tuple[None, Int[Array, ""]]:
        if key is None:
            return None, self._best(self.q_values(observation), action_mask)
        return None, self.action(observation, self.noise(key=key), action_mask)

    def _best(self, values: Float[Array, " n"], action_mask: Bool[Array, " n"] | None) -> Int[Array, ""]:
        """The allowed action of the highest value."""
        if action_mask is not None:
            values = jnp.where(action_mask, values, -jnp.inf)
        return self.choices.value(jnp.argmax(values).astype(jnp.int32))


class MLPPQNPolicy(MLPQPolicy):
    """The same with layer normalisation, which PQN learns by in place of targets (Gallici et al., 2024,
    https://arxiv.org/abs/2407.04811)."""

    layer_norm: bool = arguments.layer_norm(True)

    name: ClassVar[str] = "MLPPQNPolicy"

    def __init__(self, env: AbstractEnvLike, *, key: Key[Array, ""], **settings: Any):
        AbstractMLPPolicy.__init__(self, env, key=key, **settings)  # checkers of types see no inherited one
