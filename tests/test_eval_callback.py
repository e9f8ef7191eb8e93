"""EvalCallback against evaluations made by hand."""

import jax
import numpy as np
import pytest
from jax import random as jr
from toys import arrays, assert_bitwise_equal

from lerax import checkpoint
from lerax.callback import EvalCallback, LoggingCallback, MemoryBackend
from lerax.env.classic_control import CartPole
from lerax.evaluate import evaluate
from lerax_cli import policies

STEPS = 64


def mean(env, policy, seed=0, num_episodes=10):
    result = evaluate(env, policy, key=jr.key(seed), num_episodes=num_episodes)
    return tuple(float(np.mean(np.asarray(x, float))) for x in (result.returns, result.lengths))


def test_every_n_iterations_on_the_same_episodes_and_the_best_is_kept(env, policy, algorithm, tmp_path):
    memory = MemoryBackend()
    with LoggingCallback(memory, name="run") as logger:
        best = EvalCallback(5, logger=logger, best_path=tmp_path / "new" / "best.eqx")
        assert best.best_policy is None and best.evaluations == []
        algorithm.learn(env, policy, 24 * STEPS, key=jr.key(0), callback=[logger, best])
    by_hand, best_by_hand = [], None
    for iterations in (5, 10, 15, 20):
        trained = _after(algorithm, env, policy, iterations)
        by_hand.append((iterations * STEPS, *mean(env, trained)))
        if best_by_hand is None or by_hand[-1][1] > best_by_hand[0]:
            best_by_hand = (by_hand[-1][1], trained)
    assert best.evaluations == by_hand and len({score for _, score, _ in by_hand}) > 1
    logged = [(step, s["eval/return"], s["eval/length"]) for step, s in memory.records if "eval/return" in s]
    assert logged == by_hand
    assert best.best_return == best_by_hand[0]
    assert_bitwise_equal(best.best_policy, best_by_hand[1])
    assert_bitwise_equal(checkpoint.load(tmp_path / "new" / "best.eqx", policy), best_by_hand[1])
    assert checkpoint.read_metadata(tmp_path / "new" / "best.eqx")["return"] == best_by_hand[0]
    source, subject = (
        policies.Source("best", tmp_path / "new" / "best.eqx"),
        policies.find_subject(env.name, [], "logs"),
    )
    alone = policies.load(source, env, subject)  # the file says what it is
    assert_bitwise_equal(alone, best_by_hand[1])


def _after(algorithm, env, policy, iterations):
    return algorithm.learn(env, policy, iterations * STEPS, key=jr.key(0))


def test_it_never_changes_the_training(env, policy, algorithm):
    learn = lambda callback: algorithm.learn(env, policy, 6 * STEPS, key=jr.key(0), callback=callback)
    assert_bitwise_equal(learn(EvalCallback(2, num_episodes=2)), learn(None))


def test_another_environment_and_more_trainings(env, policy, algorithm):
    short = CartPole(max_episode_steps=5)
    memory = MemoryBackend()
    with LoggingCallback(memory, name="run") as logger:
        best = EvalCallback(2, env=short, num_episodes=3, logger=logger)
        for _ in range(2):
            algorithm.learn(env, policy, 2 * STEPS, key=jr.key(0), callback=[logger, best])
    assert best.evaluations == [(2 * STEPS, 5.0, 5.0), (4 * STEPS, 5.0, 5.0)]


def test_inside_jit_it_warns_that_it_does_nothing(env, policy, algorithm):
    best = EvalCallback(1)
    with pytest.warns(RuntimeWarning, match="EvalCallback.*jax.jit"):
        jax.jit(lambda key: algorithm.learn(env, policy, STEPS, key=key, callback=best))(jr.key(0))
    assert best.evaluations == []


@pytest.mark.parametrize("wrong", [{"interval": 0}, {"interval": 1, "num_episodes": 0}])
def test_numbers_are_checked(wrong):
    with pytest.raises(ValueError, match="out of range .got 0.; allowed: at least 1"):
        EvalCallback(**wrong)


def test_the_policy_that_was_given_stays_as_it_is(env, policy, algorithm):
    before = arrays(policy)
    algorithm.learn(env, policy, STEPS, key=jr.key(0), callback=EvalCallback(1))
    for one, other in zip(before, arrays(policy), strict=True):
        assert one.tobytes() == other.tobytes()


def test_a_training_that_goes_on_keeps_a_better_policy(env, policy, algorithm, tmp_path):
    """Though the process that has saved it is gone: its return stands in the file."""
    best, path = policy, tmp_path / "best.eqx"
    checkpoint.save(path, best, {"return": 1e6})
    state = algorithm.init(env, policy, key=jr.key(0))
    first = EvalCallback(2, best_path=path)
    state = algorithm.run(state, 2 * STEPS, callback=first)  # a training that begins knows nothing of it
    assert checkpoint.read_metadata(path)["return"] == first.best_return < 1e6
    checkpoint.save(path, best, {"return": 1e6})
    later = EvalCallback(2, best_path=path)
    algorithm.run(state, 4 * STEPS, callback=later)
    assert later.best_return == 1e6 == checkpoint.read_metadata(path)["return"]
    assert later.best_policy is None and len(later.evaluations) == 1
