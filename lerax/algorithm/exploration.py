"""Fewer and fewer random actions."""

import equinox as eqx
from jaxtyping import Array, Float

from lerax.schedule import scheduled

from . import arguments


class AbstractEpsilonGreedy(eqx.Module):
    """What algorithms share that explore by random actions.

    Attributes:
        epsilon: The part of the actions that are random at first.
        final_epsilon: The part at last.
        exploration_fraction: The part of the training at which the last is reached.
        exploration_schedule: How it gets there, one of `SCHEDULES`.
    """

    epsilon: float = arguments.epsilon(1.0)
    final_epsilon: float = arguments.final_epsilon(0.05)
    exploration_fraction: float = arguments.exploration_fraction(0.2)
    exploration_schedule: str = arguments.exploration_schedule()

    def epsilon_at(self, progress: Float[Array, ""]) -> Float[Array, ""]:
        """The part of the actions that are random.

        Args:
            progress: The part of the training that is done, from 0 towards 1.
        """
        fraction = self.exploration_fraction
        return scheduled(self.exploration_schedule, self.epsilon, progress / fraction, end=self.final_epsilon)
