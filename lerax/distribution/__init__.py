"""Probability distributions over actions."""

from .base_distribution import AbstractDistribution as AbstractDistribution
from .bernoulli import Bernoulli as Bernoulli
from .categorical import Categorical as Categorical
from .choices import CHOICES as CHOICES
from .choices import distribution_over as distribution_over
from .multi_categorical import MultiCategorical as MultiCategorical
from .normal import MultivariateNormalDiag as MultivariateNormalDiag
from .normal import Normal as Normal
from .squashed_normal import Squash as Squash
from .squashed_normal import SquashedMultivariateNormalDiag as SquashedMultivariateNormalDiag
from .squashed_normal import SquashedNormal as SquashedNormal
