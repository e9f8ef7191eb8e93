"""The presets reach the scores that they promise."""

import pytest
from jax import random as jr

from lerax import registry
from lerax.evaluate import evaluate

SCORES = {
    "CartPole-v1": 475,
    "Pendulum-v1": -200,
    "Acrobot-v1": -100,
}
"""What counts as solved: Gymnasium's thresholds; Pendulum has none."""
PROMISED = [
    (env, algorithm)
    for env in registry.ENVS
    for algorithm, preset in registry.presets(env).items()
    if "score" in preset
]
LONG = [pair for pair in PROMISED if pair not in {(env, "ppo") for env in SCORES}]
"""What takes longer, up to a million steps; benchmarks/RESULTS.md has the figures of three seeds each."""


LATER = [("Pendulum-v1", 0), ("CartPole-v1", 1), ("CartPole-v1", 2)]  # half a minute, and more seeds


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "seed"),
    [
        ("Acrobot-v1", 0),
        ("CartPole-v1", 0),
        *(pytest.param(*pair, marks=pytest.mark.learning) for pair in LATER),
    ],
)
def test_ppo_solves(name, seed):
    assert registry.presets(name)["ppo"]["score"] == SCORES[name]
    solves(name, "ppo", seed)


@pytest.mark.slow
@pytest.mark.learning
@pytest.mark.parametrize(("name", "algorithm"), LONG)
def test_a_preset_reaches_its_score(name, algorithm):
    solves(name, algorithm, 0)


def solves(name, algorithm, seed):
    preset = registry.presets(name)[algorithm]
    env = registry.ENVS[name].load()(**preset.get("env", {}))
    policy_key, learn_key, test_key = jr.split(jr.key(seed), 3)
    cls = registry.ALGORITHMS[algorithm].load()
    policy = registry.POLICIES[cls.default_policy].load()(env=env, key=policy_key, **preset.get("policy", {}))
    policy = cls(**preset["algorithm"]).learn(env, policy, preset["steps"], key=learn_key)
    episodes = evaluate(env, policy, key=test_key, num_episodes=100)
    assert episodes.finished.all() and float(episodes.returns.mean()) >= preset["score"]
