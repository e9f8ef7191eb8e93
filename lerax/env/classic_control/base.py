"""What the classic control tasks share: angles, and the colours of their drawings."""

import math

from jax import numpy as jnp
from jaxtyping import Array, Float

from lerax.render import Color

LIGHT, PALE, LINE = Color.from_hex("#eceff1"), Color.from_hex("#cfd8dc"), Color.from_hex("#90a4ae")
SLATE, DARK, INK = Color.from_hex("#546e7a"), Color.from_hex("#37474f"), Color.from_hex("#263238")
WOOD, MARK = Color.from_hex("#d98c4a"), Color.from_hex("#e57373")


def wrap(angle: Float[Array, "..."]) -> Float[Array, "..."]:
    """The same angle, in radians, between -pi and pi."""
    return angle - 2 * math.pi * jnp.round(angle / (2 * math.pi))
