"""A policy that remembers what it saw."""

from typing import Any, ClassVar

import equinox as eqx
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Float, Key, PyTree

from lerax import tree
from lerax.env import AbstractEnvLike
from lerax.errors import SettingTypeError
from lerax.network import ACTIVATIONS, MLP, Head, Layer, Network, draw
from lerax.settings import setting
from lerax.statistics import RunningStatistics

from . import arguments
from .actor_critic import AbstractMLPActorCriticPolicy
from .mlp import AbstractMLPPolicy


class GRUActorCriticPolicy(AbstractMLPActorCriticPolicy):
    """A perceptron, a gated recurrent unit that remembers what it gives (Cho et al., 2014,
    https://arxiv.org/abs/1406.1078), and a linear head; once for the actions, and once for the value.

    Args:
        env: The environment to act in. Only its two spaces are kept.
        key: PRNG key of the initial weights.
        settings: `hidden_sizes`, `memory_size`, `activation`, `layer_norm`, `initialization`, `encoder`,
            `normalize_observations` and `log_std_init`.

    Raises:
        SettingTypeError: The action space is a Dict or a Tuple, or an argument is of another kind.
        SettingError: A setting is out of range.
    """

    networks: tuple[Network, ...]
    cells: tuple[eqx.nn.GRUCell, ...]
    actor: MLP
    critic: MLP
    log_std: Float[Array, "..."] | None
    seen: RunningStatistics | None
    hidden_sizes: tuple[int, ...] = arguments.hidden_sizes(64)
    activation: str = arguments.activation("tanh")
    initialization: str = arguments.initialization("orthogonal")
    memory_size: int = setting(64, "How many numbers either unit remembers.", at_least=1, at_most=2**14)

    name: ClassVar[str] = "GRUActorCriticPolicy"
    through_time = True

    def __init__(self, env: AbstractEnvLike, *, key: Key[Array, ""], **settings: Any):
        AbstractMLPPolicy.__init__(self, env, key=key, **settings)  # checkers of types see no inherited one

    def _make(self, key: Key[Array, ""]) -> None:
        network_key, cell_key, heads_key = jr.split(key, 3)
        size, actions = self.memory_size, self.action_space.flat_size
        self.log_std = self._first_log_std()
        self.networks = self._networks(network_key, [Head(size)], [Head(size)])
        cell = lambda key: eqx.nn.GRUCell(size, size, dtype=jnp.float32, key=key)
        self.cells = tuple(map(cell, jr.split(cell_key)))
        # A small last layer: the first policy is close to uniform.
        heads = draw(heads_key, (Layer(size, actions, 0.01), Layer(size, 1, 1.0)), self.initialization)
        self.actor, self.critic = MLP((size, actions), layers=heads[:1]), MLP((size, 1), layers=heads[1:])

    def reset(self, *, key: Key[Array, ""]) -> Float[Array, "2 memory"]:
        return jnp.zeros((2, self.memory_size), jnp.float32)

    def taken(
        self, state: PyTree, observation: PyTree
    ) -> tuple[Float[Array, "2 memory"], tuple[PyTree, PyTree]]:
        wanted = (2, self.memory_size)
        if getattr(state, "shape", None) != wanted:
            hint = "an episode begins with policy.reset(key=jax.random.key(0))"
            one = {"wrong": "not its memory", "said": tree.text(state)}
            raise SettingTypeError("state", state, f"numbers of shape {wanted}", **one, hint=hint)
        activation, seen = ACTIVATIONS[self.activation], self.normalized(observation)
        units = zip(self.networks, self.cells, state, strict=True)
        memory = jnp.stack([cell(activation(network(seen)), own) for network, cell, own in units])
        return memory, (memory[0], memory[1])
