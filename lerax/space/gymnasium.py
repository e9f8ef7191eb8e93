"""Gymnasium's spaces and ours: https://gymnasium.farama.org/api/spaces/."""

from typing import TYPE_CHECKING

import numpy as np

from lerax.errors import SettingError, SettingTypeError

from .base_space import AbstractSpace
from .box import Box
from .discrete import Discrete

if TYPE_CHECKING:
    import gymnasium


def to_gymnasium(space: AbstractSpace) -> "gymnasium.Space":
    """Gymnasium's space of the same values, which are NumPy's arrays and integers there.

    Args:
        space: A `Box` or a `Discrete`.

    Raises:
        SettingTypeError: It is of another kind.
    """
    from gymnasium import spaces

    if isinstance(space, Box):
        low, high = space.bounds
        return spaces.Box(low, high, dtype=space.dtype.type)
    if isinstance(space, Discrete):
        return spaces.Discrete(space.n)
    raise SettingTypeError("space", space, "Box, Discrete", wrong="Gymnasium has none for it")


def from_gymnasium(space: "gymnasium.Space") -> AbstractSpace:
    """Our space of the values of Gymnasium's.

    Args:
        space: A `Box` of floating numbers, which are float32 here whatever they are there, or of bytes; or a
            `Discrete` that begins at 0.

    Raises:
        SettingError: It is a box of other numbers, or a discrete space that begins elsewhere.
        SettingTypeError: It is of another kind.
    """
    from gymnasium import spaces

    if isinstance(space, spaces.Box):
        if not (np.issubdtype(space.dtype, np.floating) or space.dtype == np.uint8):
            allowed = "floating numbers, uint8"
            raise SettingError("space", space, allowed, wrong=f"boxes have no {space.dtype}")
        with np.errstate(over="ignore"):  # what is beyond float32 is infinite there
            low, high = space.low.astype(np.float32), space.high.astype(np.float32)
        return Box(low, high, dtype=np.uint8 if space.dtype == np.uint8 else np.float32)
    if isinstance(space, spaces.Discrete):
        if space.start != 0:
            hint = "subtract `start` from its values, in a gymnasium wrapper"
            raise SettingError("space", space, wrong="a discrete space begins at 0", hint=hint)
        return Discrete(int(space.n))
    raise SettingTypeError("space", space, "Box, Discrete", wrong="there is none for it")
