"""Networks."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import equinox as eqx
import jax
from jax import lax
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


@partial(jax.jit, static_argnums=1)
def orthogonal(key: Key[Array, ""], shape: tuple[int, int]) -> Float[Array, "in out"]:
    """A random matrix with orthonormal rows or columns, whichever are fewer, uniformly distributed.

    A product of random Householder reflections (Stewart, 1980, https://doi.org/10.1137/0717034). JAX's own
    initializer goes through LAPACK, whose import and compilation take a second of every start.
    """
    long, short = max(shape), min(shape)
    columns = jnp.arange(short)
    vectors = jnp.triu(jr.normal(key, (short, long)))
    signs = jnp.where(vectors[columns, columns] < 0, -1.0, 1.0)
    vectors = vectors.at[columns, columns].add(signs * jnp.sqrt(jnp.sum(vectors**2, axis=1)))

    def reflect(i: Array, matrix: Array) -> Array:
        vector = vectors[short - 1 - i]
        along = jnp.sum(vector[:, None] * matrix, axis=0) / jnp.sum(vector**2)
        return matrix - 2.0 * vector[:, None] * along

    matrix = lax.fori_loop(0, short, reflect, jnp.eye(long, short)) * -signs
    return matrix if shape == (long, short) else matrix.T


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
        layers = zip(keys, pairwise(sizes), gains, strict=True)
        self.weights = [gain * orthogonal(k, shape) for k, shape, gain in layers]
        self.biases = [jnp.zeros(size) for size in sizes[1:]]
        self.activation = activation

    def __call__(self, x: Float[Array, " in"]) -> Float[Array, " out"]:
        activation = ACTIVATIONS[self.activation]
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = activation(x @ weight + bias)
        return x @ self.weights[-1] + self.biases[-1]
