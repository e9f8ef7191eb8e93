"""Walker2d, equal to https://gymnasium.farama.org/environments/mujoco/walker2d/."""

from typing import Any, ClassVar

from jaxtyping import Array, Float, Key

from .base import AbstractMujocoEnv, static, wobble
from .data import Data
from .running import MOST_SPEED, observe_motion, place, reward_and_cost

CAMERA = (("trackbodyid", 2), ("distance", 4.0), ("lookat", (0.0, 0.0, 1.15)), ("elevation", -20.0))


class Walker2d(AbstractMujocoEnv):
    """Two legs in a plane that are to walk forward without falling.

    The reward is their speed, a bonus while they are healthy, and the price of the torques.

    Args:
        xml_file: The model: a path, or the name of one that comes with Gymnasium.
        frame_skip: Steps of the engine in one step of the environment.
        default_camera_config: How the model is looked at.
        forward_reward_weight: Reward for a speed of 1 m/s.
        ctrl_cost_weight: Price of the squared torques.
        healthy_reward: Bonus of a healthy step.
        terminate_when_unhealthy: End the episode when the walker is not healthy.
        healthy_z_range: Healthy heights of the torso, in m.
        healthy_angle_range: Healthy angles of the torso, in rad.
        reset_noise_scale: How far an episode's beginning lies from the model's.
        exclude_current_positions_from_observation: Leave x out of the observation.
    """

    xml_file: str = static("walker2d_v5.xml")
    frame_skip: int = static(4)
    default_camera_config: tuple = static(CAMERA, tuple_of_pairs=True)
    forward_reward_weight: float = static(1.0)
    ctrl_cost_weight: float = static(1e-3)
    healthy_reward: float = static(1.0)
    terminate_when_unhealthy: bool = static(True)
    healthy_z_range: tuple[float, float] = static((0.8, 2.0))
    healthy_angle_range: tuple[float, float] = static((-1.0, 1.0))
    reset_noise_scale: float = static(5e-3)
    exclude_current_positions_from_observation: bool = static(True)

    name: ClassVar[str] = "Walker2d-v5"

    def offsets(self, *, key: Key[Array, ""]) -> tuple[Float[Array, " nq"], Float[Array, " nv"]]:
        return wobble(self.mujoco_model, self.reset_noise_scale, key=key)

    def observe(self, data: Data) -> Any:
        skipped = 1 if self.exclude_current_positions_from_observation else 0
        return observe_motion(data, skipped, MOST_SPEED)

    def track(self, data: Data) -> Any:
        return place(data)

    def judge(self, data: Data, action: Any, moved: Any) -> tuple[Any, Any]:
        forward, cost = reward_and_cost(self, data, action, moved)
        z, angle = data.qpos[1], data.qpos[2]
        (low, high), (least, most) = self.healthy_z_range, self.healthy_angle_range
        healthy = (low < z) & (z < high) & (least < angle) & (angle < most)
        reward = forward + self.healthy_reward * healthy - cost
        return reward, ~healthy & self.terminate_when_unhealthy
