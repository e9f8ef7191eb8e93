"""Swimmer, equal to https://gymnasium.farama.org/environments/mujoco/swimmer/."""

from typing import ClassVar

from jaxtyping import Array, Float, Key

from lerax.settings import setting

from .arguments import camera, engine_steps, model_file, noise_scale
from .base import AbstractMujocoEnv, wobble
from .data import Data, Judged
from .running import AbstractRunning, observe_motion


class Swimmer(AbstractRunning, AbstractMujocoEnv):
    """Three links in a viscous fluid that are to swim forward, along x.

    The reward is their speed, less the price of the torques.
    """

    xml_file: str = model_file("swimmer.xml")
    frame_skip: int = engine_steps(4)
    default_camera_config: tuple = camera()
    forward_reward_weight: float = setting(1.0, "Reward for a speed of 1 m/s.")
    ctrl_cost_weight: float = setting(1e-4, "Price of the squared torques.")
    reset_noise_scale: float = noise_scale(0.1)
    exclude_current_positions_from_observation: bool = setting(True, "Leave x and y out of the observation.")

    name: ClassVar[str] = "Swimmer-v5"

    def offsets(self, *, key: Key[Array, ""]) -> tuple[Float[Array, " nq"], Float[Array, " nv"]]:
        return wobble(self.mujoco_model, self.reset_noise_scale, key=key)

    def observe(self, data: Data) -> Float[Array, " size"]:
        return observe_motion(data, 2 if self.exclude_current_positions_from_observation else 0)

    def judge(self, data: Data, action: Float[Array, " nu"], moved: Float[Array, " tracked"]) -> Judged:
        reward, cost = self.reward_and_cost(data, action, moved)
        return reward - cost, False
