"""The presets reach the scores that they promise."""

import pytest
from jax import random as jr

from lerax import registry
from lerax.evaluate import evaluate
from lerax.policy import MLPActorCriticPolicy

SCORES = {
    "CartPole-v1": 475,
    "Pendulum-v1": -200,
    "Acrobot-v1": -100,
}
"""What counts as solved: Gymnasium's thresholds; Pendulum has none."""
LONG_SCORES = {
    "HalfCheetah-v5": 2500,
    "Hopper-v5": 2000,
    "InvertedPendulum-v5": 950,
    "InvertedDoublePendulum-v5": 8000,
    "MountainCarContinuous-v0": 90,
    "Reacher-v5": -6,
    "Swimmer-v5": 100,
    "Walker2d-v5": 2500,
}
"""What takes longer, up to a million steps; benchmarks/RESULTS.md has the figures of three seeds each."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "seed"), [(name, 0) for name in SCORES] + [("CartPole-v1", 1), ("CartPole-v1", 2)]
)
def test_ppo_solves(name, seed):
    solves(name, seed, SCORES[name])


@pytest.mark.slow
@pytest.mark.learning
@pytest.mark.parametrize("name", LONG_SCORES)
def test_ppo_solves_what_takes_longer(name):
    solves(name, 0, LONG_SCORES[name])


def solves(name, seed, score):
    preset = registry.presets(name)["ppo"]
    assert preset["score"] == score
    env = registry.ENVS[name].load()()
    policy_key, learn_key, test_key = jr.split(jr.key(seed), 3)
    algorithm = registry.ALGORITHMS["ppo"].load()(**preset["algorithm"])
    policy = MLPActorCriticPolicy(env=env, key=policy_key, **preset.get("policy", {}))
    policy = algorithm.learn(env, policy, preset["steps"], key=learn_key)
    episodes = evaluate(env, policy, key=test_key, num_episodes=100)
    assert episodes.finished.all() and float(episodes.returns.mean()) >= preset["score"]


def test_every_preset_that_promises_a_score_is_tried():
    promised = {name for name in registry.ENVS for p in registry.presets(name).values() if "score" in p}
    assert promised == SCORES.keys() | LONG_SCORES.keys()
