"""The loop of algorithms that learn from a replay buffer: when they act, store, update, and what they log."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Int
from scipy import stats
from toys import Masked, Target, arrays, assert_bitwise_equal

from lerax import checkpoint
from lerax.algorithm import DDPG, DQN, SAC, TD3, AbstractOffPolicyAlgorithm, CrossQ, DiscreteSAC, Maybe
from lerax.algorithm.off_policy import AbstractNetworks
from lerax.callback import LoggingCallback, MemoryBackend
from lerax.env.classic_control import CartPole, Pendulum
from lerax.policy import (
    MLPActorCriticPolicy,
    MLPCategoricalPolicy,
    MLPCrossQPolicy,
    MLPDeterministicPolicy,
    MLPQPolicy,
    MLPSquashedGaussianPolicy,
)
from lerax.settings import settings_of

SMALL = {"num_envs": 2, "num_steps": 8, "buffer_size": 64, "batch_size": 4, "learning_starts": 12}
KEY = jr.key(4)


class Counted(AbstractNetworks):
    policy: MLPDeterministicPolicy
    opt_state: tuple
    calls: Int[Array, ""]


class Counting(AbstractOffPolicyAlgorithm[Counted]):
    """Does the same whatever it sees, and counts its updates."""

    default_policy = "MLPDeterministicPolicy"

    def init_networks(self, env, policy, *, key):
        return Counted(policy, (), jnp.array(0, jnp.int32))

    def exploration_noise(self, policy, *, key):
        return jnp.zeros(1, jnp.float32)

    def explore(self, policy, observation, action_mask, *, noise):
        return noise + 0.25

    def update(self, networks, batch, *, number, key):
        value = number.astype(jnp.float32)
        log = {"number": value, "even": Maybe(value, number % 2 == 0), "nothing": Maybe(value, number < 0)}
        return Counted(networks.policy, (), networks.calls + 1), log


def policy_of(kind, env, **settings):
    return kind(env, hidden_sizes=(4,), **settings, key=KEY)


STILL = policy_of(MLPDeterministicPolicy, Target(), normalize_observations=True)
iterate = eqx.filter_jit(lambda algorithm, state, key: algorithm.iteration(state, key=key))


def trace(algorithm, env, policy, iterations, whole=None):
    """The states after each of the first iterations, what happened, and the logs."""
    total = (whole or iterations) * algorithm.steps_per_iteration
    state = algorithm.init(env, policy, key=KEY, total_timesteps=total)
    states, steps, logs = [], [], []
    for i in range(iterations):
        state = dataclasses.replace(state, iteration_count=jnp.array(i, jnp.int32))
        state, happened, log = iterate(algorithm, state, jr.fold_in(KEY, i))
        states.append(state)
        steps.append(jax.tree.map(np.asarray, happened))
        logs.append({name: entry for name, entry in log.items()})
    return states, jax.tree.map(lambda *x: np.concatenate(x), *steps), logs


@pytest.mark.parametrize(
    "settings",
    [
        {"learning_starts": 0},
        {"learning_starts": 9},
        {"learning_starts": 10, "train_frequency": 4, "gradient_steps": 3},
        {"learning_starts": 0, "n_step": 5},
        {"learning_starts": 1000, "train_frequency": 2, "buffer_size": 13},
    ],
    ids=str,
)
def test_updates_are_made_as_often_as_was_said(settings):
    """A loop over the rounds says when; a buffer that is full is as good as `learning_starts` steps."""
    algorithm = Counting(**SMALL | settings)
    states, steps, logs = trace(algorithm, Target(), STILL, 2)
    frequency, envs = algorithm.train_frequency, 2
    capacity = algorithm.buffer_size // (envs * frequency) * frequency
    number, stored, actions = 0, 0, []
    for state, log in zip(states, logs, strict=True):
        made = []
        for _ in range(algorithm.num_steps // frequency):
            warm = lambda stored: envs * stored >= algorithm.learning_starts or stored >= capacity
            actions += [warm(stored)] * frequency
            stored += frequency
            if warm(stored) and stored >= algorithm.n_step:
                made += range(number, number + algorithm.gradient_steps)
                number += algorithm.gradient_steps
        assert int(state.learner.num_updates) == int(state.learner.networks.calls) == number
        even = [one for one in made if one % 2 == 0]
        assert bool(log["number"].there) == bool(made) and bool(log["even"].there) == bool(even)
        assert not log["nothing"].there
        if made:
            np.testing.assert_allclose(log["number"].value, np.mean(made))
            np.testing.assert_allclose(log["even"].value, np.mean(even))
    assert number, "the case makes updates"
    # Once it is warm it does what `explore` says, and before that anything.
    assert ((steps.action[..., 0] == 0.25).all(axis=1) == actions).all()


def test_the_buffer_keeps_what_on_step_is_shown():
    """In a ring of 12 steps of each environment, after 16; the environment has received the actions kept."""
    algorithm = Counting(**SMALL | {"buffer_size": 25, "learning_starts": 20, "train_frequency": 2})
    states, steps, _ = trace(algorithm, Target(length=5), STILL, 2)
    buffer = states[-1].learner.buffer
    assert (buffer.capacity, int(buffer.size), int(buffer.head)) == (12, 12, 4)
    rows = buffer.packing.unpack({name: np.asarray(held) for name, held in buffer.rows.items()})
    for name in type(rows).__dataclass_fields__:
        kept, shown = getattr(rows, name), getattr(steps, name)
        if shown is not None:
            kept = np.roll(kept, -4, axis=0)
            np.testing.assert_array_equal(kept, shown[4:], err_msg=name)
    np.testing.assert_array_equal(steps.next_observation[..., 1], steps.action[..., 0])
    assert steps.truncated.any() and not steps.terminal.any()


def test_first_actions_are_uniform_in_the_box():
    algorithm = Counting(num_envs=64, num_steps=32, learning_starts=2**20, buffer_size=2**20)
    _, steps, logs = trace(algorithm, Target(), STILL, 1)
    assert stats.kstest(steps.action.ravel(), stats.uniform(-1, 2).cdf).pvalue > 1e-3
    assert not logs[0]["number"].there


def test_observations_are_normalised_by_all_that_was_seen_and_the_saved_policy_knows_them(tmp_path):
    states, steps, _ = trace(Counting(**SMALL), Target(), STILL, 3)
    policy, seen = states[-1].policy, steps.observation.reshape(-1, 2)
    assert float(policy.seen.count) == 48
    np.testing.assert_allclose(policy.seen.mean, seen.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(policy.seen.variance, seen.var(0), rtol=1e-4, atol=1e-6)
    checkpoint.save(tmp_path / "policy", policy)
    assert_bitwise_equal(checkpoint.load(tmp_path / "policy", STILL), policy)


MASKED = [(DQN, MLPQPolicy), (DiscreteSAC, MLPCategoricalPolicy)]


@pytest.mark.parametrize(("kind", "make"), MASKED)
def test_no_forbidden_action_is_done(kind, make):
    """Neither at first nor later, and before the first update each allowed one as often as the other."""
    algorithm = kind(**SMALL | {"num_envs": 32, "num_steps": 16, "buffer_size": 2048, "learning_starts": 512})
    states, steps, logs = trace(algorithm, Masked(), policy_of(make, Masked()), 2)
    assert np.take_along_axis(steps.action_mask, steps.action[..., None], -1).all()
    assert (steps.reward == 0).all() and not steps.action_mask.all()
    first = np.unique(steps.action[:16], return_counts=True)[1]
    even, odd = first[::2], first[1::2]
    assert stats.chisquare(even).pvalue > 1e-3 and stats.chisquare(odd).pvalue > 1e-3
    # What is allowed next is what is allowed in the next step of the same episode.
    goes_on = ~(steps.terminal | steps.truncated)[:-1]
    np.testing.assert_array_equal(steps.next_action_mask[:-1][goes_on], steps.action_mask[1:][goes_on])
    loss = "loss" if kind is DQN else "critic_loss"
    assert int(states[0].learner.num_updates) == 1
    assert np.isfinite(logs[1][loss].value)


def test_epsilon_and_learning_rate_follow_their_schedules():
    """And what an update says is not logged before the first one."""
    algorithm = DQN(
        **SMALL | {"learning_starts": 20},
        learning_rate=0.04,
        learning_rate_schedule="linear",
        epsilon=0.9,
        final_epsilon=0.1,
        exploration_fraction=0.5,
    )
    memory = MemoryBackend()
    with LoggingCallback(memory, name="run") as logger:
        state = algorithm.init(Masked(), policy_of(MLPQPolicy, Masked()), key=KEY)
        state = algorithm.run(state, 64, callback=logger)
    logs = [scalars for _, scalars in memory.records]
    np.testing.assert_allclose(
        [log["train/learning_rate"] for log in logs], [0.04, 0.03, 0.02, 0.01], rtol=1e-5
    )
    np.testing.assert_allclose([log["train/epsilon"] for log in logs], [0.9, 0.5, 0.1, 0.1], rtol=1e-5)
    assert ["train/loss" in log for log in logs] == ["train/q_value" in log for log in logs]
    assert ["train/loss" in log for log in logs] == [False, True, True, True]
    assert float(state.policy.epsilon.epsilon) == pytest.approx(0.1)
    assert rates_of(state) == [pytest.approx(0.01)]  # what the optimizer took last


def rates_of(state):
    """The learning rates that optimizers hold."""
    holds = lambda part: hasattr(part, "hyperparams")
    parts = jax.tree.leaves(state.opt_state, is_leaf=holds)
    return [float(part.hyperparams["learning_rate"]) for part in parts if holds(part)]


def test_a_part_epsilon_of_the_actions_is_random():
    algorithm = DQN(
        num_envs=64,
        num_steps=32,
        learning_starts=0,
        epsilon=0.3,
        exploration_schedule="constant",
        train_frequency=32,
        batch_size=4,
        learning_rate=1e-9,
    )
    policy = eqx.tree_at(
        lambda p: p.network.biases[-1], policy_of(MLPQPolicy, CartPole()), jnp.array([0.0, 1e6], jnp.float32)
    )
    _, steps, _ = trace(algorithm, CartPole(), policy, 1)
    zeros = (steps.action == 0).sum()
    assert stats.binomtest(int(zeros), steps.action.size, 0.15).pvalue > 1e-3


ALL = {
    "DQN": (DQN, MLPQPolicy, CartPole(), {"target_interval": 3}),
    "DiscreteSAC": (DiscreteSAC, MLPCategoricalPolicy, CartPole(), {}),
    "DDPG": (DDPG, MLPDeterministicPolicy, Pendulum(), {}),
    "TD3": (TD3, MLPDeterministicPolicy, Pendulum(), {"n_step": 3}),
    "SAC": (SAC, MLPSquashedGaussianPolicy, Pendulum(), {"gradient_steps": 2}),
    "CrossQ": (CrossQ, MLPCrossQPolicy, Pendulum(), {}),
}


@pytest.mark.parametrize("name", ["DQN", "TD3", "CrossQ"])
def test_training_under_jit_and_vmap_and_with_a_break_is_the_same(name, tmp_path):
    """With a break bitwise. Bounds stay, and no action leaves them."""
    kind, make, env, settings = ALL[name]
    algorithm = kind(**SMALL | settings, learning_rate=1e-3)
    policy, keys = policy_of(make, env, normalize_observations=True), jr.split(KEY, 2)
    learn = lambda key: eqx.filter(algorithm.learn(env, policy, 64, key=key), eqx.is_array)
    together = jax.jit(jax.vmap(learn))(keys)
    state = algorithm.init(env, policy, key=keys[0], total_timesteps=64)
    whole = algorithm.run(state, 64)
    for one, other in zip(arrays(together), arrays(whole.policy), strict=True):
        np.testing.assert_allclose(one[0], other, rtol=2e-3, atol=2e-5)
    assert any((one[0] != one[1]).any() for one in arrays(together))
    half = algorithm.run(state, 32)
    checkpoint.save(tmp_path / "half", half)
    loaded = checkpoint.load(tmp_path / "half", algorithm.template(env, policy))
    assert_bitwise_equal(algorithm.run(loaded, 64), whole)
    assert whole.policy.action_space == policy.action_space == env.action_space
    if name != "DQN":
        seen = 9 * jr.normal(KEY, (50, 3), jnp.float32)
        assert (np.abs(jax.vmap(lambda x: whole.policy(None, x, key=KEY)[1])(seen)) <= 2).all()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"num_steps": 10, "train_frequency": 4},
            r"num_steps: not a multiple of train_frequency = 4 \(got 10\); nearest: 8, 12",
        ),
        ({"num_steps": 3, "train_frequency": 4}, r"num_steps: .*\(got 3\); nearest: 4"),
        (
            {"buffer_size": 7, "num_envs": 4, "num_steps": 4, "train_frequency": 2},
            "buffer_size: less than .* = 8",
        ),
        ({"buffer_size": 9, "n_step": 10}, r"buffer_size: less than .* = 10 \(got 9\)"),
        ({"buffer_size": 7, "train_frequency": 4, "n_step": 7}, r"buffer_size: less than .* = 8 \(got 7\)"),
        ({"tau": 0.0}, "tau:"),
        ({"gradient_steps": 0}, "gradient_steps:"),
        ({"n_step": 0}, "n_step:"),
        ({"batch_size": 0}, "batch_size:"),
        ({"gamma": 1.5}, "gamma:"),
        ({"learning_starts": -1}, "learning_starts:"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        TD3(**settings)


def test_what_has_no_targets_has_no_setting_of_them():
    having = {cls for cls in (DQN, TD3, SAC, DiscreteSAC, CrossQ) if "tau" in settings_of(cls)}
    assert having == {DQN, TD3, SAC, DiscreteSAC}
    with pytest.raises(TypeError, match="tau"):
        make: Any = CrossQ
        make(tau=0.3)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"learning_starts": 33}, "no update is made in 32 steps: learning_starts = 33"),
        ({"n_step": 17}, "no update is made in 32 steps: n_step = 17"),
        ({"learning_starts": 32}, ""),
        ({"learning_starts": 1000, "buffer_size": 16}, ""),  # a full buffer is enough
    ],
)
def test_a_training_without_an_update_is_known_before(settings, said):
    algorithm = Counting(**SMALL | settings)
    assert algorithm.idle(32) == algorithm.idle(17) == said
    last = trace(algorithm, Target(), STILL, 2)[0][-1]
    assert bool(last.learner.num_updates) != bool(said)


@pytest.mark.parametrize("name", ALL)
def test_a_policy_of_another_class_is_refused_with_the_fitting_one(name, caplog):
    """Before anything is compiled."""
    kind, make, env, _ = ALL[name]
    other = MLPActorCriticPolicy(env, hidden_sizes=(4,), key=KEY)
    with jax.log_compiles(), pytest.raises(TypeError) as error:
        kind(**SMALL).learn(env, other, 64, key=KEY)
    assert str(error.value) == f"{name}: needs an {make.__name__} (got MLPActorCriticPolicy)"
    assert "jit(_init)" not in "".join(record.message for record in caplog.records)
    elsewhere = Pendulum() if env.name != Pendulum().name else CartPole()
    with pytest.raises(TypeError, match=rf"^{make.__name__}: unsupported action space \(got .*allowed: \w+"):
        make(elsewhere, key=KEY)


@pytest.mark.parametrize("name", ["DQN", "SAC"])
def test_a_buffer_that_does_not_fit_into_memory_is_refused_before_it_is_made(name, monkeypatch):
    """With its size, of which there are three copies: the first state's, the changed one's, and a save's."""
    kind, make, env, _ = ALL[name]
    policy = policy_of(make, env)
    numbers = {"DQN": 4 * (4 + 1 + 1 + 4) + 2, "SAC": 4 * (3 + 1 + 1 + 3) + 2}[name]  # bytes of a step
    monkeypatch.setattr("lerax.algorithm.footprint.available", lambda mesh: 2**30)
    size = f"{3 * 2**29 * numbers / 2**30:.1f} GiB"
    said = rf"needs about {size} \(replay buffer {size}\), 1.0 GiB are available; "
    said += "lower buffer_size, batch_size, num_envs,"
    with pytest.raises(MemoryError, match=said):
        kind(buffer_size=2**29).learn(env, policy, 1024, key=KEY)
