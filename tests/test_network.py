"""Networks: orthogonal weights, perceptrons."""

import jax
import numpy as np
from jax import numpy as jnp
from jax import random as jr
from scipy import stats

from lerax.network import MLP, orthogonal

SHAPES = ((4, 64), (64, 4), (8, 8), (5, 1), (1, 5), (1, 1))


def test_rows_or_columns_are_orthonormal_whatever_shapes_are_made_together():
    for matrix, shape in zip(orthogonal(jr.key(0), SHAPES), SHAPES, strict=True):
        matrix = np.asarray(matrix, np.float64)
        assert matrix.shape == shape
        product = matrix @ matrix.T if shape[0] < shape[1] else matrix.T @ matrix
        np.testing.assert_allclose(product, np.eye(min(shape)), atol=1e-5)


def test_orthogonal_matrices_are_uniformly_distributed():
    """A column of a uniform orthogonal matrix is a point of the sphere: (1 + x) / 2 is a beta variable.

    A wrong choice of the reflections' signs would show in these, in the determinant's sign, or in the trace's
    moments (Diaconis and Shahshahani, 1994).
    """
    shapes = ((3, 3), (5, 2), (2, 4))  # made together, so that some are padded
    keys = jr.split(jr.key(1), 4000)
    drawn = [np.asarray(x) for x in jax.vmap(lambda key: orthogonal(key, shapes))(keys)]
    for draws, shape in zip(drawn, shapes, strict=True):
        half = (max(shape) - 1) / 2
        for index in np.ndindex(shape):
            assert stats.kstest((1 + draws[:, *index]) / 2, stats.beta(half, half).cdf).pvalue > 1e-4, index
    assert abs(np.linalg.det(drawn[0]).mean()) < 4 / np.sqrt(4000)
    traces = np.trace(drawn[0], axis1=1, axis2=2)
    assert abs(traces.mean()) < 4 / np.sqrt(4000) and abs((traces**2).mean() - 1) < 4 * np.sqrt(2 / 4000)
    together = np.concatenate([draws.reshape(4000, -1) for draws in drawn[1:]], axis=1)
    assert np.abs(np.corrcoef(together.T)[:10, 10:]).max() < 5 / np.sqrt(4000)  # matrices are independent


def test_a_perceptron_is_matrix_products_with_an_activation_between_them():
    network = MLP((3, 5, 2), activation="relu", key=jr.key(2))
    x = np.array([0.5, -1.0, 2.0], np.float32)
    w = [np.asarray(weight) for weight in network.weights]
    expected = np.maximum(x @ w[0] + 0.1, 0) @ w[1] + 0.1
    network = jax.tree.map(lambda leaf: leaf + 0.1 if leaf.ndim == 1 else leaf, network)
    np.testing.assert_allclose(network(jnp.asarray(x)), expected, rtol=1e-5)


def test_initial_gains_and_biases_are_those_of_ppo():
    network = MLP((4, 8, 8, 2), output_scale=0.01, key=jr.key(3))
    gains = [np.linalg.svd(np.asarray(weight), compute_uv=False) for weight in network.weights]
    for gain, expected in zip(gains, (np.sqrt(2), np.sqrt(2), 0.01), strict=True):
        np.testing.assert_allclose(gain, expected, rtol=1e-5)
    assert not any(bias.any() for bias in network.biases)


def test_layers_are_drawn_independently():
    network = MLP((4, 4, 4), key=jr.key(4))
    assert not np.allclose(network.weights[0] / np.sqrt(2), network.weights[1], atol=1e-3)
