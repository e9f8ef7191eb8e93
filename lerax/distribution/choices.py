"""Which distribution is one over the values of a space of choices."""

from jaxtyping import Array, Bool, Float

from lerax.errors import SettingTypeError
from lerax.space import AbstractSpace, Discrete, MultiBinary, MultiDiscrete

from .base_distribution import AbstractDistribution
from .bernoulli import Bernoulli
from .categorical import Categorical
from .multi_categorical import MultiCategorical

CHOICES = (Discrete, MultiDiscrete, MultiBinary)


def distribution_over(
    space: AbstractSpace, logits: Float[Array, " size"], mask: Bool[Array, "..."] | None = None
) -> AbstractDistribution:
    """A distribution over the values of a space of choices.

    Args:
        space: A `Discrete`, a `MultiDiscrete` or a `MultiBinary`.
        logits: What it is made of, one number for each entry of a flattened value.
        mask: Which actions are allowed; None allows all.

    Raises:
        SettingTypeError: The space is of another kind.
    """
    match space:
        case Discrete():
            return Categorical(logits, mask, start=space.start)
        case MultiDiscrete():
            return MultiCategorical(logits, space.nvec, mask)
        case MultiBinary():
            return Bernoulli(logits.reshape(space.shape), mask)
    allowed = ", ".join(kind.__name__ for kind in CHOICES)
    raise SettingTypeError("space", space, allowed, wrong="no space of choices")
