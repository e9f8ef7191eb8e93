"""What makes vectors of observations: small convolutional networks for pictures."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import numpy as np
from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Float

from lerax.errors import SettingError, shown
from lerax.space import AbstractSpace, Box

from .initialization import Drawn, Layer
from .normalization import LayerNorm


class Filters(NamedTuple):
    """A convolutional layer: how many filters, how wide and high each is, and how far it moves."""

    channels: int
    size: int
    stride: int


ENCODERS: dict[str, tuple[Filters, ...]] = {
    "flatten": (),
    # Mnih et al., 2015, https://doi.org/10.1038/nature14236
    "nature": (Filters(32, 8, 4), Filters(64, 4, 2), Filters(64, 3, 1)),
    # Young and Tian, 2019, https://arxiv.org/abs/1903.03176
    "minatar": (Filters(16, 3, 1),),
}
AUTO = "auto"


def filters_of(space: AbstractSpace, encoder: str) -> tuple[Filters, ...]:
    """The convolutional layers that observations of a space go through.

    Args:
        space: Space of the observations; boxes `[height, width, channels]` are pictures.
        encoder: A name from `ENCODERS`, or `auto` for the largest one that fits.

    Raises:
        SettingError: The observations are no pictures, or too small, or for `auto` bytes whose channels come
            first.
    """
    box = space if isinstance(space, Box) and len(space.shape) == 3 else None
    picture = box.shape if box else None
    if encoder == AUTO:
        fitting = [filters for filters in ENCODERS.values() if picture and _fits(picture, filters)]
        largest: tuple[Filters, ...] = max(fitting, key=len, default=())
        if largest and box and box.dtype == np.uint8 and box.shape[0] < min(box.shape[1:]):
            wrong = "takes pictures [height, width, channels], not [channels, height, width]"
            hint = "move the first axis to the end, or name an encoder, such as flatten"
            said = f"{AUTO} for observations of shape {picture}"
            raise SettingError("encoder", encoder, wrong=wrong, hint=hint, said=said)
        return largest
    filters = ENCODERS[encoder]
    if filters and picture is None:
        wrong, hint = "needs pictures [height, width, channels]", "encoder=flatten takes all observations"
        kind = f"of shape {space.shape}" if isinstance(space, Box) else f"in {shown(space)}"
        said = f"{encoder} for observations {kind}"
        raise SettingError("encoder", encoder, wrong=wrong, hint=hint, said=said)
    if picture and not _fits(picture, filters):
        least = next(size for size in range(1, 1000) if _fits((size, size), filters))
        said = f"{encoder} for {picture[0]} x {picture[1]}"
        wrong, hint = f"needs pictures of at least {least} x {least}", "take a smaller one, such as auto"
        raise SettingError("encoder", encoder, wrong=wrong, hint=hint, said=said)
    return filters


def features(space: AbstractSpace, filters: Sequence[Filters]) -> int:
    """Length of the vector that is made of an observation."""
    if not filters:
        return space.flat_size
    return math.prod(_grid(space.shape, filters)) * filters[-1].channels


def products(space: AbstractSpace, filters: Sequence[Filters]) -> list[int]:
    """How many numbers the layers' products of matrices take and give for one picture."""
    depths = [space.shape[-1], *(one.channels for one in filters)] if filters else []
    pixels = [math.prod(_grid(space.shape, filters[: i + 1])) for i in range(len(filters))]
    taken = [count * one.size**2 * depth for count, one, depth in zip(pixels, filters, depths, strict=False)]
    return taken + [count * one.channels for count, one in zip(pixels, filters, strict=True)]


class Encoder(eqx.Module):
    """Convolutions without padding, each with a ReLU behind it.

    Kernels are stored as matrices `[height x width x in, out]`, drawn as those of other layers are.

    Args:
        filters: The layers.
        layers: Their drawn weights and biases.
        layer_norm: Whether each layer's channels are normalised before the ReLU.
    """

    weights: list[Float[Array, "in out"]]
    biases: list[Float[Array, " out"]]
    layer_norms: list[LayerNorm]
    filters: tuple[Filters, ...] = eqx.field(static=True)

    def __init__(self, filters: tuple[Filters, ...], layers: Sequence[Drawn], *, layer_norm: bool = False):
        self.filters = filters
        self.weights = [weight for weight, _ in layers]
        self.biases = [bias for _, bias in layers]
        self.layer_norms = [LayerNorm(one.channels) for one in filters] if layer_norm else []

    @staticmethod
    def layers_of(channels: int, filters: tuple[Filters, ...]) -> tuple[Layer, ...]:
        """What is to be drawn for pictures of so many channels."""
        inputs = (channels, *(one.channels for one in filters))
        return tuple(
            Layer(one.size**2 * depth, one.channels) for one, depth in zip(filters, inputs, strict=False)
        )

    def __call__(self, picture: Float[Array, "height width channels"]) -> Float[Array, " features"]:
        x = picture
        for i, (one, weight, bias) in enumerate(zip(self.filters, self.weights, self.biases, strict=True)):
            x = _convolved(x, weight, one) + bias
            x = jax.nn.relu(self.layer_norms[i](x) if self.layer_norms else x)
        return jnp.ravel(x)


def _convolved(
    picture: Float[Array, "height width in"], weight: Float[Array, "inputs out"], one: Filters
) -> Float[Array, "height2 width2 out"]:
    """What a layer's filters make of a picture, without bias.

    As one product of matrices: XLA's convolutions take ten times as long inside of loops on CPUs.
    """
    height, width = _grid(picture.shape, [one])
    down, right, depth = (height - 1) * one.stride + 1, (width - 1) * one.stride + 1, picture.shape[2]
    shifted = [
        lax.slice(picture, (y, x, 0), (y + down, x + right, depth), (one.stride, one.stride, 1))
        for y in range(one.size)
        for x in range(one.size)
    ]
    return jnp.concatenate(shifted, axis=-1) @ weight


def _grid(shape: Sequence[int], filters: Sequence[Filters]) -> tuple[int, int]:
    """Height and width of what the layers make of a picture; below 1 where it is too small."""
    height, width = shape[:2]
    for one in filters:
        height, width = ((length - one.size) // one.stride + 1 for length in (height, width))
    return height, width


def _fits(shape: Sequence[int], filters: Sequence[Filters]) -> bool:
    return min(_grid(shape, filters)) >= 1
