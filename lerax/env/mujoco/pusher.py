"""Pusher, equal to https://gymnasium.farama.org/environments/mujoco/pusher/."""

from typing import ClassVar

from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Float, Key

from lerax.env.timed import time_limit
from lerax.settings import setting

from .arguments import camera, engine_steps, model_file
from .base import AbstractMujocoEnv
from .data import Data, Judged

LEAST_WAY = 0.17  # m, from the object to its goal when an episode begins
TRIES = 40  # places to choose the object's from: three of five lie far enough away


class Pusher(AbstractMujocoEnv):
    """An arm of seven joints that is to push an object to its goal.

    The reward is minus the distances of the object from the goal and of the tip from the object, less the
    price of the torques.
    """

    xml_file: str = model_file("pusher_v5.xml")
    frame_skip: int = engine_steps(5)
    default_camera_config: tuple = camera(trackbodyid=-1, distance=4.0)
    reward_near_weight: float = setting(0.5, "Price of 1 m between tip and object.")
    reward_dist_weight: float = setting(1.0, "Price of 1 m between object and goal.")
    reward_control_weight: float = setting(0.1, "Price of the squared torques.")
    max_episode_steps: int | None = time_limit(100, kw_only=True)

    name: ClassVar[str] = "Pusher-v5"
    joints: ClassVar[int] = 7
    fields: ClassVar[tuple[str, ...]] = ("xpos",)

    def offsets(self, *, key: Key[Array, ""]) -> tuple[Float[Array, "11"], Float[Array, "11"]]:
        place_key, speed_key = jr.split(key)
        low, high = jnp.array([[-0.3, -0.2], [0.0, 0.2]], jnp.float32)
        places = jr.uniform(place_key, (TRIES, 2), jnp.float32, minval=low, maxval=high)
        place = places[jnp.argmax(jnp.linalg.norm(places, axis=1) > LEAST_WAY)]
        speed = jr.uniform(speed_key, (7,), jnp.float32, minval=-5e-3, maxval=5e-3)
        zeros = lambda count: jnp.zeros(count, jnp.float32)
        return jnp.concatenate([zeros(7), place, zeros(2)]), jnp.concatenate([speed, zeros(4)])

    def observe(self, data: Data) -> Float[Array, " size"]:
        places = [data.xpos[data.body(name)] for name in ("tips_arm", "object", "goal")]
        return jnp.concatenate([data.qpos[:7], data.qvel[:7], *places])

    def judge(self, data: Data, action: Float[Array, " nu"], moved: Float[Array, " tracked"]) -> Judged:
        tip, thing, goal = (data.xpos[data.body(name)] for name in ("tips_arm", "object", "goal"))
        near = jnp.linalg.norm(thing - tip)
        way = jnp.linalg.norm(thing - goal)
        cost = self.reward_control_weight * (action**2).sum()
        return -self.reward_dist_weight * way - cost - self.reward_near_weight * near, False
