"""What the tasks that are to run or swim along x share: what is seen of a motion, and what it is worth."""

import math

import equinox as eqx
from jax import numpy as jnp
from jaxtyping import Array, Float

from .data import Data, Tracked

MOST_SPEED = 10.0  # of those that may fall, in an observation: m/s or rad/s


class AbstractRunning(eqx.Module):
    """A task that pays for the way along x."""

    forward_reward_weight: eqx.AbstractVar[float]
    ctrl_cost_weight: eqx.AbstractVar[float]

    def track(self, data: Data) -> Tracked:
        return data.qpos[..., :1]

    def reward_and_cost(
        self, data: Data, action: Float[Array, " nu"], moved: Float[Array, " tracked"]
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """What the speed along x is worth, and the price of the torques."""
        return self.forward_reward_weight * moved[0] / data.dt, self.ctrl_cost_weight * (action**2).sum()


def observe_motion(data: Data, skipped: int, most_speed: float = math.inf) -> Float[Array, " size"]:
    """Positions, but for the first `skipped` ones, and velocities, clipped to `most_speed` m/s or rad/s."""
    velocity = data.qvel if most_speed == math.inf else jnp.clip(data.qvel, -most_speed, most_speed)
    return jnp.concatenate([data.qpos[skipped:], velocity])
