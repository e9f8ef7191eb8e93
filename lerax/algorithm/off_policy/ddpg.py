"""Deep deterministic policy gradients (Lillicrap et al., 2016, https://arxiv.org/abs/1509.02971)."""

from .. import arguments as shared
from . import arguments
from .deterministic import AbstractDeterministicAlgorithm


class DDPG(AbstractDeterministicAlgorithm):
    """Deep deterministic policy gradients: one critic, and every update is one of the policy, too.

    Exploration noise is Gaussian, as in later work; the paper's is correlated in time.

    Raises:
        ValueError: A setting is out of range, or does not fit the others.
    """

    learning_starts: int = arguments.learning_starts(1_000)
    learning_rate: float = shared.learning_rate(1e-3)
