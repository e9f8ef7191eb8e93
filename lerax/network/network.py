"""Networks that see observations."""

from collections.abc import Sequence

import equinox as eqx
import jax
from jax import numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from lerax.space import AbstractSpace

from .initialization import Drawn
from .mlp import MLP


class Network(MLP):
    """A perceptron that takes an observation, and vectors beside it.

    Args:
        space: Space of the observations.
        outputs: How many outputs there are.
        inputs: Length of what comes beside the observation, such as an action.
        hidden_sizes: Widths of the hidden layers.
        activation: A name from `ACTIVATIONS`.
        layer_norm: Whether hidden layers are normalised before their activation.
        batch_norm: Whether the inputs of every layer are normalised by batch renormalisation.
        initialization: A name from `INITIALIZATIONS`.
        output_scale: Gain of the last layer.
        key: PRNG key of the initial weights.
        layers: Weights and biases to take instead, from a `draw` that several networks share.
    """

    space: AbstractSpace = eqx.field(static=True)

    def __init__(
        self,
        space: AbstractSpace,
        outputs: int,
        *,
        inputs: int = 0,
        hidden_sizes: Sequence[int] = (256, 256),
        activation: str = "relu",
        layer_norm: bool = False,
        batch_norm: bool = False,
        initialization: str = "uniform",
        output_scale: float = 1.0,
        key: Key[Array, ""] | None = None,
        layers: Sequence[Drawn] | None = None,
    ):
        self.space = space
        super().__init__(
            (space.flat_size + inputs, *hidden_sizes, outputs),
            activation=activation,
            output_scale=output_scale,
            layer_norm=layer_norm,
            batch_norm=batch_norm,
            initialization=initialization,
            key=key,
            layers=layers,
        )

    def __call__(self, observation: PyTree, /, *others: Float[Array, " _"]) -> Float[Array, " out"]:
        """The outputs for one observation and what comes beside it, one vector after the other."""
        return super().__call__(self._input(observation, *others))

    def train(
        self, observations: PyTree, /, *others: Float[Array, "batch _"]
    ) -> tuple[Float[Array, "batch out"], "Network"]:
        """Outputs of a batch, normalised by its own statistics, and the network with moving ones after."""
        outputs, network = super().train(jax.vmap(self._input)(observations, *others))
        assert isinstance(network, Network)
        return outputs, network

    def _input(self, observation: PyTree, *others: Float[Array, " _"]) -> Float[Array, " in"]:
        return jnp.concatenate([self.space.flatten(observation), *others])
