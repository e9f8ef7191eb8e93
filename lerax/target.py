"""How slow copies of networks follow, as objects; the algorithms' own way, `follow`."""

from abc import abstractmethod
from typing import TypeVar

import equinox as eqx
from jaxtyping import Array, Float

from lerax.algorithm.off_policy.networks import follow

ModuleT = TypeVar("ModuleT", bound=eqx.Module)


class AbstractTargetUpdate(eqx.Module):
    """What a target becomes."""

    @abstractmethod
    def __call__(self, online: ModuleT, target: ModuleT) -> ModuleT:
        """The next target.

        Args:
            online: The network that is trained.
            target: Its slow copy, of the same structure.
        """


class HardUpdate(AbstractTargetUpdate):
    """The network itself."""

    def __call__(self, online: ModuleT, target: ModuleT) -> ModuleT:
        return online


class SoftUpdate(AbstractTargetUpdate):
    """A part of the way to the network (Lillicrap et al., 2016).

    Attributes:
        tau: Which part; 1 copies it.
    """

    tau: float | Float[Array, ""] = 0.005

    def __call__(self, online: ModuleT, target: ModuleT) -> ModuleT:
        return polyak_average(online, target, self.tau)


def polyak_average(online: ModuleT, target: ModuleT, tau: float | Float[Array, ""]) -> ModuleT:
    """A target moved by the part `tau` towards the network.

    All that is not trained, such as running statistics and settings, is the network's.

    Args:
        online: The network that is trained.
        target: Its slow copy, of the same structure.
        tau: Which part; 1 copies it.
    """
    return follow(target, online, tau)
