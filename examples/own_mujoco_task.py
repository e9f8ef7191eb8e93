"""A task on a MuJoCo model of one's own: a crane that is to bring its load to a goal and to rest there."""

import tempfile
from pathlib import Path
from typing import ClassVar

from jax import numpy as jnp
from jax import random as jr

from lerax.algorithm import PPO
from lerax.env.mujoco import AbstractMujocoEnv
from lerax.evaluate import evaluate
from lerax.policy import MLPActorCriticPolicy
from lerax.settings import setting

CRANE = """
<mujoco model="crane">
  <option timestep="0.02"/>
  <worldbody>
    <light pos="0 0 3"/>
    <geom type="capsule" fromto="-1.2 0 1 1.2 0 1" size=".02" contype="0" conaffinity="0"/>
    <body name="trolley" pos="0 0 1">
      <joint name="rail" type="slide" axis="1 0 0" range="-1 1" limited="true" damping="1"/>
      <geom type="box" size=".1 .06 .05" mass="1" rgba=".85 .55 .3 1"/>
      <body name="rope">
        <joint name="swing" type="hinge" axis="0 1 0" damping=".01"/>
        <geom type="capsule" fromto="0 0 0 0 0 -.6" size=".01" mass=".05"/>
        <body name="load" pos="0 0 -.6"><geom type="sphere" size=".08" mass=".5" rgba=".2 .5 .7 1"/></body>
      </body>
    </body>
  </worldbody>
  <actuator><motor joint="rail" gear="6" ctrlrange="-1 1" ctrllimited="true"/></actuator>
</mujoco>
"""


class Crane(AbstractMujocoEnv):
    """The reward of a step is between 0 and 1: how close the load is to the goal. It begins anywhere."""

    xml_file: str = setting("crane.xml", "The model.")
    frame_skip: int = setting(2, "Steps of the engine in one step.", at_least=1)
    default_camera_config: tuple = setting({"distance": 3.0, "elevation": -10.0}, "How it is looked at.")
    goal: float = setting(0.3, "Where the load is to be, in m along the rail.")
    max_episode_steps: int | None = setting(150, "Steps of an episode.", kind="int or none", kw_only=True)

    name: ClassVar[str] = "Crane"
    fields: ClassVar[tuple[str, ...]] = ("xpos",)  # of mujoco.MjData, beside qpos and qvel

    def offsets(self, *, key):  # how an episode's beginning differs from the model's; JAX
        return jr.uniform(key, (2,), minval=-0.8, maxval=0.8) * jnp.array([1.0, 0.5]), jnp.zeros(2)

    def observe(self, data):
        return jnp.concatenate([data.qpos, data.qvel])

    def judge(self, data, action, moved):
        away = data.xpos[data.body("load"), 0] - self.goal
        return jnp.exp(-10 * away**2), False


with tempfile.TemporaryDirectory() as folder:
    file = Path(folder, "crane.xml")
    file.write_text(CRANE)
    env = Crane(xml_file=str(file))

    untrained = MLPActorCriticPolicy(env=env, hidden_sizes=(32, 32), key=jr.key(0))
    algorithm = PPO(num_envs=16, num_steps=128, gamma=0.98, learning_rate=2e-3)
    trained = algorithm.learn(env, untrained, 2**16, key=jr.key(1))
    before, after = (
        evaluate(env, policy, key=jr.key(2), num_episodes=50).returns.mean()
        for policy in (untrained, trained)
    )
    print(f"mean return {before:.1f} before, {after:.1f} after; 150 at most")
