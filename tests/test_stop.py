"""Callbacks that end training: by what is measured, when they are asked, and at Ctrl-C."""

import os
import signal
import threading

import equinox as eqx
import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Int
from toys import TRACES, Idle, Target, arrays, assert_bitwise_equal

from lerax.algorithm import PPO, loop
from lerax.callback import (
    AbstractCallback,
    LoggingCallback,
    MemoryBackend,
    StopOnInterrupt,
    StopOnNonFinite,
    StopOnRequest,
    StopOnReturn,
)
from lerax.callback.callback_list import as_callback
from lerax.policy import MLPActorCriticPolicy
from lerax.tree import ravel

# Four steps an iteration, and the fifth step of an episode has a NaN reward: the second iteration is bad.
ALGORITHM = PPO(num_envs=4, num_steps=4, num_epochs=1, num_batches=1)


@pytest.fixture(scope="module")
def initial():
    env = Target(nan_from=5)
    policy = MLPActorCriticPolicy(env, hidden_sizes=(8,), key=jr.key(0))
    return ALGORITHM.init(env, policy, key=jr.key(0))


def train(state, iterations):
    return loop.run_from_host(ALGORITHM, state, as_callback(StopOnNonFinite()), iterations, chunk_length=4)


def test_a_nan_ends_training_in_its_iteration_and_the_last_good_policy_is_kept(initial):
    """P10."""
    good = train(initial, 1)
    last = train(initial, 10)
    (found,) = last.callback_state
    assert int(last.iteration_count) == 2 and int(found.iteration) == 2
    assert_bitwise_equal(found.parameters, ravel(good.policy)[0])
    assert not all(np.isfinite(x).all() for x in arrays(last.policy))
    assert "the environment gave what is not finite (reward)" in found.reason


def test_nothing_happens_while_all_is_finite(initial):
    last = train(initial, 1)
    (found,) = last.callback_state
    assert int(last.iteration_count) == 1 and int(found.iteration) == 0
    assert_bitwise_equal(found.parameters, ravel(last.policy)[0])


def test_a_parameter_that_is_not_finite_ends_training_too(initial):
    bad = jax.tree.map(lambda x: x.at[0].set(jnp.inf) if x.ndim == 1 else x, initial.policy)
    state = ALGORITHM.init(initial.env, bad, key=jr.key(0))
    last = train(state, 10)
    assert int(last.iteration_count) == 1
    assert last.callback_state[0].reason.endswith("try a smaller learning rate")


def test_a_return_that_is_reached_ends_training(env, policy, algorithm):
    """The logger's own averages, with the same weight, say when it was reached."""
    memory = MemoryBackend()
    with LoggingCallback(memory, alpha=0.3) as logger:
        algorithm.learn(env, policy, 64 * 60, key=jr.key(0), callback=[logger, StopOnReturn(30.0, alpha=0.3)])
    averages = [scalars.get("episode/return", 0.0) for _, scalars in memory.records]
    assert averages[-1] >= 30 and len(averages) < 60
    # Some environments may not have finished an episode when the mean of the others first gets there.
    assert sum(average >= 30 for average in averages) <= 3


@pytest.mark.parametrize("traced", [False, True], ids=["from the host", "inside jit"])
def test_a_return_of_some_environments_only_does_not_end_it(env, policy, algorithm, traced):
    """It ends with the iteration in which the last environment finishes its first episode."""
    learn = lambda iterations, key: algorithm.run(
        algorithm.init(env, policy, key=key), 64 * iterations, callback=StopOnReturn(0.0)
    )
    last = (eqx.filter_jit(learn) if traced else learn)(8, jr.key(0))
    count = int(last.iteration_count)
    before = learn(count - 1, jr.key(0))
    begun = [state.step_state.callback_state[0].begun for state in (before, last)]
    assert 1 < count < 8 and not begun[0].all() and begun[1].all()


def test_a_request_ends_training_and_the_next_one_is_refused_at_once(env, policy):
    stop = StopOnRequest()

    class Asks(AbstractCallback):
        def next_due(self, iteration):
            return 5 if iteration < 5 else None

        def on_host(self, state, own, iteration):
            stop.request()

    state = Idle().run(Idle().init(env, policy, key=jr.key(0)), 10**9, callback=[Asks(), stop])
    assert int(state.iteration_count) == 5
    state = Idle().run(Idle().init(env, policy, key=jr.key(0)), 100, callback=stop)
    assert int(state.iteration_count) == 0


def test_alpha_is_checked():
    with pytest.raises(ValueError, match="alpha: out of range"):
        StopOnReturn(1.0, alpha=0.0)


def test_a_new_request_does_not_compile_again_and_cannot_be_made_inside_jit():
    """As a new callback of any other kind: it differs in nothing that is compiled."""
    env = Target()
    policy = MLPActorCriticPolicy(env, hidden_sizes=(8,), key=jr.key(0))
    learn = lambda: ALGORITHM.learn(env, policy, 16, key=jr.key(0), callback=StopOnRequest())
    learn()
    traced = TRACES["transition"]
    learn()
    assert TRACES["transition"] == traced
    with pytest.warns(RuntimeWarning, match="StopOnRequest: not called inside jax.jit"):
        jax.jit(lambda key: Idle().learn(env, policy, 10, key=key, callback=StopOnRequest()))(jr.key(0))


class Interrupts(AbstractCallback):
    """Sends this process SIGINT, as Ctrl-C does: so many times at an iteration, or when a phase begins."""

    at: Int[Array, ""]  # an array, so that one program serves all
    times: int = 1
    phase: str = ""

    def next_due(self, iteration):
        at = int(self.at)
        return at if iteration < at else None

    def on_host(self, state, own, iteration):
        self._send()

    def on_phase(self, phase):
        if phase == self.phase:
            self._send()

    def _send(self):
        for _ in range(self.times):
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def handler():
    """The handler that was there before, which must be there again afterwards."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    try:
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_ctrl_c_ends_training_and_the_policy_so_far_is_given_back(env, policy, algorithm, handler):
    """P4, in Python: bitwise the policy that a training of so many iterations gives."""
    learn = lambda steps, *callbacks: algorithm.learn(env, policy, steps, key=jr.key(0), callback=callbacks)
    with StopOnInterrupt() as stop:
        assert not stop.interrupted
        found = learn(64 * 10**6, Interrupts(jnp.array(3)), stop)
        assert stop.interrupted
        with pytest.raises(KeyboardInterrupt):  # whatever follows is ended as ever
            os.kill(os.getpid(), signal.SIGINT)
    assert_bitwise_equal(found, learn(64 * 3))


def test_a_second_ctrl_c_raises_at_once(env, policy, handler):
    with pytest.raises(KeyboardInterrupt), StopOnInterrupt() as stop:
        Idle().learn(env, policy, 10**9, key=jr.key(0), callback=[Interrupts(jnp.array(3), times=2), stop])


def test_before_training_has_begun_there_is_nothing_to_keep(env, policy, handler):
    """A first Ctrl-C while compiling raises; in the second part of a training it does not."""
    compiling = Interrupts(jnp.array(0), phase="compiling")
    state = Idle().init(env, policy, key=jr.key(0))
    with StopOnInterrupt() as stop, pytest.raises(KeyboardInterrupt):
        Idle().run(state, 100, callback=[stop, compiling])
    with stop:  # a second time
        half = Idle().run(state, 50, callback=stop)
        last = Idle().run(half, 100, callback=[stop, compiling])
    assert int(half.iteration_count) == int(last.iteration_count) == 5 and stop.interrupted


def test_an_ignored_sigint_stays_ignored(env, policy):
    """As a shell has it for what runs in the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopOnInterrupt() as stop:
            state = Idle().init(env, policy, key=jr.key(0))
            state = Idle().run(state, 50, callback=[Interrupts(jnp.array(3)), stop])
        assert int(state.iteration_count) == 5 and not stop.interrupted
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_where_it_cannot_catch_the_signal_it_is_refused(env, policy, handler):
    stop, said = StopOnInterrupt(), []
    with pytest.raises(RuntimeError, match="StopOnInterrupt: not entered; write `with StopOnInterrupt"):
        Idle().learn(env, policy, 10, key=jr.key(0), callback=stop)

    def enter():
        with pytest.raises(RuntimeError, match=r"main thread alone \(got worker\)") as error:
            stop.__enter__()
        said.append(str(error.value))

    thread = threading.Thread(target=enter, name="worker")
    thread.start()
    thread.join()
    assert said and "\n" not in said[0]
    with stop, pytest.raises(RuntimeError, match="already entered"):
        stop.__enter__()
