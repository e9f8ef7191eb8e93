"""Logs from inside a compiled loop of one's own, without any algorithm or callback."""

import jax
import optax
from jax import lax
from jax import numpy as jnp

from lerax.callback import JITSummaryWriter

optimizer = optax.adam(0.1)
writer = JITSummaryWriter("logs/rosenbrock")


def rosenbrock(point):
    x, y = point
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


@jax.jit
def minimize(point):
    def step(i, carry):
        point, opt_state = carry
        value, gradient = jax.value_and_grad(rosenbrock)(point)
        writer.add_dict("descent", {"value": value, "gradient": jnp.linalg.norm(gradient)}, global_step=i)
        updates, opt_state = optimizer.update(gradient, opt_state)
        return optax.apply_updates(point, updates), opt_state

    return lax.fori_loop(0, 500, step, (point, optimizer.init(point)))[0]


print("minimum near", minimize(jnp.array([-1.0, 1.0])))
writer.close()
print(f"curves: tensorboard --logdir {writer.log_dir}")
