"""Trainings as lanes of one program: each comes to what it comes to by itself, whatever the others do."""

import dataclasses
import threading

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Int
from toys import TRACES, Target, arrays, assert_bitwise_equal, untimed

from lerax.algorithm import DQN, PPO, loop
from lerax.algorithm.lanes import Lanes
from lerax.callback import AbstractCallback, LoggingCallback, MemoryBackend, StopOnNonFinite
from lerax.callback.callback_list import as_callback
from lerax.env.classic_control import CartPole
from lerax.policy import MLPActorCriticPolicy, MLPQPolicy

ITERATIONS = 12
SECONDS = 300.0  # far more than anything takes: only a hang gets there
ON_POLICY = PPO(num_envs=4, num_steps=16, num_epochs=2, num_batches=2), MLPActorCriticPolicy
OFF_POLICY = DQN(num_envs=2, buffer_size=512, learning_starts=64, batch_size=16), MLPQPolicy


class OddError(Exception):
    pass


class StopAt(AbstractCallback):
    at: Int[Array, ""]

    def continue_training(self, ctx, *, key):
        return ctx.iteration_count < self.at


class Watched(AbstractCallback):
    """Notes every third iteration's policy, or raises an error there."""

    seat: Int[Array, ""]

    def next_due(self, iteration):
        return iteration // 3 * 3 + 3

    def on_host(self, state, own, iteration):
        seen = SEEN[int(self.seat)]
        if isinstance(seen, Exception):
            raise seen
        seen.append((iteration, int(state.iteration_count), arrays(state.policy)))


SEEN = {}  # by seat


def begin(parts, seed, env=None):
    algorithm, policy = parts
    env = CartPole() if env is None else env
    first, steps = (
        policy(env, hidden_sizes=(8,), key=jr.key(seed)),
        algorithm.steps_per_iteration * ITERATIONS,
    )
    return algorithm.init(env, first, key=jr.key(100 + seed), total_timesteps=steps)


def train(algorithm, state, *, seat=0, iterations=ITERATIONS, stop_at=1000, sees=None):
    """The state after training, what was logged, and what a host method has seen; or what one raised."""
    memory = MemoryBackend()
    SEEN[seat] = [] if sees is None else sees
    with LoggingCallback(memory, name="run") as logger:
        watching = [logger, StopOnNonFinite(), StopAt(jnp.array(stop_at)), Watched(jnp.array(seat))]
        try:
            state = loop.run_from_host(algorithm, state, as_callback(watching), iterations)
        except Exception as error:
            return error
    return state, untimed(memory.records), SEEN[seat]


def together(algorithm, turns, meeting=None, **options):
    """What comes of trainings in lanes, by seat: of the states that take their turns there, the last one's.

    An option has the values of the seats that it is another one for.
    """
    meeting, found = meeting or Lanes(3), {}

    def in_turn(seat, states):
        own = {name: values[seat] for name, values in options.items() if seat in values}
        for state in states:
            with meeting.seat(seat):
                found[seat] = train(algorithm, state, seat=seat, **own)

    threads = [threading.Thread(target=in_turn, args=pair, daemon=True) for pair in enumerate(turns)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert not any(thread.is_alive() for thread in threads), "one waits for ever"
    return found


def check_close(one, other):
    for a, b in zip(arrays(one), arrays(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-5)


def check_same(one, other):
    assert_bitwise_equal(one[0], other[0])
    assert one[1] == other[1]


@pytest.fixture(scope="module", params=[ON_POLICY, OFF_POLICY], ids=["ppo", "dqn"])
def parts(request):
    return request.param


@pytest.fixture(scope="module")
def initial(parts):
    return [begin(parts, seed) for seed in range(3)]


@pytest.fixture(scope="module")
def whole(parts, initial):
    """Three trainings in lanes, from the first iteration to the last."""
    return together(parts[0], [[state] for state in initial])


def test_each_lane_is_the_training_that_it_would_be_by_itself(parts, initial, whole):
    """Within rounding; and a host method sees it at the iterations that it has asked for."""
    for seed, (state, records, seen) in whole.items():
        alone, told, watched = train(parts[0], initial[seed])
        check_close(state.learner, alone.learner)
        assert [step for step, _ in records] == [step for step, _ in told]
        for (_, one), (_, other) in zip(records, told, strict=True):
            assert one == pytest.approx(other, rel=2e-3, abs=1e-4)
        assert (
            [call[:2] for call in seen] == [call[:2] for call in watched] == [(i, i) for i in (3, 6, 9, 12)]
        )
        for one, other in zip(seen, watched, strict=True):
            check_close(one[2], other[2])
        assert_bitwise_equal(seen[-1][2], arrays(state.policy))
    assert whole[0][1] != whole[1][1]


@pytest.mark.filterwarnings("ignore:not finite")
def test_one_that_ends_early_changes_and_holds_up_no_other(parts, initial, whole):
    """One is stopped in its fourth iteration, one has diverged in its first."""
    lost = jax.tree.map(
        lambda leaf: leaf * jnp.nan if leaf.dtype == jnp.float32 else leaf, initial[2].learner
    )
    broken = dataclasses.replace(initial[2], learner=lost)
    found = together(parts[0], [[initial[0]], [initial[1]], [broken]], stop_at={1: 4})
    check_same(found[0], whole[0])
    assert int(found[1][0].iteration_count) == 4 and found[1][1] == whole[1][1][:4]
    assert_bitwise_equal(found[1][2][0][2], whole[1][2][0][2])
    assert int(found[2][0].iteration_count) == 1 == int(found[2][0].callback_state[1].iteration)


def test_one_that_fails_changes_and_holds_up_no_other(parts, initial, whole):
    found = together(parts[0], [[state] for state in initial], sees={1: OddError("from a host method")})
    assert isinstance(found[1], OddError)
    check_same(found[0], whole[0])
    check_same(found[2], whole[2])


def test_trainings_go_on_in_lanes_bitwise(parts, initial, whole):
    """Cut after different iterations; one is complete, and its lane nobody's."""
    algorithm = parts[0]
    cut = together(algorithm, [[state] for state in initial], iterations={0: 5, 1: 2})
    check_same(cut[2], whole[2])
    assert [int(cut[seat][0].iteration_count) for seat in range(3)] == [5, 2, ITERATIONS]
    rest = together(algorithm, [[cut[0][0]], [cut[1][0]], []], Lanes(3, [0, 1]))
    for seat in (0, 1):
        assert_bitwise_equal(rest[seat][0], whole[seat][0])
        assert cut[seat][1] + rest[seat][1] == whole[seat][1]


def test_waiting_ones_take_their_turn(parts, initial, whole):
    """Four trainings on three seats: the last one begins where the others are in the middle."""
    found = together(parts[0], [[initial[2], initial[0]], [initial[1]], [initial[2]]])
    check_same(found[0], whole[0])
    check_same(found[1], whole[1])


# The others share the program of an environment that counts how often it is traced.
SHORT = PPO(num_envs=4, num_steps=16, num_epochs=1, num_batches=1), MLPActorCriticPolicy


def test_all_lanes_share_one_program_that_is_compiled_once(monkeypatch):
    """And none has the program of a training by itself."""
    monkeypatch.delattr(loop, "_chunk")
    traced = []
    for seeds in ((0, 1, 2), (3, 4, 5)):
        found = together(SHORT[0], [[begin(SHORT, seed, Target())] for seed in seeds])
        assert all(len(found[seat][1]) == ITERATIONS for seat in range(3))
        traced.append(TRACES["transition"])
    assert traced[0] == traced[1] > 0


def test_one_of_another_form_trains_by_itself():
    """Its environment has another setting, which is a part of the program."""
    states = [begin(SHORT, 0, Target()), begin(SHORT, 1, Target(length=5)), begin(SHORT, 2, Target())]
    found = together(SHORT[0], [[state] for state in states])
    check_same(found[1], train(SHORT[0], states[1]))
    check_close(found[2][0].learner, train(SHORT[0], states[2])[0].learner)


class Fragile(Target):
    """Its steps fail in the middle of a program, while they are to."""

    def transition(self, state, action, *, key):
        looked = jax.ShapeDtypeStruct((), jnp.float32)
        zero = jax.pure_callback(_look, looked, state.target, vmap_method="expand_dims")
        return super().transition(state, action + zero, key=key)


FAILS = []


def _look(target):
    if FAILS:
        raise FAILS[0]
    return np.zeros_like(target)


def test_a_program_that_fails_ends_all():
    """Their states are lost; none waits for ever, and those that come then train."""
    states, meeting = [begin(SHORT, seed, Fragile()) for seed in range(3)], Lanes(3)
    expected = together(SHORT[0], [[state] for state in states], meeting)
    FAILS.append(OddError("out of memory"))
    found = together(SHORT[0], [[state] for state in states], meeting)
    assert all("out of memory" in str(found[seat]) for seat in range(3))
    FAILS.clear()
    again = together(SHORT[0], [[state] for state in states], meeting)
    for seat in range(3):
        check_same(again[seat], expected[seat])
