"""The presets reach the scores that they promise."""

import pytest
from jax import random as jr

from lerax import registry
from lerax.evaluate import evaluate
from lerax.policy import MLPActorCriticPolicy

SCORES = {"CartPole-v1": 475, "MountainCarContinuous-v0": 90, "Pendulum-v1": -200, "Acrobot-v1": -100}
"""What counts as solved: Gymnasium's thresholds; Pendulum has none."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "seed"), [(name, 0) for name in SCORES] + [("CartPole-v1", 1), ("CartPole-v1", 2)]
)
def test_ppo_solves(name, seed):
    preset = registry.presets(name)["ppo"]
    assert preset["score"] == SCORES[name]
    env = registry.ENVS[name].load()()
    policy_key, learn_key, test_key = jr.split(jr.key(seed), 3)
    algorithm = registry.ALGORITHMS["ppo"].load()(**preset["algorithm"])
    policy = MLPActorCriticPolicy(env=env, key=policy_key, **preset.get("policy", {}))
    policy = algorithm.learn(env, policy, preset["steps"], key=learn_key)
    episodes = evaluate(env, policy, key=test_key, num_episodes=100)
    assert episodes.finished.all() and float(episodes.returns.mean()) >= preset["score"]


def test_every_preset_that_promises_a_score_is_tried():
    promised = {name for name in registry.ENVS for p in registry.presets(name).values() if "score" in p}
    assert promised == SCORES.keys()
