"""The loop: chunks, stopping, going on, host methods, and what it leaves alone."""

import jax
import pytest
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Int
from toys import TRACES, Target, arrays, assert_bitwise_equal, untimed

from lerax.algorithm import PPO, loop
from lerax.callback import AbstractCallback, LoggingCallback, MemoryBackend
from lerax.callback.callback_list import as_callback
from lerax.policy import MLPActorCriticPolicy

STEPS = 64  # of an iteration


# Arrays instead of static fields: one compiled program serves all tests of this file.
class StopAt(AbstractCallback):
    at: Int[Array, ""]

    def continue_training(self, ctx, *, key):
        return ctx.iteration_count < self.at


class Host(AbstractCallback):
    """Hands its host methods to one of `SCRIPTS`."""

    script: Int[Array, ""]

    def next_due(self, iteration):
        return SCRIPTS[int(self.script)].next_due(iteration)

    def on_host(self, state, own, iteration):
        SCRIPTS[int(self.script)].on_host(state, own, iteration)

    def stop_requested(self):
        return SCRIPTS[int(self.script)].stop_requested()


class Script:
    """What a host does; by default nothing."""

    def next_due(self, iteration):
        return None

    def on_host(self, state, own, iteration):
        raise AssertionError

    def stop_requested(self):
        return False


SCRIPTS = [Script(), Script()]


def train(algorithm, state, iterations, *, stop_at=1000, chunk_length=None, scripts=(), memory=None):
    """The state after training, and what was logged."""
    SCRIPTS[:] = [*scripts, Script(), Script()][:2]
    memory = memory or MemoryBackend()
    with LoggingCallback(memory, name="run") as logger:
        callback = as_callback([logger, StopAt(jnp.array(stop_at)), Host(jnp.array(0)), Host(jnp.array(1))])
        state = loop.run_from_host(algorithm, state, callback, iterations, chunk_length=chunk_length)
    return state, untimed(memory.records)


@pytest.fixture(scope="module")
def initial(algorithm, env, policy):
    return algorithm.init(env, policy, key=jr.key(1), total_timesteps=20 * STEPS)


@pytest.fixture(scope="module")
def expected(algorithm, initial):
    """20 iterations, one by one."""
    return train(algorithm, initial, 20, chunk_length=1)


@pytest.mark.parametrize("chunk_length", [4, 16, None])
def test_results_do_not_depend_on_the_chunks(algorithm, initial, expected, chunk_length):
    state, records = train(algorithm, initial, 20, chunk_length=chunk_length)
    assert [step for step, _ in records] == [STEPS * (i + 1) for i in range(20)]
    assert_bitwise_equal(state, expected[0])
    assert records == expected[1]


def test_training_trains(initial, expected):
    assert (jnp.abs(expected[0].policy.actor.weights[0] - initial.policy.actor.weights[0]) > 1e-3).any()


@pytest.mark.parametrize("stop_at", [1, 3, 7, 16])
@pytest.mark.parametrize("chunk_length", [1, 5, 16])
def test_training_stops_at_exactly_the_iteration_that_says_so(
    algorithm, initial, expected, stop_at, chunk_length
):
    state, records = train(algorithm, initial, 20, stop_at=stop_at, chunk_length=chunk_length)
    assert int(state.iteration_count) == stop_at
    assert records == expected[1][:stop_at]


@pytest.mark.parametrize("half", [1, 7])
def test_two_runs_continue_one_another(algorithm, initial, expected, half):
    """P6: bitwise the same parameters, optimizer state and metrics as a run that was never stopped."""
    state, first = train(algorithm, initial, half)
    state, second = train(algorithm, state, 20)
    assert_bitwise_equal(state, expected[0])
    assert first + second == expected[1]


def test_a_run_that_is_complete_stays_as_it_is(algorithm, expected):
    state, records = train(algorithm, expected[0], 20)
    assert_bitwise_equal(state.policy, expected[0].policy)
    assert records == []


# The next two tests share one program, of an environment with an array of its own.
SHORT = PPO(num_envs=4, num_steps=16, num_epochs=1, num_batches=1)
TARGET = Target(shift=jnp.array(0.25))
TARGET_POLICY = MLPActorCriticPolicy(TARGET, hidden_sizes=(8,), key=jr.key(0))


def test_what_the_caller_holds_stays_alive_and_unchanged():
    held = TARGET, TARGET_POLICY, jr.key(1)
    with LoggingCallback(MemoryBackend()) as logger:
        state = SHORT.init(*held[:2], key=held[2])
        before = [x.copy() for x in arrays((held, state))]
        first = SHORT.run(state, 5 * STEPS, callback=logger)
        middle = [x.copy() for x in arrays(first)]
        last = SHORT.run(first, 10 * STEPS, callback=logger)
        SHORT.learn(*held[:2], 5 * STEPS, key=held[2], callback=logger)
    assert_bitwise_equal(before, arrays((held, state)))
    assert_bitwise_equal(middle, arrays(first))
    assert float(last.env.shift) == 0.25  # an environment's numbers are not trained


def test_a_new_logger_of_the_same_form_does_not_compile_again():
    traced = []
    for steps in (2 * STEPS, 2 * STEPS, 5 * STEPS):
        memory = MemoryBackend()
        with LoggingCallback(memory) as logger:
            SHORT.learn(TARGET, TARGET_POLICY, steps, key=jr.key(steps), callback=logger)
        assert len(memory.records) == steps // STEPS
        traced.append(TRACES["transition"])
    assert traced[0] > 0 and traced[1] == traced[2] == traced[0]


def test_steps_are_rounded_up_to_whole_iterations(algorithm):
    assert [algorithm.num_iterations(n) for n in (64, 65, 128, 129)] == [1, 2, 2, 3]


@pytest.mark.parametrize("steps", [0, -5, 63])
def test_fewer_steps_than_an_iteration_are_refused(algorithm, env, policy, initial, steps):
    said = f"total_timesteps.*got {steps}.*at least 64"
    with pytest.raises(ValueError, match=said):
        algorithm.learn(env, policy, steps, key=jr.key(0))
    with pytest.raises(ValueError, match=said):
        algorithm.run(initial, steps)


class Every(Script):
    """Writes down what its host method is given."""

    def __init__(self, interval, seen):
        self.interval, self.seen = interval, seen

    def next_due(self, iteration):
        return (iteration // self.interval + 1) * self.interval

    def on_host(self, state, own, iteration):
        self.seen.append((self.interval, iteration, int(state.iteration_count), arrays(state.policy)))


def test_host_methods_are_called_at_exactly_the_due_iterations(algorithm, initial, expected):
    seen = []
    state, records = train(algorithm, initial, 20, scripts=[Every(3, seen), Every(5, seen)])
    due = [(every, i) for i in range(1, 21) for every in (3, 5) if i % every == 0]
    assert [call[:2] for call in seen] == due
    assert all(iteration == count for _, iteration, count, _ in seen)
    at_9 = train(algorithm, initial, 9)[0]
    assert_bitwise_equal(seen[due.index((3, 9))][3], arrays(at_9.policy))
    assert_bitwise_equal(state.policy, expected[0].policy)
    assert records == expected[1]


class OddError(Exception):
    pass


class Raises(Script):
    def next_due(self, iteration):
        return 3 if iteration < 3 else None

    def on_host(self, state, own, iteration):
        raise OddError("from a host method")


def test_an_exception_in_a_host_method_keeps_its_type_and_loses_no_records(algorithm, initial, expected):
    memory = MemoryBackend()
    with pytest.raises(OddError, match="from a host method"):
        train(algorithm, initial, 20, scripts=[Raises()], memory=memory)
    assert untimed(memory.records) == expected[1][:3]
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(initial))


class Impatient(Raises):
    """Asks to stop once it has seen iteration 3."""

    asks = False

    def on_host(self, state, own, iteration):
        self.asks = True

    def stop_requested(self):
        return self.asks


def test_a_requested_stop_ends_training_between_chunks(algorithm, initial, expected):
    state, records = train(algorithm, initial, 20, scripts=[Script(), Impatient()])
    assert int(state.iteration_count) == 3 and records == expected[1][:3]


def test_phases_are_told_in_order(algorithm, initial):
    memory = MemoryBackend()
    train(algorithm, initial, 2, memory=memory)
    assert memory.phases[:2] == ["compiling", "training"]
