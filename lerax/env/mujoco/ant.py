"""Ant, equal to https://gymnasium.farama.org/environments/mujoco/ant/."""

from typing import ClassVar

from jax import numpy as jnp
from jaxtyping import Array, Float, Key

from lerax.settings import setting

from .arguments import camera, engine_steps, interval, model_file, noise_scale
from .base import AbstractMujocoEnv, wobble
from .data import Data, Judged, Tracked


class Ant(AbstractMujocoEnv):
    """A body on four legs of two joints each that is to run forward, along x.

    The reward is the main body's speed, a bonus while the body is at a healthy height, and the prices of the
    torques and of contact forces.
    """

    xml_file: str = model_file("ant.xml")
    frame_skip: int = engine_steps(5)
    default_camera_config: tuple = camera(distance=4.0)
    forward_reward_weight: float = setting(1.0, "Reward for a speed of 1 m/s.")
    ctrl_cost_weight: float = setting(0.5, "Price of the squared torques.")
    contact_cost_weight: float = setting(5e-4, "Price of the squared contact forces.")
    healthy_reward: float = setting(1.0, "Bonus of a healthy step.")
    main_body: int | str = setting(1, "Number or name of the body whose speed counts.", kind="int or str")
    terminate_when_unhealthy: bool = setting(True, "End the episode when the body is not healthy.")
    healthy_z_range: tuple[float, float] = interval(0.2, 1.0, "Healthy heights of the body, in m.")
    contact_force_range: tuple[float, float] = interval(-1.0, 1.0, "What contact forces are clipped to.")
    reset_noise_scale: float = noise_scale(0.1)
    exclude_current_positions_from_observation: bool = setting(True, "Leave x and y out of the observation.")
    include_cfrc_ext_in_observation: bool = setting(True, "Put contact forces into it.")

    name: ClassVar[str] = "Ant-v5"
    fields: ClassVar[tuple[str, ...]] = ("xpos", "cfrc_ext")

    def offsets(self, *, key: Key[Array, ""]) -> tuple[Float[Array, " nq"], Float[Array, " nv"]]:
        return wobble(self.mujoco_model, self.reset_noise_scale, key=key, normal_velocity=True)

    def observe(self, data: Data) -> Float[Array, " size"]:
        skipped = 2 if self.exclude_current_positions_from_observation else 0
        parts = [data.qpos[skipped:], data.qvel]
        if self.include_cfrc_ext_in_observation:
            parts.append(self._forces(data)[1:].ravel())
        return jnp.concatenate(parts)

    def track(self, data: Data) -> Tracked:
        return data.xpos[..., data.body(self.main_body), :1]

    def judge(self, data: Data, action: Float[Array, " nu"], moved: Float[Array, " tracked"]) -> Judged:
        speed = moved[0] / data.dt
        z, (low, high) = data.qpos[2], self.healthy_z_range
        finite = jnp.isfinite(data.qpos).all() & jnp.isfinite(data.qvel).all()
        healthy = finite & (low <= z) & (z <= high)
        costs = self.ctrl_cost_weight * (action**2).sum()
        costs = costs + self.contact_cost_weight * (self._forces(data) ** 2).sum()
        reward = self.forward_reward_weight * speed + self.healthy_reward * healthy - costs
        return reward, ~healthy & self.terminate_when_unhealthy

    def _forces(self, data: Data) -> Float[Array, "body 6"]:
        return jnp.clip(data.cfrc_ext, *self.contact_force_range)
