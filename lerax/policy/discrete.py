"""What policies share that choose one of several actions."""

from lerax.space import Discrete

from .mlp import AbstractMLPPolicy


class AbstractDiscretePolicy(AbstractMLPPolicy):
    """Its networks, and masks, count actions from 0; those that it gives are of the space."""

    acts_in = (Discrete,)

    @property
    def choices(self) -> Discrete:
        """The space of the actions: `choices.index` is where networks have an action."""
        assert isinstance(self.action_space, Discrete)
        return self.action_space
