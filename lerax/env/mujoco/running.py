"""What the tasks that are to run or swim along x share: what is seen of a motion, and what it is worth."""

import math
from typing import Any

from jax import numpy as jnp

from .data import Data

MOST_SPEED = 10.0  # of those that may fall, in an observation: m/s or rad/s


def observe_motion(data: Data, skipped: int, most_speed: float = math.inf) -> Any:
    """Positions, but for the first `skipped` ones, and velocities, clipped to `most_speed` m/s or rad/s."""
    velocity = data.qvel if most_speed == math.inf else jnp.clip(data.qvel, -most_speed, most_speed)
    return jnp.concatenate([data.qpos[skipped:], velocity])


def place(data: Data) -> Any:
    """How far along x it is: what `reward_and_cost` takes the way from."""
    return data.qpos[..., :1]


def reward_and_cost(env: Any, data: Data, action: Any, moved: Any) -> tuple[Any, Any]:
    """What the speed along x is worth, and the price of the torques."""
    return env.forward_reward_weight * moved[0] / data.dt, env.ctrl_cost_weight * (action**2).sum()
