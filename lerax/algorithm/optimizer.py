"""Optimizers of all that is trainable as one vector, whose states hold their learning rates."""

from collections.abc import Callable
from typing import Any

import jax
import optax
from jax import numpy as jnp
from jaxtyping import Array, Float, PyTree

from lerax import devices

Rate = float | Float[Array, ""]


def holding_rate(make: Callable[..., Any], rate: Rate, **options: Any) -> optax.GradientTransformation:
    """An optimizer of optax whose state holds its learning rate, where `with_rate` changes it.

    Args:
        make: Makes the optimizer from its `learning_rate` and its options, such as `optax.adam`.
        rate: The learning rate at first.
        options: The others; numbers are computed with as float32, whether they are data or not.
    """
    options = {
        name: jnp.asarray(value, jnp.float32) if isinstance(value, float) else value
        for name, value in options.items()
    }

    def of_rate(learning_rate: Rate) -> optax.GradientTransformation:
        return make(learning_rate, **options)

    return optax.inject_hyperparams(of_rate, hyperparam_dtype=jnp.float32)(learning_rate=rate)


def adam(rate: Rate, *, b1: Rate = 0.9, b2: Rate = 0.999, eps: Rate = 1e-8) -> optax.GradientTransformation:
    """Adam (Kingma and Ba, 2015, https://arxiv.org/abs/1412.6980), whose state holds its rate.

    Args:
        rate: The learning rate at first.
        b1: Decay of the mean of gradients.
        b2: Decay of the mean of their squares.
        eps: What is added to the root of the latter.
    """
    return holding_rate(optax.adam, rate, b1=b1, b2=b2, eps=eps)


def holds_rate(part: Any) -> bool:
    """Whether it is an optimizer's state that holds its learning rate, see `optax.inject_hyperparams`."""
    return "hyperparams" in getattr(part, "_fields", ())


def with_rate(opt_state: PyTree, rate: Rate) -> PyTree:
    """The same state of an optimizer, or of several in a tree, with another learning rate."""
    rates = {"learning_rate": jnp.asarray(rate, jnp.float32)}
    changed = lambda part: part._replace(hyperparams=part.hyperparams | rates) if holds_rate(part) else part
    return jax.tree.map(changed, opt_state, is_leaf=holds_rate)


def descend(
    optimizer: optax.GradientTransformation,
    vector: Float[Array, " parameters"],
    gradient: Float[Array, " parameters"],
    opt_state: PyTree,
    *,
    max_norm: Rate | None = None,
) -> tuple[Float[Array, " parameters"], PyTree, Float[Array, ""]]:
    """One step of an optimizer, by the mean of the devices' gradients.

    Args:
        optimizer: The optimizer.
        vector: The parameters.
        gradient: The loss's gradient by them.
        opt_state: What the optimizer holds.
        max_norm: The largest norm of the gradient; a longer one is scaled down to it. None for any.

    Returns:
        The parameters then, what the optimizer holds then, and the gradient's norm before scaling.
    """
    gradient = devices.mean(gradient)
    norm = jnp.linalg.norm(gradient)
    if max_norm is not None:
        gradient = gradient * jnp.minimum(1.0, max_norm / (norm + 1e-9))
    change, opt_state = optimizer.update(gradient, opt_state, vector)
    return vector + jnp.asarray(change), opt_state, norm
