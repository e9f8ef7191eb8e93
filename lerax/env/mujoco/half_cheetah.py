"""HalfCheetah, equal to https://gymnasium.farama.org/environments/mujoco/half_cheetah/."""

from typing import Any, ClassVar

from jaxtyping import Array, Float, Key

from .base import AbstractMujocoEnv, static, wobble
from .data import Data
from .running import observe_motion, place, reward_and_cost


class HalfCheetah(AbstractMujocoEnv):
    """A two-legged cheetah in a plane that is to run forward; it cannot fall so as to end the episode.

    The reward is its speed, less the price of the torques.

    Args:
        xml_file: The model: a path, or the name of one that comes with Gymnasium.
        frame_skip: Steps of the engine in one step of the environment.
        default_camera_config: How the model is looked at.
        forward_reward_weight: Reward for a speed of 1 m/s.
        ctrl_cost_weight: Price of the squared torques.
        reset_noise_scale: How far an episode's beginning lies from the model's.
        exclude_current_positions_from_observation: Leave x out of the observation.
    """

    xml_file: str = static("half_cheetah.xml")
    frame_skip: int = static(5)
    default_camera_config: tuple = static((("distance", 4.0),), tuple_of_pairs=True)
    forward_reward_weight: float = static(1.0)
    ctrl_cost_weight: float = static(0.1)
    reset_noise_scale: float = static(0.1)
    exclude_current_positions_from_observation: bool = static(True)

    name: ClassVar[str] = "HalfCheetah-v5"

    def offsets(self, *, key: Key[Array, ""]) -> tuple[Float[Array, " nq"], Float[Array, " nv"]]:
        return wobble(self.mujoco_model, self.reset_noise_scale, key=key, normal_velocity=True)

    def observe(self, data: Data) -> Any:
        return observe_motion(data, 1 if self.exclude_current_positions_from_observation else 0)

    def track(self, data: Data) -> Any:
        return place(data)

    def judge(self, data: Data, action: Any, moved: Any) -> tuple[Any, Any]:
        reward, cost = reward_and_cost(self, data, action, moved)
        return reward - cost, False
