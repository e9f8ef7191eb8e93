"""HalfCheetah, equal to https://gymnasium.farama.org/environments/mujoco/half_cheetah/."""

from typing import ClassVar

from jaxtyping import Array, Float, Key

from lerax.settings import setting

from .arguments import camera, engine_steps, model_file, noise_scale
from .base import AbstractMujocoEnv, wobble
from .data import Data, Judged
from .running import AbstractRunning, observe_motion


class HalfCheetah(AbstractRunning, AbstractMujocoEnv):
    """A two-legged cheetah in a plane that is to run forward; it cannot fall so as to end the episode.

    The reward is its speed, less the price of the torques.
    """

    xml_file: str = model_file("half_cheetah.xml")
    frame_skip: int = engine_steps(5)
    default_camera_config: tuple = camera(distance=4.0)
    forward_reward_weight: float = setting(1.0, "Reward for a speed of 1 m/s.")
    ctrl_cost_weight: float = setting(0.1, "Price of the squared torques.")
    reset_noise_scale: float = noise_scale(0.1)
    exclude_current_positions_from_observation: bool = setting(True, "Leave x out of the observation.")

    name: ClassVar[str] = "HalfCheetah-v5"

    def offsets(self, *, key: Key[Array, ""]) -> tuple[Float[Array, " nq"], Float[Array, " nv"]]:
        return wobble(self.mujoco_model, self.reset_noise_scale, key=key, normal_velocity=True)

    def observe(self, data: Data) -> Float[Array, " size"]:
        return observe_motion(data, 1 if self.exclude_current_positions_from_observation else 0)

    def judge(self, data: Data, action: Float[Array, " nu"], moved: Float[Array, " tracked"]) -> Judged:
        reward, cost = self.reward_and_cost(data, action, moved)
        return reward - cost, False
