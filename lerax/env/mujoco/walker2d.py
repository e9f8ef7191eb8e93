"""Walker2d, equal to https://gymnasium.farama.org/environments/mujoco/walker2d/."""

from typing import ClassVar

from jaxtyping import Array, Float, Key

from lerax.settings import setting

from .arguments import camera, engine_steps, interval, model_file, noise_scale
from .base import AbstractMujocoEnv, wobble
from .data import Data, Judged
from .running import MOST_SPEED, AbstractRunning, observe_motion


class Walker2d(AbstractRunning, AbstractMujocoEnv):
    """Two legs in a plane that are to walk forward without falling.

    The reward is their speed, a bonus while they are healthy, and the price of the torques.
    """

    xml_file: str = model_file("walker2d_v5.xml")
    frame_skip: int = engine_steps(4)
    default_camera_config: tuple = camera(
        trackbodyid=2, distance=4.0, lookat=(0.0, 0.0, 1.15), elevation=-20.0
    )
    forward_reward_weight: float = setting(1.0, "Reward for a speed of 1 m/s.")
    ctrl_cost_weight: float = setting(1e-3, "Price of the squared torques.")
    healthy_reward: float = setting(1.0, "Bonus of a healthy step.")
    terminate_when_unhealthy: bool = setting(True, "End the episode when the walker is not healthy.")
    healthy_z_range: tuple[float, float] = interval(0.8, 2.0, "Healthy heights of the torso, in m.")
    healthy_angle_range: tuple[float, float] = interval(-1.0, 1.0, "Healthy angles of the torso, in rad.")
    reset_noise_scale: float = noise_scale(5e-3)
    exclude_current_positions_from_observation: bool = setting(True, "Leave x out of the observation.")

    name: ClassVar[str] = "Walker2d-v5"

    def offsets(self, *, key: Key[Array, ""]) -> tuple[Float[Array, " nq"], Float[Array, " nv"]]:
        return wobble(self.mujoco_model, self.reset_noise_scale, key=key)

    def observe(self, data: Data) -> Float[Array, " size"]:
        skipped = 1 if self.exclude_current_positions_from_observation else 0
        return observe_motion(data, skipped, MOST_SPEED)

    def judge(self, data: Data, action: Float[Array, " nu"], moved: Float[Array, " tracked"]) -> Judged:
        forward, cost = self.reward_and_cost(data, action, moved)
        z, angle = data.qpos[1], data.qpos[2]
        (low, high), (least, most) = self.healthy_z_range, self.healthy_angle_range
        healthy = (low < z) & (z < high) & (least < angle) & (angle < most)
        reward = forward + self.healthy_reward * healthy - cost
        return reward, ~healthy & self.terminate_when_unhealthy
