"""Ant, equal to https://gymnasium.farama.org/environments/mujoco/ant/."""

from typing import Any, ClassVar

from jax import numpy as jnp
from jaxtyping import Array, Float, Key

from .base import AbstractMujocoEnv, static, wobble
from .data import Data


class Ant(AbstractMujocoEnv):
    """A body on four legs of two joints each that is to run forward, along x.

    The reward is the main body's speed, a bonus while the body is at a healthy height, and the prices of the
    torques and of contact forces.

    Args:
        xml_file: The model: a path, or the name of one that comes with Gymnasium.
        frame_skip: Steps of the engine in one step of the environment.
        default_camera_config: How the model is looked at.
        forward_reward_weight: Reward for a speed of 1 m/s.
        ctrl_cost_weight: Price of the squared torques.
        contact_cost_weight: Price of the squared contact forces.
        healthy_reward: Bonus of a healthy step.
        main_body: Number or name of the body whose speed counts.
        terminate_when_unhealthy: End the episode when the body is not healthy.
        healthy_z_range: Healthy heights of the body, in m.
        contact_force_range: What contact forces are clipped to.
        reset_noise_scale: How far an episode's beginning lies from the model's.
        exclude_current_positions_from_observation: Leave x and y out of the observation.
        include_cfrc_ext_in_observation: Put contact forces into it.
    """

    xml_file: str = static("ant.xml")
    frame_skip: int = static(5)
    default_camera_config: tuple = static((("distance", 4.0),), tuple_of_pairs=True)
    forward_reward_weight: float = static(1.0)
    ctrl_cost_weight: float = static(0.5)
    contact_cost_weight: float = static(5e-4)
    healthy_reward: float = static(1.0)
    main_body: int | str = static(1)
    terminate_when_unhealthy: bool = static(True)
    healthy_z_range: tuple[float, float] = static((0.2, 1.0))
    contact_force_range: tuple[float, float] = static((-1.0, 1.0))
    reset_noise_scale: float = static(0.1)
    exclude_current_positions_from_observation: bool = static(True)
    include_cfrc_ext_in_observation: bool = static(True)

    name: ClassVar[str] = "Ant-v5"
    fields: ClassVar[tuple[str, ...]] = ("xpos", "cfrc_ext")

    def offsets(self, *, key: Key[Array, ""]) -> tuple[Float[Array, " nq"], Float[Array, " nv"]]:
        return wobble(self.mujoco_model, self.reset_noise_scale, key=key, normal_velocity=True)

    def observe(self, data: Data) -> Any:
        skipped = 2 if self.exclude_current_positions_from_observation else 0
        parts = [data.qpos[skipped:], data.qvel]
        if self.include_cfrc_ext_in_observation:
            parts.append(self._forces(data)[1:].ravel())
        return jnp.concatenate(parts)

    def track(self, data: Data) -> Any:
        return data.xpos[..., data.body(self.main_body), :1]

    def judge(self, data: Data, action: Any, moved: Any) -> tuple[Any, Any]:
        speed = moved[0] / data.dt
        z, (low, high) = data.qpos[2], self.healthy_z_range
        finite = jnp.isfinite(data.qpos).all() & jnp.isfinite(data.qvel).all()
        healthy = finite & (low <= z) & (z <= high)
        costs = self.ctrl_cost_weight * (action**2).sum()
        costs = costs + self.contact_cost_weight * (self._forces(data) ** 2).sum()
        reward = self.forward_reward_weight * speed + self.healthy_reward * healthy - costs
        return reward, ~healthy & self.terminate_when_unhealthy

    def _forces(self, data: Data) -> Any:
        return jnp.clip(data.cfrc_ext, *self.contact_force_range)
