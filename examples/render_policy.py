"""Trains a policy for a moment and films it beside a random one, without a display."""

from jax import random as jr

from lerax.algorithm import PPO
from lerax.env.classic_control import CartPole
from lerax.policy import MLPActorCriticPolicy, RandomPolicy
from lerax.record import record
from lerax.render import headless_renderer

env = CartPole()
policy = MLPActorCriticPolicy(env=env, key=jr.key(0))
policy = PPO(learning_rate=1e-3).learn(env, policy, 2**15, key=jr.key(1))

policies = [("trained", policy), ("random", RandomPolicy(env))]
with headless_renderer(env, 320, 240) as renderer:
    made = record("cartpole.mp4", env, policies, renderer, key=jr.key(2), overlay=True)

for episode in made.episodes:
    print(f"{episode.policy}: return {episode.total:.0f}")
print(f"wrote cartpole.mp4: {made.video.frames} frames")
