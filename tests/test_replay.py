"""Which operation made the first number that is not finite: found in programs whose fault is known."""

import re

import equinox as eqx
import jax
import pytest
import toys
from jax import lax
from jax import numpy as jnp
from jax import random as jr

from lerax.algorithm import PPO
from lerax.callback import StopOnNonFinite
from lerax.policy import MLPActorCriticPolicy
from lerax.replay import StopOnPart, part_of, search

SMALL = {"num_envs": 4, "num_steps": 8, "num_epochs": 1, "num_batches": 2}


class Blind(toys.Target):
    """From step 3 of an episode on, what is seen of the action is NaN."""

    name = "Blind"

    def observation(self, state, *, key):
        seen = jnp.where(state.steps >= 3, jnp.nan, state.received[0])
        return jnp.stack([state.target + self.shift, seen])


class Faulty(toys.Idle):
    """Does what its `fault` says."""

    fault: str = eqx.field(static=True, default="")

    def iteration(self, state, *, key):
        x = jnp.arange(4.0, dtype=jnp.float32)
        masked = jnp.where(x > 0, jnp.log(x), 0.0)  # log(0) is infinite, and of no consequence
        return state, None, {"loss": getattr(self, f"_{self.fault}")(x, masked)}

    def _none(self, x, masked):
        return masked.sum()

    def _root(self, x, masked):
        return jnp.sqrt(masked.sum() - 9.0)

    def _scan(self, x, masked):
        return lax.scan(lambda c, y: (c + 1 / (y - 2.0), y), masked[0], x)[0]

    def _backwards(self, x, masked):
        return lax.scan(lambda c, y: (c + jnp.sqrt(y - 1.5), y), masked[0], x, reverse=True)[0]

    def _column(self, x, masked):
        return lax.scan(lambda c, y: (c, jnp.sqrt(1.5 - y)), masked[0], x)[1].sum()

    def _while(self, x, masked):
        return lax.while_loop(lambda c: c > -9.0, lambda c: jnp.where(c < -1.0, jnp.log(c), c - 1.0), x[0])

    def _cond(self, x, masked):
        return lax.cond(x[1] > 0, lambda: jnp.log(-x[3]), lambda: x[0])

    def _chain(self, x, masked):
        large = jnp.exp(100.0 * x[1])
        return large - large


def looked_at(algorithm, env, policy, iterations=0):
    """What is found in the iteration after some."""
    state = algorithm.init(env, policy, key=jr.key(0))
    if iterations:
        state = algorithm.run(state, iterations * algorithm.steps_per_iteration)
    return search(algorithm, state)


@pytest.mark.parametrize(
    ("fault", "operation", "kind", "turns"),
    [
        ("root", "sqrt", "nan", []),
        ("scan", "div", "inf", [2]),
        ("backwards", "sqrt", "nan", [1]),
        ("column", "sqrt", "nan", [2]),
        ("while", "log", "nan", [2]),
        ("cond", "log", "nan", []),
        ("chain", "exp", "inf", []),
    ],
)
def test_the_first_operation_is_named(env, policy, fault, operation, kind, turns):
    """With its line, and the turn of the loop that it is in; a masked infinity is none."""
    found, _ = looked_at(Faulty(fault=fault), env, policy)
    first = found.source.first
    assert (first.operation, first.kind, [loop.step for loop in first.loops]) == (operation, kind, turns)
    assert __file__ in first.line and (f"_{fault}" in first.line or "<lambda>" in first.line)
    assert not any("nan" in text or "inf" in text for text in first.inputs)
    assert (found.iteration, found.became, found.given, found.env) == (1, ("loss",), "", None)


def test_what_an_infinity_led_to_is_told(env, policy):
    found, _ = looked_at(Faulty(fault="chain"), env, policy)
    assert [(one.operation, one.kind) for one in found.source.chain] == [("exp", "inf"), ("sub", "nan")]
    assert found.source.first.inputs == ("float32[] of 100",)


def test_an_iteration_that_is_finite_has_none(env, policy):
    found, after = looked_at(Faulty(fault="none"), env, policy)
    assert found is None and int(after.iteration_count) == 1


@pytest.mark.parametrize(
    ("env", "given", "step", "where"),
    [(toys.Target(nan_from=5), "reward", 4, "toys.py"), (Blind(), "next_observation", 2, "test_replay.py")],
    ids=["reward", "observation"],
)
def test_what_the_environment_gave_is_said(env, given, step, where):
    policy = MLPActorCriticPolicy(env=env, hidden_sizes=(8,), key=jr.key(0))
    found, _ = looked_at(PPO(**SMALL), env, policy)
    assert (found.given, found.source.first.step, found.env) == (given, step, 0)
    assert where in found.source.first.line and "parameters" in found.became


def test_steps_too_large_are_found_in_the_update(env, policy):
    """PPO on CartPole, whose first step of the optimizer makes parameters of 1e30."""
    found, _ = looked_at(PPO(**SMALL, learning_rate=1e30, max_grad_norm=1e30), env, policy)
    first = found.source.first
    assert found.given == "" and first.step is None
    assert "on_policy/update.py" in first.loops[0].line and (first.loops[0].step, first.loops[0].length) == (
        1,
        2,
    )
    assert first.kind == "inf" and any(re.search(r"e\+(29|30)", text) for text in first.inputs)


def test_what_was_there_before_is_found_where_it_came_in():
    """A ring of what has happened holds a NaN long before it is drawn."""
    env, algorithm = toys.Target(nan_from=5), toys.Replays()
    state = algorithm.init(env, toys.Steered(env, key=jr.key(1)), key=jr.key(0))
    ended = algorithm.run(state, 800, callback=StopOnNonFinite())
    bad, size = int(ended.iteration_count), algorithm.steps_per_iteration
    found, _ = search(algorithm, algorithm.run(state, (bad - 1) * size))
    part = found.source.first.operation
    assert (part, found.source.first.line) == ("state.learner.ring['reward']", "")
    first = algorithm.run(state, 800, callback=StopOnPart(part))
    assert int(first.iteration_count) == 3 < bad  # step 5 of episodes, two steps an iteration
    assert not jnp.isfinite(part_of(first, part)).all()
    found, after = search(algorithm, algorithm.run(state, 2 * size), part)
    assert (found.iteration, found.given, found.source.first.step) == (3, "reward", 0)
    made = algorithm.run(state, 3 * size)  # compiled, it is the same
    for one, other in zip(toys.arrays(after.learner), toys.arrays(made.learner), strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-6, nan_ok=True)


def test_a_line_is_the_callers_where_jax_has_traced_the_function_before(env, policy):
    jax.jit(lambda x: jnp.where(x > 0, jnp.log(x), 0.0))(jnp.arange(4.0))
    found, _ = looked_at(Faulty(fault="while"), env, policy)
    assert "_while" in found.source.first.line or "<lambda>" in found.source.first.line
