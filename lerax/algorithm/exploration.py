"""Fewer and fewer random actions."""

from jaxtyping import Array, Float

from lerax.schedule import scheduled

from .optimizer import Rate


def epsilon_at(
    progress: Float[Array, ""], *, epsilon: Rate, final_epsilon: Rate, fraction: Rate, schedule: str
) -> Float[Array, ""]:
    """The part of the actions that are random.

    Args:
        progress: The part of the training that is done, from 0 towards 1.
        epsilon: The part at first.
        final_epsilon: The part at last.
        fraction: The part of the training at which the last is reached.
        schedule: How it gets there, one of `SCHEDULES`.
    """
    return scheduled(schedule, epsilon, progress / fraction, end=final_epsilon)
