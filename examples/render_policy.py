"""Trains a policy for a moment and writes a video of it, without a display."""

import jax
from jax import random as jr

from lerax.algorithm import PPO
from lerax.env.classic_control import CartPole
from lerax.evaluate import rollout
from lerax.policy import MLPActorCriticPolicy
from lerax.render import VideoWriter, headless_renderer

SECONDS = 4

env = CartPole()
policy = MLPActorCriticPolicy(env=env, key=jr.key(0))
policy = PPO(learning_rate=1e-3).learn(env, policy, 2**15, key=jr.key(1))

num_steps = int(SECONDS * env.render_fps)
states = jax.device_get(rollout(env, policy, key=jr.key(2), num_steps=num_steps).states)

with (
    headless_renderer(env, 640, 480) as renderer,
    VideoWriter("cartpole.mp4", fps=env.render_fps) as video,
):
    for i in range(num_steps + 1):
        env.render(jax.tree.map(lambda x, i=i: x[i], states), renderer)
        video.add(renderer.as_array())

print(f"wrote {video.path}: {video.frames} frames")
