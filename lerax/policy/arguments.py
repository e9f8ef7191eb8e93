"""Settings that several policies have."""

from typing import Any

from lerax.network import ACTIVATIONS, AUTO, ENCODERS, INITIALIZATIONS
from lerax.settings import setting


def hidden_sizes(*default: int) -> Any:
    """How wide the networks are, and how deep."""
    return setting(default, "Widths of the hidden layers.", at_least=1, at_most=2**14)


def activation(default: str) -> Any:
    """What is between two layers."""
    return setting(default, "Activation function.", choices=tuple(ACTIVATIONS))


def initialization(default: str) -> Any:
    """How the weights begin."""
    return setting(default, "How initial weights are drawn.", choices=tuple(INITIALIZATIONS))


def layer_norm(default: bool = False) -> Any:
    """Whether hidden layers are normalised."""
    return setting(default, "Layer normalisation before each activation.")


def encoder() -> Any:
    """What pictures go through first."""
    choices = (AUTO, *ENCODERS)
    return setting(AUTO, "Convolutions for pictures; auto takes the largest that fit.", choices=choices)


def normalize_observations() -> Any:
    """Whether the policy normalises what it sees."""
    return setting(False, "Normalize observations by all that was seen.")
