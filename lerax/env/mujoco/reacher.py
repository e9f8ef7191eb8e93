"""Reacher, equal to https://gymnasium.farama.org/environments/mujoco/reacher/."""

import math
from typing import ClassVar

from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Float, Key

from lerax.env.timed import time_limit
from lerax.settings import setting

from .arguments import camera, engine_steps, model_file
from .base import AbstractMujocoEnv
from .data import Data, Judged

REACH = 0.2  # m: the target lies within it


class Reacher(AbstractMujocoEnv):
    """An arm of two links whose tip is to reach a target.

    The reward is minus their distance, less the price of the torques.
    """

    xml_file: str = model_file("reacher.xml")
    frame_skip: int = engine_steps(2)
    default_camera_config: tuple = camera(trackbodyid=0)
    reward_dist_weight: float = setting(1.0, "Price of a distance of 1 m.")
    reward_control_weight: float = setting(1.0, "Price of the squared torques.")
    max_episode_steps: int | None = time_limit(50, kw_only=True)

    name: ClassVar[str] = "Reacher-v5"
    joints: ClassVar[int] = 4
    fields: ClassVar[tuple[str, ...]] = ("xpos",)

    def offsets(self, *, key: Key[Array, ""]) -> tuple[Float[Array, "4"], Float[Array, "4"]]:
        arm_key, distance_key, angle_key, speed_key = jr.split(key, 4)
        arm = jr.uniform(arm_key, (2,), jnp.float32, minval=-0.1, maxval=0.1)
        # Uniform in a disc, which Gymnasium draws from a square until it hits.
        distance = REACH * jnp.sqrt(jr.uniform(distance_key, (), jnp.float32))
        angle = jr.uniform(angle_key, (), jnp.float32, minval=-math.pi, maxval=math.pi)
        target = distance * jnp.stack([jnp.cos(angle), jnp.sin(angle)])
        target = target - self.mujoco_model.qpos0[2:]  # where it is, not how far off
        speed = jr.uniform(speed_key, (2,), jnp.float32, minval=-5e-3, maxval=5e-3)
        return jnp.concatenate([arm, target]), jnp.concatenate([speed, jnp.zeros(2, jnp.float32)])

    def observe(self, data: Data) -> Float[Array, " size"]:
        angles = data.qpos[:2]
        parts = [jnp.cos(angles), jnp.sin(angles), data.qpos[2:], data.qvel[:2]]
        return jnp.concatenate([*parts, self._way(data)[:2]])

    def judge(self, data: Data, action: Float[Array, " nu"], moved: Float[Array, " tracked"]) -> Judged:
        distance = jnp.linalg.norm(self._way(data))
        cost = self.reward_control_weight * (action**2).sum()
        return -self.reward_dist_weight * distance - cost, False

    def _way(self, data: Data) -> Float[Array, "3"]:
        """From the target to the tip."""
        return data.xpos[data.body("fingertip")] - data.xpos[data.body("target")]
