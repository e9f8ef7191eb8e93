"""InvertedPendulum, equal to https://gymnasium.farama.org/environments/mujoco/inverted_pendulum/."""

from typing import Any, ClassVar

from jax import numpy as jnp
from jaxtyping import Array, Float, Key

from .base import AbstractMujocoEnv, static, wobble
from .data import Data

ANGLE_LIMIT = 0.2  # rad


class InvertedPendulum(AbstractMujocoEnv):
    """A pole, hinged on a cart, that is to be kept upright by pushing the cart. The reward is 1 a step.

    Args:
        xml_file: The model: a path, or the name of one that comes with Gymnasium.
        frame_skip: Steps of the engine in one step of the environment.
        default_camera_config: How the model is looked at.
        reset_noise_scale: How far an episode's beginning lies from the model's.
    """

    xml_file: str = static("inverted_pendulum.xml")
    frame_skip: int = static(2)
    default_camera_config: tuple = static((("trackbodyid", 0), ("distance", 2.04)), tuple_of_pairs=True)
    reset_noise_scale: float = static(1e-2)

    name: ClassVar[str] = "InvertedPendulum-v5"

    def offsets(self, *, key: Key[Array, ""]) -> tuple[Float[Array, " nq"], Float[Array, " nv"]]:
        return wobble(self.mujoco_model, self.reset_noise_scale, key=key)

    def observe(self, data: Data) -> Any:
        return jnp.concatenate([data.qpos, data.qvel])

    def judge(self, data: Data, action: Any, moved: Any) -> tuple[Any, Any]:
        finite = jnp.isfinite(data.qpos).all() & jnp.isfinite(data.qvel).all()
        fallen = ~finite | (abs(data.qpos[1]) > ANGLE_LIMIT)
        return 1.0 - fallen, fallen
