"""InvertedDoublePendulum, equal to https://gymnasium.farama.org/environments/mujoco/inverted_double_pendulum/."""

from typing import ClassVar

from jax import numpy as jnp
from jaxtyping import Array, Float, Key

from lerax.settings import setting

from .arguments import camera, engine_steps, model_file, noise_scale
from .base import AbstractMujocoEnv, wobble
from .data import Data, Judged

LEAST_HEIGHT = 1.0  # m, of the tip
MOST = 10.0  # in an observation: velocities, and the force on the cart


class InvertedDoublePendulum(AbstractMujocoEnv):
    """Two poles, one on the other on a cart, that are to be kept upright by pushing the cart.

    The reward is a bonus, less what the tip lies off its place and what the poles turn.
    """

    xml_file: str = model_file("inverted_double_pendulum.xml")
    frame_skip: int = engine_steps(5)
    default_camera_config: tuple = camera(trackbodyid=0, distance=4.1225, lookat=(0.0, 0.0, 0.1225))
    healthy_reward: float = setting(10.0, "Bonus of a step that ends upright.")
    reset_noise_scale: float = noise_scale(0.1)

    name: ClassVar[str] = "InvertedDoublePendulum-v5"
    joints: ClassVar[int] = 3
    fields: ClassVar[tuple[str, ...]] = ("site_xpos", "qfrc_constraint")

    def offsets(self, *, key: Key[Array, ""]) -> tuple[Float[Array, " nq"], Float[Array, " nv"]]:
        return wobble(self.mujoco_model, self.reset_noise_scale, key=key, normal_velocity=True)

    def observe(self, data: Data) -> Float[Array, " size"]:
        angles = data.qpos[1:]
        speeds, force = jnp.clip(data.qvel, -MOST, MOST), jnp.clip(data.qfrc_constraint, -MOST, MOST)
        parts = [data.qpos[:1], jnp.sin(angles), jnp.cos(angles), speeds, force[:1]]
        return jnp.concatenate(parts)

    def judge(self, data: Data, action: Float[Array, " nu"], moved: Float[Array, " tracked"]) -> Judged:
        x, y = data.site_xpos[0, 0], data.site_xpos[0, 2]
        first, second = data.qvel[1], data.qvel[2]
        fallen = y <= LEAST_HEIGHT
        off = 0.01 * x**2 + (y - 2) ** 2
        turning = 1e-3 * first**2 + 5e-3 * second**2
        return self.healthy_reward * (1.0 - fallen) - off - turning, fallen
