"""Initial weights."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jax import lax
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Float, Key

from lerax import tree


class Layer(NamedTuple):
    """What the weights of a layer are drawn for.

    Attributes:
        inputs: Inputs of each of its outputs.
        outputs: How many outputs it has.
        gain: What the weights are scaled by; None for what the initialization gives hidden layers.
    """

    inputs: int
    outputs: int
    gain: float | None = None


Drawn = tuple[Float[Array, "_ _"], Float[Array, " _"]]
"""Weights `[in, out]` and biases of a layer."""


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


def _orthogonal(key: Key[Array, ""], layers: tuple[Layer, ...]) -> list[Drawn]:
    """Orthogonal weights, of gain sqrt(2) in hidden layers (Saxe et al., 2014), and no biases."""
    matrices = orthogonal(key, tuple(layer[:2] for layer in layers))
    gains = (math.sqrt(2) if layer.gain is None else layer.gain for layer in layers)
    return [(gain * x, jnp.zeros(x.shape[1], jnp.float32)) for gain, x in zip(gains, matrices, strict=True)]


def _lecun(key: Key[Array, ""], layers: tuple[Layer, ...]) -> list[Drawn]:
    """Normal weights of variance 1 / inputs, within two deviations (LeCun et al., 1998), and no biases."""
    deviation = 0.87962566103423978  # of a standard normal that is cut there
    rows = _cut(lambda shape: jr.truncated_normal(key, -2.0, 2.0, shape, jnp.float32), layers)
    return [
        (row[1:] * np.float32(_gain(layer) / deviation / math.sqrt(layer.inputs)), jnp.zeros_like(row[0]))
        for row, layer in zip(rows, layers, strict=True)
    ]


def _uniform(key: Key[Array, ""], layers: tuple[Layer, ...]) -> list[Drawn]:
    """Weights and biases alike between -1 and 1 over the root of the inputs, as PyTorch has them."""
    rows = _cut(lambda shape: jr.uniform(key, shape, jnp.float32, -1.0, 1.0), layers)
    scaled = [
        row * np.float32(_gain(layer) / math.sqrt(layer.inputs))
        for row, layer in zip(rows, layers, strict=True)
    ]
    return [(row[1:], row[0]) for row in scaled]


INITIALIZATIONS: dict[str, Callable[[Key[Array, ""], tuple[Layer, ...]], list[Drawn]]] = {
    "orthogonal": _orthogonal,
    "lecun": _lecun,
    "uniform": _uniform,
}


@tree.compiled
def draw(key: Key[Array, ""], layers: tuple[Layer, ...], initialization: str) -> list[Drawn]:
    """Initial weights and biases of all layers, in one program.

    Args:
        key: PRNG key.
        layers: The layers, of several networks if need be.
        initialization: A name from `INITIALIZATIONS`.
    """
    return INITIALIZATIONS[initialization](key, layers)


def _gain(layer: Layer) -> float:
    return 1.0 if layer.gain is None else layer.gain


def _cut(
    numbers: Callable[[tuple[int]], Float[Array, " all"]], layers: tuple[Layer, ...]
) -> list[Float[Array, "_ out"]]:
    """A row of biases and the rows of weights for each layer, cut from one row of random numbers."""
    ends = np.cumsum([(layer.inputs + 1) * layer.outputs for layer in layers]).tolist()
    parts = jnp.split(numbers((ends[-1],)), ends[:-1])
    return [part.reshape(-1, layer.outputs) for part, layer in zip(parts, layers, strict=True)]
