"""Networks."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import equinox as eqx
import jax
from jax import lax
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Float, Key

from lerax import tree

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "elu": jax.nn.elu,
    "silu": jax.nn.silu,
    "gelu": jax.nn.gelu,
}


@tree.compiled
def orthogonal(key: Key[Array, ""], shapes: tuple[tuple[int, int], ...]) -> tuple[Float[Array, "_ _"], ...]:
    """Random matrices with orthonormal rows or columns, whichever are fewer, uniformly distributed.

    Each is a product of random Householder reflections (Stewart, 1980, https://doi.org/10.1137/0717034), all
    of them made side by side, padded to one size: a start spends its time on compiling, and this is one small
    program, where JAX's own initializer is one through LAPACK for every shape.
    """
    long, short = max(map(max, shapes)), max(map(min, shapes))
    rows, columns = jnp.arange(short)[:, None], jnp.arange(long)
    used = jnp.stack([(rows < min(s)) & (rows <= columns) & (columns < max(s)) for s in shapes])
    vectors = jnp.where(used, jr.normal(key, used.shape, jnp.float32), 0.0)
    signs = jnp.where(jnp.diagonal(vectors, axis1=1, axis2=2) < 0, -1.0, 1.0).astype(jnp.float32)
    lengths = jnp.sqrt(jnp.sum(vectors**2, axis=2))
    vectors = vectors + (rows == columns) * (signs * lengths)[:, :, None]
    squares = jnp.maximum(jnp.sum(vectors**2, axis=2), jnp.finfo(jnp.float32).tiny)

    def reflect(i: Array, matrices: Float[Array, "shape long short"]) -> Float[Array, "shape long short"]:
        vector = vectors[:, short - 1 - i, :, None]
        along = jnp.sum(vector * matrices, axis=1, keepdims=True) / squares[:, short - 1 - i, None, None]
        return matrices - 2.0 * vector * along

    start = jnp.broadcast_to(jnp.eye(long, short, dtype=jnp.float32), (len(shapes), long, short))
    matrices = lax.fori_loop(0, short, reflect, start) * -signs[:, None, :]
    cut = [matrix[: max(shape), : min(shape)] for matrix, shape in zip(matrices, shapes, strict=True)]
    return tuple(x if x.shape == shape else x.T for x, shape in zip(cut, shapes, strict=True))


class MLP(eqx.Module):
    """A multilayer perceptron with orthogonal initial weights and zero biases.

    Weights are stored `[in, out]`, so that a vmapped call is a plain matrix product without transposes.

    Args:
        sizes: Widths of the layers, inputs and outputs included.
        activation: A name from `ACTIVATIONS`, applied after every layer but the last.
        output_scale: Gain of the last layer; the others have sqrt(2), after Schulman et al.'s PPO.
        key: PRNG key of the initial weights.
        matrices: What to make the weights of instead, from an `orthogonal` that several networks share.
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
        key: Key[Array, ""] | None = None,
        matrices: Sequence[Float[Array, "in out"]] | None = None,
    ):
        gains = [math.sqrt(2)] * (len(sizes) - 2) + [output_scale]
        if matrices is None:
            assert key is not None, "MLP: needs a key or matrices"
            matrices = orthogonal(key, tuple(pairwise(sizes)))
        self.weights = [gain * matrix for gain, matrix in zip(gains, matrices, strict=True)]
        self.biases = [jnp.zeros(size, jnp.float32) for size in sizes[1:]]
        self.activation = activation

    def __call__(self, x: Float[Array, " in"]) -> Float[Array, " out"]:
        activation = ACTIVATIONS[self.activation]
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = activation(x @ weight + bias)
        return x @ self.weights[-1] + self.biases[-1]
