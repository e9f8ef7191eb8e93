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

Affine = Sequence[Float[Array, " size"]]  # a factor and an offset for each number


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
        return self._forward(x, lambda norm, x: norm.moving())

    def train(self, batch: Float[Array, "batch in"], /) -> tuple[Float[Array, "batch out"], "MLP"]:
        """Outputs of a batch, normalised by its own statistics, and the network with moving ones after."""
        norms = []

        def normalization(norm: BatchRenorm, x: Float[Array, "batch in"]) -> Affine:
            *affine, after = norm.train(x)
            norms.append(after)
            return affine

        outputs = self._forward(batch, normalization)
        return outputs, eqx.tree_at(lambda network: network.batch_norms, self, norms)

    def _forward(
        self, x: Float[Array, "*batch in"], normalization: Callable[[BatchRenorm, Array], Affine]
    ) -> Float[Array, "*batch out"]:
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if self.batch_norms:
                factor, offset = normalization(self.batch_norms[i], x)
                weight, bias = factor[:, None] * weight, offset @ weight + bias
            x = x @ weight + bias
            if i + 1 < len(self.weights):
                x = self.layer_norms[i](x) if self.layer_norms else x
                x = ACTIVATIONS[self.activation](x)
        return x
