"""Probability distributions over actions."""

from .base_distribution import AbstractDistribution as AbstractDistribution
from .categorical import Categorical as Categorical
from .normal import Normal as Normal
from .squashed_normal import SquashedNormal as SquashedNormal
