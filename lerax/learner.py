"""What an algorithm keeps beside the loop's own things, and what it says of an iteration."""

import equinox as eqx
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from lerax.policy import AbstractPolicy


class AbstractLearner(eqx.Module):
    """All that an algorithm changes in training but the environments: networks, optimizers, replay.

    Neither the loop nor a callback reads anything else of it.

    Attributes:
        policy: What acts.
        opt_state: What its optimizers hold; None where it has none.
    """

    policy: eqx.AbstractVar[AbstractPolicy]
    opt_state: eqx.AbstractVar[PyTree]

    @property
    def replay(self) -> PyTree:
        """What it holds of all that has happened, which may be most of its memory; by default nothing."""
        return None


class Maybe(eqx.Module):
    """A value that is not always there, such as a loss before the first update.

    Attributes:
        value: The value; anything where it is not there.
        there: Whether it is.
    """

    value: Float[Array, "*batch"]
    there: Bool[Array, "*batch"]


Log = dict[str, Float[Array, ""] | Maybe]
"""What an algorithm says of an iteration: scalars by name."""


def as_maybe(entry: Float[Array, ""] | Maybe) -> Maybe:
    """An entry of a log, which is there if it does not say so itself."""
    value, there = (entry.value, entry.there) if isinstance(entry, Maybe) else (entry, jnp.array(True))
    return Maybe(jnp.asarray(value, jnp.float32), there)


def means(log: dict[str, Maybe]) -> dict[str, Maybe]:
    """The mean of what is there in each column, which has leading axes."""

    def mean(column: Maybe) -> Maybe:
        count = jnp.sum(column.there, dtype=jnp.float32)
        total = jnp.sum(jnp.where(column.there, column.value, 0.0))
        return Maybe(total / jnp.maximum(count, 1.0), count > 0)

    return {name: mean(column) for name, column in log.items()}
