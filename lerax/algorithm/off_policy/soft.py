"""What the soft actor-critics share: the temperature that keeps the entropy where it is wanted."""

from typing import Any, ClassVar

import equinox as eqx
import jax
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Key, PyTree

from lerax.distribution import SquashedNormal
from lerax.settings import setting

from . import arguments
from .base import AbstractOffPolicyAlgorithm
from .critics import make_critics
from .networks import AbstractNetworks, follow, trained


class Temperature(eqx.Module):
    """What a nat of entropy is worth, by its logarithm."""

    log_alpha: Float[Array, ""]

    @property
    def alpha(self) -> Float[Array, ""]:
        """The temperature itself."""
        return jnp.exp(self.log_alpha)


class SoftNetworks(AbstractNetworks):
    """What soft actor-critics change.

    Attributes:
        policy: The policy.
        critics: What values actions.
        target_critics: Their slow copies; None where there are none.
        temperature: What entropy is worth.
        opt_state: Of the optimizers of policy, critics and temperature.
    """

    policy: Any
    critics: tuple[Any, ...]
    target_critics: Any
    temperature: Temperature
    opt_state: tuple[Any, Any, Any]


class AbstractSoftAlgorithm(AbstractOffPolicyAlgorithm[SoftNetworks]):
    """Maximum entropy reinforcement learning with a learned temperature (Haarnoja et al., 2018,
    https://arxiv.org/abs/1812.05905).

    Attributes:
        num_critics: Critics, of which the least is believed.
        initial_temperature: What a nat of entropy is worth at first.
        learn_temperature: Whether the temperature is learned.
        tau: Part of the way that targets follow at each update.
    """

    num_critics: int = arguments.num_critics(2)
    initial_temperature: float = setting(1.0, "Worth of a nat of entropy at first.", above=0, at_most=1e6)
    learn_temperature: bool = setting(True, "Learn the temperature, towards a wanted entropy.")
    tau: ClassVar[float] = 1.0  # a setting where there are targets

    def make_networks(self, policy: Any, *, targets: bool, key: Key[Array, ""]) -> SoftNetworks:
        """Critics of the policy's make, their slow copies where there are any, and the temperature."""
        critics = make_critics(policy, self.num_critics, key=key)
        temperature = Temperature(jnp.log(jnp.asarray(self.initial_temperature, jnp.float32)))
        opt_state = self.optimized(policy, critics, temperature)
        return SoftNetworks(
            policy=policy,
            critics=critics,
            target_critics=critics if targets else None,
            temperature=temperature,
            opt_state=opt_state,
        )

    def moved(
        self,
        networks: SoftNetworks,
        policy: Any,
        critics: tuple[Any, ...],
        opt_state: tuple[Any, Any],
        missing: Float[Array, ""],
    ) -> SoftNetworks:
        """The networks after an update: the temperature is learned, and targets follow where there are any.

        Args:
            networks: Before it.
            policy: The policy after it.
            critics: The critics after it.
            opt_state: What the optimizers of these two hold.
            missing: By how much the entropy lies below the wanted one, in nats.
        """
        temperature, last = self.tempered(networks.temperature, networks.opt_state[2], missing)
        targets = networks.target_critics
        return SoftNetworks(
            policy=policy,
            critics=critics,
            target_critics=None if targets is None else follow(targets, critics, self.tau),
            temperature=temperature,
            opt_state=(*opt_state, last),
        )

    def tempered(
        self, temperature: Temperature, opt_state: Any, missing: Float[Array, ""]
    ) -> tuple[Temperature, Any]:
        """The temperature after an update, and its optimizer's state.

        Args:
            temperature: The temperature.
            opt_state: What its optimizer holds.
            missing: By how much the entropy lies below the wanted one, in nats (equation 18: the gradient's
                sign and size).
        """
        if not self.learn_temperature:
            return temperature, opt_state
        loss = lambda temperature: (-temperature.log_alpha * missing, None)
        return trained(temperature, opt_state, loss, self.optimizer())[:2]


class AbstractGaussianSoftAlgorithm(AbstractSoftAlgorithm):
    """With a squashed Gaussian policy: entropies are those of actions in units of their box, from -1 to 1.

    Attributes:
        entropy_per_action: The wanted entropy, in nats for each number of an action.
    """

    entropy_per_action: float = setting(
        -1.0, "The wanted entropy, in nats for each number of an action.", at_least=-100, at_most=100
    )

    default_policy = "MLPSquashedGaussianPolicy"

    def explore(
        self, policy: Any, observation: PyTree, action_mask: Bool[Array, "..."] | None, *, noise: Array
    ) -> Array:
        return policy.action(observation, noise)

    def noise_of(
        self, policy: Any, shape: tuple[int, ...], key: Key[Array, ""]
    ) -> Float[Array, "*shape size"]:
        """Noise for actions of that many samples."""
        return jr.normal(key, (*shape, policy.action_space.flat_size), jnp.float32)  # at once: one key

    def missing_entropy(self, policy: Any, entropy: Float[Array, ""]) -> Float[Array, ""]:
        """By how much an entropy lies below the wanted one."""
        return self.entropy_per_action * policy.action_space.flat_size - entropy


def acted(
    distribution: SquashedNormal, noise: Float[Array, "sample size"]
) -> tuple[Float[Array, "sample size"], Float[Array, " sample"]]:
    """Random actions, in units of their box, and the logarithms of their probability densities."""
    return jax.vmap(lambda one, noise: one.action_and_log_prob(noise))(distribution, noise)
