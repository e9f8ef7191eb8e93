"""Trains on the environment in track.py, and records a video while it does."""

from jax import random as jr
from track import Track

from lerax.algorithm import PPO
from lerax.callback import LoggingCallback, VideoBackend
from lerax.evaluate import evaluate
from lerax.policy import MLPActorCriticPolicy

env = Track()
policy = MLPActorCriticPolicy(env=env, key=jr.key(0))
algorithm = PPO(learning_rate=1e-3, gamma=0.95)

with LoggingCallback(VideoBackend(), env=env, policy=policy, video_interval=128, video_fps=20) as logger:
    policy = algorithm.learn(env, policy, 2**16, key=jr.key(1), callback=logger)

result = evaluate(env, policy, key=jr.key(2), num_episodes=100)
print(f"mean return {result.returns.mean():.1f}; videos: logs/{logger.name}/videos")
