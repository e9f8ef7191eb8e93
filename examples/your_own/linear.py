"""A policy: the probabilities of actions from one matrix."""

import equinox as eqx
from jax import numpy as jnp
from jaxtyping import Array, Float

from lerax.distribution import Categorical
from lerax.policy import AbstractPolicy
from lerax.space import AbstractSpace


class Linear(AbstractPolicy):
    """For discrete actions; it begins with all of them alike."""

    matrix: Float[Array, "size actions"]
    action_space: AbstractSpace = eqx.field(static=True)
    observation_space: AbstractSpace = eqx.field(static=True)

    name = "Linear"

    def __init__(self, env, *, key):
        self.action_space, self.observation_space = env.action_space, env.observation_space
        self.matrix = jnp.zeros((env.observation_space.flat_size, env.action_space.n), jnp.float32)

    def distribution(self, observation, action_mask=None):
        return Categorical(self.observation_space.flatten(observation) @ self.matrix, action_mask)

    def __call__(self, state, observation, *, key=None, action_mask=None):
        distribution = self.distribution(observation, action_mask)
        return state, distribution.mode() if key is None else distribution.sample(key=key)
