"""`lerax.bench`: what is timed does what it is said to do, and what is made of the times."""

from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest
from jax import random as jr
from toys import Idle, Target, arrays, assert_bitwise_equal

from lerax import bench
from lerax.algorithm import DQN, PPO, footprint
from lerax.bench import Benchmark, Parts, Speed, measure, with_num_envs
from lerax.callback import LoggingCallback, MemoryBackend
from lerax.errors import SettingError
from lerax.policy import MLPActorCriticPolicy

ENV = Target(length=1_000_000)  # whose state counts the steps of an episode that never ends
ALGORITHM = PPO(num_envs=4, num_steps=6, num_epochs=1, num_batches=1)


@pytest.fixture(scope="module")
def policy():
    return MLPActorCriticPolicy(ENV, hidden_sizes=(8,), key=jr.key(0))


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Times that mean nothing are soon measured."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "SAMPLE_SECONDS", 0.0)
        yield


@pytest.fixture(scope="module")
def training(policy):
    """PPO with two environments, and with the callback of the command."""
    made = with_num_envs(ALGORITHM, 2)
    return bench._Training(made, ENV, policy, LoggingCallback(MemoryBackend()), jr.key(0))


@pytest.mark.parametrize("number", range(4))
def test_each_program_takes_the_steps_of_as_many_iterations(training: Any, number: int):
    """In every environment; only the training itself learns, and only loops count iterations."""
    before = training._state
    steps, iterations = np.array(before.standing.env_state.steps), int(before.iteration_count)
    parameters = arrays(before.policy)
    assert training._runs[number](np.int32(3)) == 3
    after = training._state
    assert list(after.standing.env_state.steps - steps) == [3 * ALGORITHM.num_steps] * 2
    learned = [one.tobytes() for one in arrays(after.policy)] != [one.tobytes() for one in parameters]
    assert learned == (number == 3)
    assert int(after.iteration_count) - iterations == (3 if number >= 2 else 0)


def test_callbacks_see_the_steps_of_the_programs_that_they_are_in(training: Any):
    """The episode that the statistics count goes on in the last two programs alone."""
    counts = []
    for run in training._runs:
        before = int(training._state.callback_step_state[0].step[0])
        run(np.int32(2))
        counts.append(int(training._state.callback_step_state[0].step[0]) - before)
    assert counts == [0, 0, 2 * ALGORITHM.num_steps, 2 * ALGORITHM.num_steps]


def test_random_actions_are_taken_where_no_policy_acts(training: Any):
    """And the policy's where it does: those that it gives again from the same key."""
    state, key = training._state, jr.key(5)
    algorithm = training.algorithm
    _, steps = jax.jit(lambda state: algorithm.rollout(state, key=key))(state)
    own = jax.jit(lambda state: bench._acted(algorithm, state, state.standing, key)[1])(state)
    assert_bitwise_equal(steps.action, own.action)
    drawn = jax.jit(lambda state: bench._simulated(algorithm, state, state.standing, key)[1])(state)
    assert np.abs(drawn.action).max() <= 1.0 and not np.array_equal(drawn.action, own.action)


def test_a_measurement_is_consistent(training: Any):
    """Rates are those of the times, shares sum to 1, and the program holds the training's state at least."""
    training._times = [[] for _ in Parts._fields]
    for _ in range(3):
        training.time()
    speed = training.speed()
    assert (speed.num_envs, speed.rounds) == (2, 3)
    assert speed.slowest <= speed.steps_per_second <= speed.fastest
    assert np.isclose(speed.steps_per_second * speed.seconds, 2 * ALGORITHM.num_steps)
    assert np.isclose(sum(speed.shares), 1.0) and min(speed.shares) >= 0.0
    assert speed.program_bytes >= footprint.size(training._state)


def test_parts_are_differences_of_times(training: Any):
    """Within a round, of which the median counts; one that would be negative is none."""
    training._times = [[1.0, 9.0, 2.0], [5.0, 5.0, 5.0], [4.0, 4.0, 4.0], [10.0, 10.0, 10.0]]
    speed = training.speed()
    assert speed.shares == pytest.approx(Parts(simulation=2 / 11, policy=3 / 11, update=6 / 11, rest=0.0))
    assert speed.seconds == 10.0


def test_what_there_is_no_time_for_is_left_out(policy: MLPActorCriticPolicy):
    """The smallest number is measured whatever it takes, once at least; an algorithm of one's own as well."""
    lines = []
    found = measure(Idle(num_envs=2), ENV, policy, [8, 2, 4], seconds=1e-9, tell=lines.append)
    assert [(one.num_envs, one.rounds) for one in found.speeds] == [(2, 1)]
    assert found.left_out.keys() == {4, 8} and "no time" in found.left_out[4]
    assert lines == ["2 environments: compiling", "measuring 2"]


def test_more_environments_are_expected_to_take_longer():
    """In proportion, with some reserve: what was compiled, run twice, and timed often enough."""
    one: Any = SimpleNamespace(
        algorithm=Idle(num_envs=2), begin_seconds=10.0, first_seconds=1.0, round_seconds=1.0
    )
    late = lambda seconds, number: bench._too_late([one], number, bench.time.monotonic() + seconds)
    assert "no time" in late(20.0, 8)  # 10 + 1.5 * 4 * 1 + 3 * (1 + 1.5 * 4 * 1) = 37
    assert late(1000.0, 8) == ""


def test_what_does_not_fit_is_refused_before_anything_compiles(policy: MLPActorCriticPolicy):
    """Minibatches that do not divide; a replay buffer that is too small; no number at all."""
    with pytest.raises(SettingError, match="num_batches"):
        measure(PPO(num_envs=4, num_steps=6, num_batches=8), ENV, policy, [4, 1])
    with pytest.raises(SettingError, match="buffer_size"):
        with_num_envs(DQN(buffer_size=16), 32)
    with pytest.raises(SettingError, match="num_envs"):
        measure(ALGORITHM, ENV, policy, [])


def test_an_algorithm_with_a_replay_buffer_learns_at_once():
    """Else what is timed would be random steps."""
    assert with_num_envs(DQN(), 8) == DQN(num_envs=8, learning_starts=0)


@pytest.mark.parametrize(
    ("rates", "recommended", "best"),
    [([100.0], 1, 1), ([100.0, 400.0, 1000.0, 950.0], 4, 4), ([50.0, 905.0, 1000.0], 2, 4)],
)
def test_the_smallest_number_near_the_best_speed_is_recommended(
    rates: list[float], recommended: int, best: int
):
    """Within a tenth."""
    speeds = [
        Speed(2**i, rate, rate, rate, 1, 1.0, Parts(1, 0, 0, 0), 1.0, 1) for i, rate in enumerate(rates)
    ]
    found = Benchmark(tuple(speeds), {})
    assert (found.recommended.num_envs, found.best.num_envs) == (recommended, best)
