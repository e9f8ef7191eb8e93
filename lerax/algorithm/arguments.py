"""Settings that several algorithms have: their helps and ranges are written once."""

from typing import Any

from lerax.schedule import SCHEDULES
from lerax.settings import setting

MOST = 2**31 - 1  # that an int32 counts
LARGE = 1e30  # a float32 holds it
WIDE = 2**20  # environments, steps or passes


def num_envs(default: int) -> Any:
    """Environments."""
    return setting(default, "Environments stepped side by side.", at_least=1, at_most=WIDE)


def num_steps(default: int) -> Any:
    """Steps of each environment in one iteration."""
    return setting(default, "Steps of each environment in one iteration.", at_least=1, at_most=WIDE)


def num_epochs(default: int) -> Any:
    """Passes over a rollout."""
    return setting(default, "Passes over each rollout.", at_least=1, at_most=WIDE)


def num_batches(default: int) -> Any:
    """Minibatches that a pass is cut into."""
    return setting(default, "Minibatches in a pass.", at_least=1, at_most=MOST)


def learning_rate(default: float) -> Any:
    """Step size of an optimizer."""
    return setting(default, "Step size of the optimizer.", above=0, at_most=LARGE)


def schedule(what: str) -> Any:
    """How something changes over the training: constant at first."""
    return setting("constant", f"How {what} falls to 0 over the training.", choices=SCHEDULES)


def learning_rate_schedule() -> Any:
    """How the learning rate changes over the training."""
    return schedule("the learning rate")


def fraction(default: float, help: str) -> Any:
    """A number from 0 to 1."""
    return setting(default, help, at_least=0, at_most=1)


def gamma(default: float = 0.99) -> Any:
    """Discount factor."""
    return fraction(default, "Discount factor.")


def gae_lambda(default: float) -> Any:
    """Lambda of generalized advantage estimation."""
    return fraction(default, "Lambda of the advantage estimate.")


def advantage_normalization(*choices: str) -> Any:
    """Where advantages are brought to mean 0 and deviation 1; the first choice is the default."""
    help = "Where advantages are normalized: in each minibatch, the whole batch, or not."
    return setting(choices[0], help, choices=choices)


def max_grad_norm(default: float) -> Any:
    """Largest norm of the gradient."""
    return setting(default, "Largest norm of the gradient.", above=0, at_most=LARGE)


def coefficient(default: float, what: str) -> Any:
    """Weight of a term of the loss."""
    return setting(default, f"Weight of the {what}.", at_least=0, at_most=LARGE)


def normalize_rewards() -> Any:
    """Whether rewards are divided by the running deviation of discounted returns."""
    return setting(False, "Divide rewards by the spread of returns.")


def epsilon(default: float) -> Any:
    """How many actions are random at first."""
    return fraction(default, "Part of the actions that are random at first.")


def final_epsilon(default: float) -> Any:
    """How many actions are random at last."""
    return fraction(default, "Part of the actions that are random at last.")


def exploration_fraction(default: float) -> Any:
    """When the last epsilon is reached."""
    return setting(default, "Part of the training until then.", above=0, at_most=1)


def exploration_schedule() -> Any:
    """How exploration changes over the training."""
    return setting("linear", "How the random actions become fewer; constant, they do not.", choices=SCHEDULES)
