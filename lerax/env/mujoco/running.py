"""What the tasks that are to run or swim along x share: what is seen of a motion, and what it is worth."""

import math
from typing import Any

from .data import Data

MOST_SPEED = 10.0  # of those that may fall, in an observation: m/s or rad/s


def observe_motion(data: Data, skipped: int, most_speed: float = math.inf) -> Any:
    """Positions, but for the first `skipped` ones, and velocities, clipped to `most_speed` m/s or rad/s."""
    velocity = data.qvel if most_speed == math.inf else data.np.clip(data.qvel, -most_speed, most_speed)
    return data.np.concatenate([data.qpos[..., skipped:], velocity], axis=-1)


def place(data: Data) -> Any:
    """How far along x it is: what `reward_and_cost` takes from before the step."""
    return data.qpos[..., :1]


def reward_and_cost(env: Any, data: Data, action: Any, before: Any) -> tuple[Any, Any]:
    """What the speed along x is worth, and the price of the torques."""
    speed = (data.qpos[..., 0] - before[..., 0]) / data.dt
    return env.forward_reward_weight * speed, env.ctrl_cost_weight * (action**2).sum(axis=-1)
