"""Perceptrons."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import equinox as eqx
import jax
from jax import numpy as jnp
from jaxtyping import Array, Float, Key

from .initialization import Drawn, Layer, draw
from .normalization import BatchRenorm, LayerNorm

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "elu": jax.nn.elu,
    "silu": jax.nn.silu,
    "gelu": jax.nn.gelu,
    "leaky_relu": jax.nn.leaky_relu,
    "mish": jax.nn.mish,
}


class MLP(eqx.Module):
    """A multilayer perceptron.

    Weights are stored `[in, out]`, so that a vmapped call is a plain matrix product without transposes.

    Args:
        sizes: Widths of the layers, inputs and outputs included.
        activation: A name from `ACTIVATIONS`, applied after every layer but the last.
        output_scale: Gain of the last layer.
        layer_norm: Whether hidden layers are normalised before their activation.
        batch_norm: Whether the inputs of every layer are normalised by batch renormalisation.
        initialization: A name from `INITIALIZATIONS`.
        key: PRNG key of the initial weights.
        layers: Weights and biases to take instead, from a `draw` that several networks share.
    """

    weights: list[Float[Array, "in out"]]
    biases: list[Float[Array, " out"]]
    layer_norms: list[LayerNorm]
    batch_norms: list[BatchRenorm]
    activation: str = eqx.field(static=True)

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        activation: str = "tanh",
        output_scale: float = 1.0,
        layer_norm: bool = False,
        batch_norm: bool = False,
        initialization: str = "orthogonal",
        key: Key[Array, ""] | None = None,
        layers: Sequence[Drawn] | None = None,
    ):
        if layers is None:
            assert key is not None, "MLP: needs a key or layers"
            layers = draw(key, self.layers_of(sizes, output_scale), initialization)
        self.weights = [weight for weight, _ in layers]
        self.biases = [bias for _, bias in layers]
        self.layer_norms = [LayerNorm(size) for size in sizes[1:-1]] if layer_norm else []
        self.batch_norms = [BatchRenorm(size) for size in sizes[:-1]] if batch_norm else []
        self.activation = activation

    @staticmethod
    def layers_of(sizes: Sequence[int], output_scale: float) -> tuple[Layer, ...]:
        """What is to be drawn for a perceptron."""
        *hidden, last = (Layer(*pair) for pair in pairwise(sizes))
        return *hidden, last._replace(gain=output_scale)

    def __call__(self, x: Float[Array, " in"], /) -> Float[Array, " out"]:
        for i in range(len(self.weights)):
            if self.batch_norms:
                factor, offset = self.batch_norms[i].moving()
                x = x * factor + offset
            x = self._layer(i, x, self.weights[i], self.biases[i])
        return x

    def train(self, batch: Float[Array, "batch in"], /) -> tuple[Float[Array, "batch out"], "MLP"]:
        """Outputs of a batch, normalised by its own statistics, and the network with moving ones after."""
        norms = []
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if self.batch_norms:  # a pass over weights, where one over the batch would wait for its moments
                hidden = i > 0  # inputs may lie far from 0
                factor, offset, after = self.batch_norms[i].train(batch, around_zero=hidden)
                weight, bias = factor[:, None] * weight, offset @ weight + bias
                norms.append(after)
            batch = self._layer(i, batch, weight, bias)
        return batch, eqx.tree_at(lambda network: network.batch_norms, self, norms)

    def _layer(
        self,
        i: int,
        x: Float[Array, "*batch in"],
        weight: Float[Array, "in out"],
        bias: Float[Array, " out"],
    ) -> Float[Array, "*batch out"]:
        x = x @ weight + bias
        if i + 1 == len(self.weights):
            return x
        x = self.layer_norms[i](x) if self.layer_norms else x
        return ACTIVATIONS[self.activation](x)
