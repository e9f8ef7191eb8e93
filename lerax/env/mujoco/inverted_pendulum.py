"""InvertedPendulum, equal to https://gymnasium.farama.org/environments/mujoco/inverted_pendulum/."""

from typing import ClassVar

from jax import numpy as jnp
from jaxtyping import Array, Float, Key

from .arguments import camera, engine_steps, model_file, noise_scale
from .base import AbstractMujocoEnv, wobble
from .data import Data, Judged

ANGLE_LIMIT = 0.2  # rad


class InvertedPendulum(AbstractMujocoEnv):
    """A pole, hinged on a cart, that is to be kept upright by pushing the cart. The reward is 1 a step."""

    xml_file: str = model_file("inverted_pendulum.xml")
    frame_skip: int = engine_steps(2)
    default_camera_config: tuple = camera(trackbodyid=0, distance=2.04)
    reset_noise_scale: float = noise_scale(1e-2)

    name: ClassVar[str] = "InvertedPendulum-v5"
    joints: ClassVar[int] = 2

    def offsets(self, *, key: Key[Array, ""]) -> tuple[Float[Array, " nq"], Float[Array, " nv"]]:
        return wobble(self.mujoco_model, self.reset_noise_scale, key=key)

    def observe(self, data: Data) -> Float[Array, " size"]:
        return jnp.concatenate([data.qpos, data.qvel])

    def judge(self, data: Data, action: Float[Array, " nu"], moved: Float[Array, " tracked"]) -> Judged:
        finite = jnp.isfinite(data.qpos).all() & jnp.isfinite(data.qvel).all()
        fallen = ~finite | (abs(data.qpos[1]) > ANGLE_LIMIT)
        return 1.0 - fallen, fallen
