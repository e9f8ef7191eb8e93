"""Humanoid, equal to https://gymnasium.farama.org/environments/mujoco/humanoid/."""

import math
from typing import ClassVar

import equinox as eqx
from jax import numpy as jnp
from jaxtyping import Array, Float, Key

from lerax.settings import setting

from .arguments import camera, engine_steps, interval, model_file, noise_scale
from .base import AbstractMujocoEnv, wobble
from .data import Data, Judged, Tracked

ROOT = 6  # velocities of the torso itself, which no actuator moves


class AbstractHumanoid(eqx.Module):
    """What the tasks of this body share: the observation."""

    exclude_current_positions_from_observation: eqx.AbstractVar[bool]
    include_cinert_in_observation: eqx.AbstractVar[bool]
    include_cvel_in_observation: eqx.AbstractVar[bool]
    include_qfrc_actuator_in_observation: eqx.AbstractVar[bool]
    include_cfrc_ext_in_observation: eqx.AbstractVar[bool]

    def observe(self, data: Data) -> Float[Array, " size"]:
        parts = [data.qpos[2 if self.exclude_current_positions_from_observation else 0 :], data.qvel]
        if self.include_cinert_in_observation:
            parts.append(data.cinert[1:].ravel())
        if self.include_cvel_in_observation:
            parts.append(data.cvel[1:].ravel())
        if self.include_qfrc_actuator_in_observation:
            parts.append(data.qfrc_actuator[ROOT:])
        if self.include_cfrc_ext_in_observation:
            parts.append(data.cfrc_ext[1:].ravel())
        return jnp.concatenate(parts)


class Humanoid(AbstractHumanoid, AbstractMujocoEnv):
    """A body with arms and legs that is to walk forward, along x, without falling.

    The reward is the speed of its centre of mass, a bonus while it stands, and the prices of the torques and
    of contact forces.
    """

    xml_file: str = model_file("humanoid.xml")
    frame_skip: int = engine_steps(5)
    default_camera_config: tuple = camera(
        trackbodyid=1, distance=4.0, lookat=(0.0, 0.0, 2.0), elevation=-20.0
    )
    forward_reward_weight: float = setting(1.25, "Reward for a speed of 1 m/s.")
    ctrl_cost_weight: float = setting(0.1, "Price of the squared torques.")
    contact_cost_weight: float = setting(5e-7, "Price of the squared contact forces.")
    contact_cost_range: tuple[float, float] = interval(-math.inf, 10.0, "What that price is clipped to.")
    healthy_reward: float = setting(5.0, "Bonus of a healthy step.")
    terminate_when_unhealthy: bool = setting(True, "End the episode when the body is not healthy.")
    healthy_z_range: tuple[float, float] = interval(1.0, 2.0, "Healthy heights of the torso, in m.")
    reset_noise_scale: float = noise_scale(1e-2)
    exclude_current_positions_from_observation: bool = setting(True, "Leave x and y out of the observation.")
    include_cinert_in_observation: bool = setting(True, "Put masses and inertias of the bodies into it.")
    include_cvel_in_observation: bool = setting(True, "Put velocities of the bodies into it.")
    include_qfrc_actuator_in_observation: bool = setting(True, "Put forces of the actuators into it.")
    include_cfrc_ext_in_observation: bool = setting(True, "Put contact forces into it.")

    name: ClassVar[str] = "Humanoid-v5"
    fields: ClassVar[tuple[str, ...]] = ("xipos", "cinert", "cvel", "qfrc_actuator", "cfrc_ext", "ctrl")

    def offsets(self, *, key: Key[Array, ""]) -> tuple[Float[Array, " nq"], Float[Array, " nv"]]:
        return wobble(self.mujoco_model, self.reset_noise_scale, key=key)

    def track(self, data: Data) -> Tracked:
        masses = data.model.body_mass
        return ((masses[:, None] * data.xipos).sum(axis=-2) / masses.sum())[..., :1]

    def judge(self, data: Data, action: Float[Array, " nu"], moved: Float[Array, " tracked"]) -> Judged:
        speed = moved[0] / data.dt
        z, (low, high) = data.qpos[2], self.healthy_z_range
        healthy = (low < z) & (z < high)
        impact = self.contact_cost_weight * (data.cfrc_ext**2).sum()
        costs = self.ctrl_cost_weight * (data.ctrl**2).sum()
        costs = costs + jnp.clip(impact, *self.contact_cost_range)
        reward = self.forward_reward_weight * speed + self.healthy_reward * healthy - costs
        return reward, ~healthy & self.terminate_when_unhealthy
