"""Parts of one's own: the files that the site shows, used from Python and by the command."""

import sys
from pathlib import Path

import pytest
from jax import random as jr

from lerax.evaluate import evaluate

FILES = Path(__file__).parents[1] / "examples" / "your_own"


def test_they_train_from_python(monkeypatch: pytest.MonkeyPatch):
    """To the shortest way: eight steps, of which the last is worth 1."""
    monkeypatch.setattr(sys, "path", [str(FILES), *sys.path])
    from corridor import Corridor
    from linear import Linear
    from policy_gradient import PolicyGradient

    env = Corridor()
    policy = PolicyGradient().learn(env, Linear(env, key=jr.key(0)), 16_384, key=jr.key(1))
    returns = evaluate(env, policy, key=jr.key(2), num_episodes=2).returns
    assert returns.tolist() == pytest.approx([1 - 8 * 0.01] * 2)
