"""Networks."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import equinox as eqx
import jax
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Float, Key

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "elu": jax.nn.elu,
    "silu": jax.nn.silu,
    "gelu": jax.nn.gelu,
}


class MLP(eqx.Module):
    """A multilayer perceptron with orthogonal initial weights and zero biases.

    Weights are stored `[in, out]`, so that a vmapped call is a plain matrix product without transposes.

    Args:
        sizes: Widths of the layers, inputs and outputs included.
        activation: A name from `ACTIVATIONS`, applied after every layer but the last.
        output_scale: Gain of the last layer; the others have sqrt(2), after Schulman et al.'s PPO.
        key: PRNG key of the initial weights.
    """

    weights: list[Float[Array, "in out"]]
    biases: list[Float[Array, " out"]]
    activation: str = eqx.field(static=True)

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        activation: str = "tanh",
        output_scale: float = 1.0,
        key: Key[Array, ""],
    ):
        gains = [math.sqrt(2)] * (len(sizes) - 2) + [output_scale]
        keys = jr.split(key, len(gains))
        self.weights = [
            jax.nn.initializers.orthogonal(gain)(k, shape, jnp.float32)
            for k, shape, gain in zip(keys, pairwise(sizes), gains, strict=True)
        ]
        self.biases = [jnp.zeros(size) for size in sizes[1:]]
        self.activation = activation

    def __call__(self, x: Float[Array, " in"]) -> Float[Array, " out"]:
        activation = ACTIVATIONS[self.activation]
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = activation(x @ weight + bias)
        return x @ self.weights[-1] + self.biases[-1]
