"""What wrappers ask of bounds."""

import numpy as np

from lerax.errors import SettingError, SettingTypeError
from lerax.space import AbstractSpace, Box


def box_of(space: AbstractSpace, wrapper: str, what: str) -> Box:
    """The space, which has to be a Box.

    Raises:
        SettingTypeError: It is none.
    """
    if not isinstance(space, Box):
        raise SettingTypeError(wrapper, space, wrong=f"needs {what} in a Box")
    return space


def floats_of(space: AbstractSpace, wrapper: str, what: str) -> Box:
    """The space, which has to be a Box of floats.

    Raises:
        SettingTypeError: It is none.
    """
    space = box_of(space, wrapper, what)
    if space.dtype != np.float32:
        raise SettingTypeError(wrapper, space, wrong=f"needs {what} of floats", said=str(space.dtype))
    return space


def has_widths(space: Box) -> bool:
    """Whether all bounds are so far apart as a float32 can say."""
    least, most = space.bounds
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(most - least).all())


def check_order(wrapper: str, low: float, high: float) -> None:
    """Refuses bounds in the wrong order.

    Raises:
        SettingError: They are.
    """
    if not low < high:
        raise SettingError(wrapper, (low, high), wrong="low must be below high", said=f"{low} and {high}")
