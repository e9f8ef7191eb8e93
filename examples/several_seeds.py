"""Trains four seeds side by side, each logged on its own, with their mean and standard deviation."""

import jax
from jax import random as jr

from lerax.algorithm import PPO
from lerax.callback import LoggingCallback, MemoryBackend, TensorBoardBackend
from lerax.env.classic_control import CartPole
from lerax.policy import MLPActorCriticPolicy

env = CartPole()
algorithm = PPO(learning_rate=1e-3)
memory = MemoryBackend()

with LoggingCallback([TensorBoardBackend(), memory], env=env) as logger:

    @jax.jit
    @jax.vmap
    def train(key):
        policy_key, learn_key = jr.split(key)
        policy = MLPActorCriticPolicy(env=env, key=policy_key)
        return algorithm.learn(env, policy, 2**15, key=learn_key, callback=logger)

    policies = train(jr.split(jr.key(0), 4))  # one policy, all of whose arrays have a leading axis of seeds

step, last = memory.records[-1]
returns = [f"{last[f'seed_{seed}/episode/return']:.0f}" for seed in range(4)]
print(f"mean return {last['episode/return']:.0f} +- {last['episode/return_std']:.0f}: {', '.join(returns)}")
print(f"curves: tensorboard --logdir logs, run {logger.name}")
