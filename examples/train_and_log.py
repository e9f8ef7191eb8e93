"""Trains CartPole with the tuned settings, logs to TensorBoard and a dashboard, and evaluates the policy."""

from jax import random as jr

from lerax.algorithm import PPO
from lerax.callback import ConsoleBackend, LoggingCallback, TensorBoardBackend
from lerax.env.classic_control import CartPole
from lerax.evaluate import evaluate
from lerax.policy import MLPActorCriticPolicy
from lerax.registry import presets

policy_key, learn_key, eval_key = jr.split(jr.key(0), 3)

env = CartPole()
policy = MLPActorCriticPolicy(env=env, key=policy_key)
tuned = presets(env.name)["ppo"]
algorithm = PPO(**tuned["algorithm"])

with LoggingCallback([TensorBoardBackend(), ConsoleBackend()], env=env, policy=policy) as logger:
    policy = algorithm.learn(env, policy, tuned["steps"], key=learn_key, callback=logger)

result = evaluate(env, policy, key=eval_key, num_episodes=100)
print(f"mean return {result.returns.mean():.1f}; curves: tensorboard --logdir logs")
