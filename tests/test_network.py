"""Networks: orthogonal weights, perceptrons."""

import equinox as eqx
import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr
from scipy import stats

from lerax import tree
from lerax.errors import SettingError
from lerax.network import MLP, BatchRenorm, Encoder, Layer, LayerNorm, Network, draw, filters_of, orthogonal
from lerax.space import Box

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


def test_pytorchs_weights_and_biases_are_uniform_within_the_root_of_the_inputs():
    (weight, bias), (other, _) = draw(jr.key(5), (Layer(16, 300), Layer(300, 5, 0.5)), "uniform")
    for values in (weight, bias):
        assert stats.kstest(np.ravel(values), stats.uniform(-0.25, 0.5).cdf).pvalue > 1e-3
    assert stats.kstest(np.ravel(other) * 2 * np.sqrt(300), stats.uniform(-1, 2).cdf).pvalue > 1e-3


def test_lecuns_weights_have_the_variance_of_one_over_the_inputs_and_no_biases():
    ((weight, bias),) = draw(jr.key(6), (Layer(100, 60),), "lecun")
    values = np.ravel(weight) * 10
    assert not bias.any() and abs(values.std() - 1) < 0.03
    cut = stats.truncnorm(-2, 2)
    assert stats.kstest(values * cut.std(), cut.cdf).pvalue > 1e-3


def test_layers_are_normalised_before_their_activation():
    network = MLP((3, 5, 2), activation="relu", layer_norm=True, key=jr.key(2))
    network = eqx.tree_at(lambda n: n.layer_norms[0].shift, network, jnp.arange(5.0))
    network = eqx.tree_at(lambda n: n.layer_norms[0].scale, network, jnp.full(5, 2.0))
    x = np.array([0.5, -1.0, 2.0])
    hidden = x @ np.float64(network.weights[0])
    hidden = (hidden - hidden.mean()) / np.sqrt(hidden.var() + 1e-5) * 2 + np.arange(5.0)
    expected = np.maximum(hidden, 0) @ np.float64(network.weights[1])
    np.testing.assert_allclose(network(jnp.asarray(x, jnp.float32)), expected, rtol=1e-4)


def renormalised(batch, mean, variance, *, warm, r_max=3.0, d_max=5.0, epsilon=1e-3):
    """Algorithm 1 of Ioffe (2017), in float64, without scale and shift."""
    own, moving = np.sqrt(batch.var(0) + epsilon), np.sqrt(variance + epsilon)
    r = np.clip(own / moving, 1 / r_max, r_max) if warm else 1.0
    d = np.clip((batch.mean(0) - mean) / moving, -d_max, d_max) if warm else 0.0
    return (batch - batch.mean(0)) / own * r + d


@pytest.mark.parametrize("around_zero", [False, True])
def test_batch_renormalisation_is_that_of_the_paper_with_a_plain_beginning(around_zero):
    rng = np.random.default_rng(0)
    layer = BatchRenorm(4, momentum=0.9, warm_up=2)
    mean, variance = np.zeros(4), np.ones(4)
    for number in range(
        5
    ):  # of columns within the limits, below and above the one of r, and beyond that of d
        batch = rng.normal([0.3, 0.0, 0.5, 40.0], [1.0, 0.05, 9.0, 1.0], (64, 4))
        factor, offset, after = layer.train(jnp.asarray(batch, jnp.float32), around_zero=around_zero)
        outputs = batch * factor + offset
        expected = renormalised(batch, mean, variance, warm=number >= 2)
        np.testing.assert_allclose(outputs, expected, rtol=1e-3, atol=1e-3)
        mean, variance = 0.9 * mean + 0.1 * batch.mean(0), 0.9 * variance + 0.1 * batch.var(0)
        np.testing.assert_allclose(after.moments.mean, mean, rtol=1e-4)
        np.testing.assert_allclose(after.moments.variance, variance, rtol=1e-4)
        layer = after
    x = np.array([0.1, 0.2, 0.3, 0.4])
    factor, offset = layer.moving()
    np.testing.assert_allclose(x * factor + offset, (x - mean) / np.sqrt(variance + 1e-3), rtol=1e-3)


@pytest.mark.parametrize("around_zero", [False, True])
def test_gradients_take_the_corrections_of_batch_renormalisation_for_constants(around_zero):
    """Then they sum to 0 over the batch in each column, and so do their products with what went in."""
    batch = jnp.asarray(np.random.default_rng(1).normal(1.0, 2.0, (16, 3)), jnp.float32)
    layer = BatchRenorm(3, warm_up=0, epsilon=0.0)
    weights = jr.normal(jr.key(0), (16, 3))

    def weighted(x):
        factor, offset, _ = layer.train(x, around_zero=around_zero)
        return jnp.sum(weights * (x * factor + offset))

    gradient = jax.grad(weighted)(batch)
    assert np.abs(gradient).max() > 0.05
    np.testing.assert_allclose(gradient.sum(0), np.zeros(3), atol=1e-4)
    np.testing.assert_allclose((gradient * batch).sum(0), np.zeros(3), atol=1e-4)
    assert not any(jax.tree.leaves(tree.trainable(layer).moments))


def test_inputs_far_from_zero_are_renormalised():
    """A position of a few kilometres that differs by metres, of which squares in float32 know nothing."""
    network = MLP((1, 1), batch_norm=True, key=jr.key(2))
    batch = np.random.default_rng(4).normal(5e3, 1.0, (64, 1)).astype(np.float32)
    expected = renormalised(np.float64(batch), 0.0, 1.0, warm=False) @ np.float64(network.weights[0])
    np.testing.assert_allclose(network.train(jnp.asarray(batch))[0], expected, atol=0.01)


def test_every_layers_inputs_are_renormalised():
    network = MLP((3, 5, 2), activation="relu", batch_norm=True, key=jr.key(2))
    batch = np.random.default_rng(2).normal(2.0, 3.0, (32, 3))
    outputs, after = network.train(jnp.asarray(batch, jnp.float32))
    w = [np.float64(weight) for weight in network.weights]
    zero, one = np.zeros(5), np.ones(5)
    hidden = np.maximum(renormalised(batch, zero[:3], one[:3], warm=False) @ w[0], 0)
    expected = renormalised(hidden, zero, one, warm=False) @ w[1]
    np.testing.assert_allclose(outputs, expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(after.batch_norms[1].moments.mean, 0.01 * hidden.mean(0), rtol=1e-3)
    single = np.asarray(network(jnp.asarray(batch[0], jnp.float32)))
    expected = np.maximum(batch[0] / np.sqrt(1.001) @ w[0], 0) / np.sqrt(1.001) @ w[1]
    np.testing.assert_allclose(single, expected, rtol=1e-3)


def test_convolutions_are_sums_over_windows_of_the_picture():
    filters = filters_of(Box(0, 255, shape=(36, 44, 2), dtype=np.uint8), "nature")
    layers = draw(jr.key(7), Encoder.layers_of(2, filters), "uniform")
    encoder = Encoder(filters, layers)
    x = picture = np.random.default_rng(3).normal(size=(36, 44, 2))
    for (_, size, stride), (weight, bias) in zip(filters, layers, strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), (0, 1))[::stride, ::stride]
        windows = np.moveaxis(windows, 2, -1).reshape(*windows.shape[:2], -1)
        x = np.maximum(windows @ np.float64(weight) + np.float64(bias), 0)
    assert x.shape == (1, 2, 64)  # 84 x 84 would leave 7 x 7
    np.testing.assert_allclose(encoder(jnp.asarray(picture, jnp.float32)), x.ravel(), rtol=1e-3, atol=1e-5)


def test_auto_takes_the_largest_encoder_that_fits():
    sizes = {(84, 84, 4): 3, (36, 36, 1): 3, (35, 36, 1): 1, (10, 10, 4): 1, (2, 9, 4): 0, (84, 84): 0}
    for shape, layers in sizes.items():
        assert len(filters_of(Box(0.0, 1.0, shape=shape), "auto")) == layers


def test_auto_refuses_bytes_whose_channels_come_first():
    """Convolutions along channels and rows would learn little, and nothing would say so."""
    with pytest.raises(SettingError, match=r"^encoder: .*got auto for .*\(4, 84, 84\).*flatten"):
        filters_of(Box(0, 255, shape=(4, 84, 84), dtype=np.uint8), "auto")
    assert filters_of(Box(0, 255, shape=(4, 84, 84), dtype=np.uint8), "flatten") == ()
    assert len(filters_of(Box(0.0, 1.0, shape=(4, 84, 84)), "auto")) == 1  # numbers may be anything
    assert filters_of(Box(0, 2, shape=(2, 3, 3), dtype=np.uint8), "auto") == ()  # a board, flattened
    for shape in ((10, 10, 4), (4, 5, 2), (8, 8, 111)):
        assert len(filters_of(Box(0, 255, shape=shape, dtype=np.uint8), "auto")) == 1


def test_bytes_are_divided_by_255_with_and_without_convolutions():
    pixels = np.random.default_rng(4).integers(0, 256, (5, 6, 2), np.uint8)
    for encoder in ("minatar", "flatten"):
        make = {"hidden_sizes": (8,), "encoder": encoder, "key": jr.key(8)}
        of_bytes = Network(Box(0, 255, shape=(5, 6, 2), dtype=np.uint8), 3, **make)
        of_floats = Network(Box(0.0, 1.0, shape=(5, 6, 2)), 3, **make)
        expected = of_floats(jnp.asarray(pixels / 255, jnp.float32))
        np.testing.assert_allclose(of_bytes(jnp.asarray(pixels)), expected, rtol=1e-5)


def test_what_comes_beside_a_picture_joins_its_features():
    network = Network(Box(0.0, 1.0, shape=(5, 6, 2)), 1, inputs=3, hidden_sizes=(8,), key=jr.key(9))
    assert network.weights[0].shape == (3 * 4 * 16 + 3, 8)
    picture, beside = jnp.full((5, 6, 2), 0.5), jnp.array([1.0, -2.0, 3.0])
    x = jnp.concatenate([network.encoder(picture), beside])
    expected = (
        jax.nn.relu(x @ network.weights[0] + network.biases[0]) @ network.weights[1] + network.biases[1]
    )
    np.testing.assert_allclose(network(picture, beside), expected, rtol=1e-4)


def test_channels_of_convolutions_are_normalised_as_layers_are():
    network = Network(Box(0.0, 1.0, shape=(5, 6, 2)), 1, layer_norm=True, hidden_sizes=(8,), key=jr.key(9))
    found = np.asarray(network.encoder(jnp.ones((5, 6, 2)))).reshape(12, 16)
    plain = Encoder(network.encoder.filters, [(network.encoder.weights[0], network.encoder.biases[0])])
    linear = np.ones(18) @ np.float64(plain.weights[0]) + np.float64(plain.biases[0])
    np.testing.assert_allclose(
        found[5], jax.nn.relu(LayerNorm(16)(jnp.asarray(linear, jnp.float32))), atol=1e-4
    )
