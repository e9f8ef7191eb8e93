"""What an algorithm keeps beside the loop's own things, and what it says of an iteration."""

import equinox as eqx
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

    value: Float[Array, ""]
    there: Bool[Array, ""]


Log = dict[str, Float[Array, ""] | Maybe]
"""What an algorithm says of an iteration: scalars by name."""
