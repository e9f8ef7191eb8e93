"""Settings that several off-policy algorithms have."""

from typing import Any

from lerax.settings import setting

MOST = 2**30  # steps that a buffer may hold: their places are counted in 32 bits


def train_frequency(default: int) -> Any:
    """How often there are updates."""
    return setting(default, "Steps of each environment between updates.", at_least=1, at_most=2**20)


def gradient_steps(default: int) -> Any:
    """How many updates there are then."""
    return setting(default, "Updates that are made then.", at_least=1, at_most=2**20)


def buffer_size(default: int) -> Any:
    """The length of the memory."""
    return setting(default, "Steps that the replay buffer holds.", at_least=1, at_most=MOST)


def batch_size(default: int) -> Any:
    """How much an update reads."""
    return setting(default, "Steps that an update draws.", at_least=1, at_most=2**20)


def learning_starts(default: int) -> Any:
    """How long actions are random at first."""
    help = "Random steps before the first update, or until the buffer is full."
    return setting(default, help, at_least=0, at_most=MOST)


def n_step(default: int = 1) -> Any:
    """How far rewards are summed."""
    return setting(default, "Steps whose rewards are summed.", at_least=1, at_most=1000)


def tau(default: float = 0.005) -> Any:
    """How fast targets follow."""
    return setting(default, "Part of the way that targets follow at each update.", above=0, at_most=1)


def exploration_std(default: float) -> Any:
    """How far actions are from the policy's in training."""
    return setting(
        default, "Deviation of the noise on actions in training, of half their range.", at_least=0, at_most=10
    )


def policy_delay(default: int) -> Any:
    """How often the policy is updated."""
    return setting(default, "Updates of the critics for each of the policy.", at_least=1, at_most=2**20)


def num_critics(default: int) -> Any:
    """How many critics there are."""
    return setting(default, "Critics, of which the least is believed.", at_least=1, at_most=64)


def hold_noise() -> Any:
    """How long the noise of actions stays the same."""
    return setting(False, "Draw the noise of actions once between updates, not at each step.")
