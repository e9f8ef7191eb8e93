"""What every policy offers."""

from abc import abstractmethod

import equinox as eqx
from jaxtyping import Array, Bool, Key, PyTree

from lerax.space import AbstractSpace


class AbstractPolicy(eqx.Module):
    """Chooses actions from observations.

    All methods are for one observation; use `jax.vmap` for batches.

    Attributes:
        name: Name of the policy.
        action_space: Space of the actions.
        observation_space: Space of the observations.
    """

    name: eqx.AbstractVar[str]
    action_space: eqx.AbstractVar[AbstractSpace]
    observation_space: eqx.AbstractVar[AbstractSpace]

    @abstractmethod
    def __call__(
        self,
        state: PyTree,
        observation: PyTree,
        *,
        key: Key[Array, ""] | None = None,
        action_mask: Bool[Array, "..."] | None = None,
    ) -> tuple[PyTree, PyTree]:
        """Acts.

        Args:
            state: The policy's memory, None where it has none.
            observation: What the environment shows.
            key: PRNG key to sample the action with; None for the most probable action.
            action_mask: Which actions are allowed.

        Returns:
            The next memory and the action.
        """

    def reset(self, *, key: Key[Array, ""]) -> PyTree:
        """The memory at the beginning of an episode; None, the default, for none."""
        return None
