"""Spaces of actions and observations."""

from .base_space import AbstractSpace as AbstractSpace
from .box import Box as Box
from .discrete import Discrete as Discrete
from .gymnasium import from_gymnasium as from_gymnasium
from .gymnasium import to_gymnasium as to_gymnasium
