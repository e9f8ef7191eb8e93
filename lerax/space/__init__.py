"""Spaces of actions and observations."""

from .base_space import AbstractSpace as AbstractSpace
from .box import Box as Box
from .discrete import Discrete as Discrete
