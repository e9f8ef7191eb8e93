"""Networks that see observations."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import equinox as eqx
import jax
from jax import numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from lerax.space import AbstractComposite, AbstractSpace, Box

from .encoder import AUTO, Encoder, features, filters_of, products
from .initialization import Drawn, Layer, draw
from .mlp import MLP


class Head(NamedTuple):
    """Outputs of a network, and the gain that their weights begin with."""

    outputs: int
    gain: float = 1.0


class Network(MLP):
    """A perceptron that takes an observation, and vectors beside it.

    Pictures, which are boxes `[height, width, channels]`, go through convolutions first; anything else is
    flattened. Bytes are divided by 255.

    Args:
        space: Space of the observations.
        outputs: How many outputs there are.
        inputs: Length of what comes beside the observation, such as an action.
        hidden_sizes: Widths of the hidden layers.
        activation: A name from `ACTIVATIONS`.
        layer_norm: Whether hidden layers are normalised before their activation.
        batch_norm: Whether the inputs of the perceptron's layers are normalised by batch renormalisation.
        initialization: A name from `INITIALIZATIONS`.
        encoder: A name from `ENCODERS`, or `auto` for the largest one that the pictures are big enough for.
        output_scale: Gain of the last layer.
        key: PRNG key of the initial weights.
        layers: Weights and biases to take instead, from a `draw` that several networks share;
            those of several heads come last, and are laid side by side.

    Raises:
        SettingError: The encoder does not fit the observations.
    """

    encoder: Encoder | None
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
        encoder: str = AUTO,
        output_scale: float = 1.0,
        key: Key[Array, ""] | None = None,
        layers: Sequence[Drawn] | None = None,
    ):
        if layers is None:
            assert key is not None, "Network: needs a key or layers"
            head = Head(outputs, output_scale)
            wanted = layers_of(space, head, inputs=inputs, hidden_sizes=hidden_sizes, encoder=encoder)
            layers = draw(key, wanted, initialization)
        filters = filters_of(space, encoder)
        hidden, heads = (
            layers[len(filters) :][: len(hidden_sizes)],
            layers[len(filters) + len(hidden_sizes) :],
        )
        super().__init__(
            (features(space, filters) + inputs, *hidden_sizes, outputs),
            activation=activation,
            layer_norm=layer_norm,
            batch_norm=batch_norm,
            layers=[*hidden, (_joined(heads, 0), _joined(heads, 1))],
        )
        convolutions = layers[: len(filters)]
        self.encoder = Encoder(filters, convolutions, layer_norm=layer_norm) if filters else None
        self.space = space

    @property
    def of_pictures(self) -> list[int]:
        """How many numbers the convolutions' products take and give for one observation; none without."""
        return products(self.space, self.encoder.filters) if self.encoder else []

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
        if self.encoder is None:
            x = _flat(self.space, observation)
        else:
            x = self.encoder(_unit(self.space, jnp.asarray(observation, jnp.float32)))
        return jnp.concatenate([x, *others])


def layers_of(
    space: AbstractSpace, *heads: Head, inputs: int, hidden_sizes: Sequence[int], encoder: str
) -> tuple[Layer, ...]:
    """What is to be drawn for a network: of its encoder, its hidden layers, and of each of its heads."""
    filters = filters_of(space, encoder)
    sizes = (features(space, filters) + inputs, *hidden_sizes)
    convolutions = Encoder.layers_of(space.shape[-1], filters) if filters else ()
    hidden = (Layer(*pair) for pair in pairwise(sizes))
    return *convolutions, *hidden, *(Layer(sizes[-1], *head) for head in heads)


def _flat(space: AbstractSpace, observation: PyTree) -> Float[Array, " size"]:
    """An observation as a vector, whose bytes go from 0 to 1."""
    if isinstance(space, AbstractComposite):
        return jnp.concatenate([_flat(*pair) for pair in space.pairs(observation)])
    return _unit(space, space.flatten(observation))


def _unit(space: AbstractSpace, x: Float[Array, "..."]) -> Float[Array, "..."]:
    return x / 255 if isinstance(space, Box) and space.dtype == jnp.uint8 else x


def _joined(heads: Sequence[Drawn], part: int) -> Float[Array, "..."]:
    """Weights or biases of several heads as those of one layer."""
    return heads[0][part] if len(heads) == 1 else jnp.concatenate([head[part] for head in heads], axis=-1)
