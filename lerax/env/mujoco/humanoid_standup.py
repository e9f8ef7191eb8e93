"""HumanoidStandup, equal to https://gymnasium.farama.org/environments/mujoco/humanoid_standup/."""

import math
from typing import ClassVar

from jax import numpy as jnp
from jaxtyping import Array, Float, Key

from lerax.settings import setting

from .arguments import camera, engine_steps, interval, model_file, noise_scale
from .base import AbstractMujocoEnv, wobble
from .data import Data, Judged
from .humanoid import AbstractHumanoid


class HumanoidStandup(AbstractHumanoid, AbstractMujocoEnv):
    """A body that lies on the ground and is to stand up, and to stay so.

    The reward is the torso's height, per step of the engine, less the prices of the torques and of contact
    forces, and 1.
    """

    xml_file: str = model_file("humanoidstandup.xml")
    frame_skip: int = engine_steps(5)
    default_camera_config: tuple = camera(
        trackbodyid=1, distance=4.0, lookat=(0.0, 0.0, 0.8925), elevation=-20.0
    )
    uph_cost_weight: float = setting(1.0, "Weight of the height; as in Gymnasium, nothing reads it.")
    ctrl_cost_weight: float = setting(0.1, "Price of the squared torques.")
    impact_cost_weight: float = setting(5e-7, "Price of the squared contact forces.")
    impact_cost_range: tuple[float, float] = interval(-math.inf, 10.0, "What that price is clipped to.")
    reset_noise_scale: float = noise_scale(1e-2)
    exclude_current_positions_from_observation: bool = setting(True, "Leave x and y out of the observation.")
    include_cinert_in_observation: bool = setting(True, "Put masses and inertias of the bodies into it.")
    include_cvel_in_observation: bool = setting(True, "Put velocities of the bodies into it.")
    include_qfrc_actuator_in_observation: bool = setting(True, "Put forces of the actuators into it.")
    include_cfrc_ext_in_observation: bool = setting(True, "Put contact forces into it.")

    name: ClassVar[str] = "HumanoidStandup-v5"
    fields: ClassVar[tuple[str, ...]] = ("cinert", "cvel", "qfrc_actuator", "cfrc_ext", "ctrl")

    def offsets(self, *, key: Key[Array, ""]) -> tuple[Float[Array, " nq"], Float[Array, " nv"]]:
        return wobble(self.mujoco_model, self.reset_noise_scale, key=key)

    def judge(self, data: Data, action: Float[Array, " nu"], moved: Float[Array, " tracked"]) -> Judged:
        height = data.qpos[2] / data.model.opt.timestep
        torques = self.ctrl_cost_weight * (data.ctrl**2).sum()
        impact = self.impact_cost_weight * (data.cfrc_ext**2).sum()
        return height - torques - jnp.clip(impact, *self.impact_cost_range) + 1, False
