"""Gymnasium's spaces and ours: https://gymnasium.farama.org/api/spaces/."""

from typing import TYPE_CHECKING

import numpy as np

from lerax.errors import SettingError, SettingTypeError

from .base_space import AbstractSpace
from .box import Box
from .composite import Dict, Tuple
from .discrete import Discrete
from .multi import MultiBinary, MultiDiscrete

if TYPE_CHECKING:
    import gymnasium

KINDS = "Box, Discrete, MultiDiscrete, MultiBinary, Dict, Tuple"
WHY_NOT = {
    "Text": "a text has no fixed numbers that a network could take",
    "Sequence": "its values differ in length, and arrays here do not",
    "Graph": "its values differ in size, and arrays here do not",
    "OneOf": "its values differ in form, and arrays here do not",
}


def to_gymnasium(space: AbstractSpace) -> "gymnasium.Space":
    """Gymnasium's space of the same values, which are NumPy's arrays and integers there.

    Args:
        space: One of the spaces here.

    Raises:
        SettingTypeError: It is of another kind.
    """
    from gymnasium import spaces

    match space:
        case Box():
            low, high = space.bounds
            return spaces.Box(low, high, dtype=space.dtype.type)
        case Discrete():
            return spaces.Discrete(space.n, start=space.start)
        case MultiDiscrete():
            return spaces.MultiDiscrete([*space.nvec])
        case MultiBinary():
            return spaces.MultiBinary(space.flat_size if len(space.shape) == 1 else space.shape)
        case Dict():
            return spaces.Dict({name: to_gymnasium(part) for name, part in space.items()})
        case Tuple():
            return spaces.Tuple([to_gymnasium(part) for part in space.parts])
    raise SettingTypeError("space", space, KINDS, wrong="Gymnasium has none for it")


def from_gymnasium(space: "gymnasium.Space") -> AbstractSpace:
    """Our space of the values of Gymnasium's.

    Args:
        space: A `Box` of bytes or of other numbers, which are float32 here whatever they are there; a
            `Discrete`; a `MultiDiscrete` of one row that begins at 0; a `MultiBinary`; or a `Dict`, whose
            names are in alphabetic order here, or a `Tuple` of these.

    Raises:
        SettingError: It is a multi-discrete space that begins elsewhere.
        SettingTypeError: It is of another kind.
    """
    from gymnasium import spaces

    match space:
        case spaces.Box():
            return _box(space)
        case spaces.Discrete():
            return Discrete(int(space.n), int(space.start))
        case spaces.MultiDiscrete():
            if np.any(space.start != 0):
                hint = "subtract `start` from its values, in a gymnasium wrapper"
                raise SettingError("space", space, wrong="a multi-discrete space begins at 0", hint=hint)
            return MultiDiscrete(space.nvec.tolist())
        case spaces.MultiBinary():
            return MultiBinary(space.shape)
        case spaces.Dict():
            return Dict({name: from_gymnasium(part) for name, part in space.spaces.items()})
        case spaces.Tuple():
            return Tuple([from_gymnasium(part) for part in space.spaces])
    why = WHY_NOT.get(type(space).__name__, "")
    raise SettingTypeError("space", space, KINDS, wrong="there is none for it", hint=why)


def _box(space: "gymnasium.spaces.Box") -> Box:
    with np.errstate(over="ignore"):  # what is beyond float32 is infinite there
        low, high = space.low.astype(np.float32), space.high.astype(np.float32)
    return Box(low, high, dtype=np.uint8 if space.dtype == np.uint8 else np.float32)
