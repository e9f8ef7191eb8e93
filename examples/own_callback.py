"""A callback that ends training when the cart has stayed near the middle for long enough."""

import equinox as eqx
from jax import numpy as jnp
from jax import random as jr

from lerax.algorithm import PPO
from lerax.callback import AbstractCallback, ProgressBarCallback
from lerax.env.classic_control import CartPole
from lerax.policy import MLPActorCriticPolicy


class StopWhenCalm(AbstractCallback):
    """Counts each environment's steps in a row within `reach` metres of the middle."""

    reach: float = eqx.field(static=True)
    enough: int = eqx.field(static=True)

    def step_reset(self, ctx, *, key):
        return jnp.array(0)

    def on_step(self, ctx, *, key):
        position = ctx.locals["next_observation"][0]
        calm = (jnp.abs(position) < self.reach) & ~ctx.done
        return jnp.where(calm, ctx.state + 1, 0)

    def continue_training(self, ctx, *, key):
        return jnp.max(ctx.step_state) < self.enough


env = CartPole()
policy = MLPActorCriticPolicy(env=env, key=jr.key(0))
algorithm = PPO(learning_rate=1e-3)
callbacks = [ProgressBarCallback(env=env, policy=policy), StopWhenCalm(reach=0.5, enough=200)]

state = algorithm.init(env, policy, key=jr.key(1))
state = algorithm.run(state, 2**17, callback=callbacks)

calm_steps = state.step_state.callback_state[1]
steps = int(state.iteration_count) * algorithm.steps_per_iteration
print(f"stopped after {steps:,} steps; calm for {calm_steps.max()} steps")
