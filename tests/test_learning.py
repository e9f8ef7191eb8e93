"""The presets reach the scores that they promise."""

import pytest
from jax import random as jr

from lerax import registry
from lerax.evaluate import evaluate
from lerax.policy import MLPActorCriticPolicy


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_ppo_solves_cartpole(seed):
    """475 over 100 episodes is what Gymnasium's CartPole-v1 counts as solved."""
    preset = registry.presets("CartPole-v1")["ppo"]
    assert preset["score"] == 475
    env = registry.ENVS["CartPole-v1"].load()()
    policy_key, learn_key, test_key = jr.split(jr.key(seed), 3)
    algorithm = registry.ALGORITHMS["ppo"].load()(**preset["algorithm"])
    policy = MLPActorCriticPolicy(env=env, key=policy_key)
    policy = algorithm.learn(env, policy, preset["steps"], key=learn_key)
    episodes = evaluate(env, policy, key=test_key, num_episodes=100)
    assert episodes.finished.all() and float(episodes.returns.mean()) >= preset["score"]
