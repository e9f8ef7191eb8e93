"""All that updates change, and one step of an optimizer on a network."""

from collections.abc import Callable
from typing import Any, TypeVar

import equinox as eqx
import jax
from jaxtyping import Array, Float, PyTree

from lerax import tree
from lerax.errors import SettingTypeError
from lerax.policy import AbstractPolicy

from ..optimizer import descend


class AbstractNetworks(eqx.Module):
    """All that updates change.

    Attributes:
        policy: What acts.
        opt_state: What the optimizers hold.
    """

    policy: eqx.AbstractVar[AbstractPolicy]
    opt_state: eqx.AbstractVar[PyTree]


NetworksT = TypeVar("NetworksT", bound=AbstractNetworks)


def trained(
    network: Any,
    opt_state: Any,
    loss: Callable[[Any], tuple[Float[Array, ""], Any]],
    optimizer: Any,
) -> tuple[Any, Any, Float[Array, ""], Any]:
    """One step of an optimizer on all that is trainable of a network, as one vector.

    Args:
        network: What is changed.
        opt_state: The optimizer's state.
        loss: From the network to the loss and something more.
        optimizer: The optimizer.

    Returns:
        The network and the optimizer's state after it, the loss before it, and what came with it.
    """
    vector, unravel = tree.ravel(network, trainable(network))
    (value, more), gradient = jax.value_and_grad(lambda vector: loss(unravel(vector)), has_aux=True)(vector)
    vector, opt_state, _ = descend(optimizer, vector, gradient, opt_state)
    return unravel(vector), opt_state, value, more


def with_rest_of(network: Any, other: Any) -> Any:
    """What is trained of the one, and all else of the other, such as moving averages."""
    chosen = eqx.filter(network, trainable(network))
    return eqx.combine(chosen, eqx.filter(other, trainable(other), inverse=True))


def trainable(network: Any) -> PyTree:
    """Which leaves are trained: what a policy says, of others all that is."""
    return network.trainable() if isinstance(network, AbstractPolicy) else tree.trainable(network)


def follow(target: Any, network: Any, tau: float | Float[Array, ""]) -> Any:
    """A slow copy, moved by the part `tau` towards the network (Lillicrap et al., 2016): 1 copies it.

    All that is not trained, such as running statistics, is the network's.
    """
    move = lambda moves, slow, fast: (1 - tau) * slow + tau * fast if moves else fast
    return jax.tree.map(move, trainable(network), target, network)


def must_be(name: str, policy: object, wanted: type) -> None:
    """Refuses a policy of another class.

    Raises:
        SettingTypeError: It is one.
    """
    if not isinstance(policy, wanted):
        said = getattr(policy, "name", type(policy).__name__)
        raise SettingTypeError(name, policy, wrong=f"needs an {wanted.__name__}", said=said)
