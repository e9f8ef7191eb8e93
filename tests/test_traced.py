"""Training inside a caller's own jit and vmap."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Int
from toys import Idle, arrays, untimed

from lerax.callback import AbstractCallback, LoggingCallback, MemoryBackend

STEPS = 5 * 64
KEYS = jr.split(jr.key(7), 3)


def logged(learn):
    """What a function of a logger returns, as NumPy arrays, and what it logged."""
    memory = MemoryBackend()
    with LoggingCallback(memory) as logger:
        policy = jax.block_until_ready(learn(logger))
    return arrays(policy), memory


@pytest.fixture(scope="module")
def learn(algorithm, env, policy):
    return lambda key, logger: algorithm.learn(env, policy, STEPS, key=key, callback=logger)


@pytest.fixture(scope="module")
def outside(learn):
    return [logged(lambda logger, key=key: learn(key, logger)) for key in KEYS]


def assert_close(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def assert_same_records(one, other):
    assert [step for step, _ in one.records] == [step for step, _ in other.records]
    for (_, a), (_, b) in zip(untimed(one.records), untimed(other.records), strict=True):
        assert a == pytest.approx(b, rel=1e-3, abs=1e-5)


def test_learning_inside_jit_equals_learning_outside(learn, outside):
    """Parameters, records, run name and hyperparameters."""
    parameters, memory = logged(lambda logger: jax.jit(lambda key: learn(key, logger))(KEYS[0]))
    assert_close(parameters, outside[0][0])
    assert len(memory.records) == 5
    assert_same_records(memory, outside[0][1])
    assert memory.hparams == outside[0][1].hparams
    assert memory.name.startswith("PPO_MLPActorCriticPolicy_CartPole-v1_")


class StopAt(AbstractCallback):
    at: Int[Array, ""]

    def continue_training(self, ctx, *, key):
        return ctx.iteration_count < self.at


def test_learning_inside_vmap_equals_learning_each_key_alone_until_it_stops(algorithm, env, policy, outside):
    """Parameters, and the records that a logger gets of each lane."""
    stops = [2, 5, 3]

    def learn(key, at, logger):
        callbacks = [logger, StopAt(at)]
        return algorithm.learn(env, policy, STEPS, key=key, callback=callbacks)

    together = jax.jit(jax.vmap(learn, in_axes=(0, 0, None)))
    parameters, memory = logged(lambda logger: together(KEYS, jnp.array(stops), logger))
    assert_close([array[1] for array in parameters], outside[1][0])
    alone = [m.records[:stop] for (_, m), stop in zip(outside, stops, strict=True)]
    steps = [step for step, _ in alone[1]]
    assert [step for step, _ in memory.records] == steps, "one record an iteration, in order"
    for i, (_, found) in enumerate(memory.records):
        lanes = {f"seed_{n}": records[i][1] for n, records in enumerate(alone) if i < len(records)}
        assert {tag.partition("/")[0] for tag in found if tag.startswith("seed_")} == set(lanes)
        for tag in ("train/loss", "episode/return", "episode/length"):
            values = [one[tag] for one in lanes.values() if tag in one]
            shown = {lane: found[f"{lane}/{tag}"] for lane in lanes if f"{lane}/{tag}" in found}
            expected = {lane: one[tag] for lane, one in lanes.items() if tag in one}
            assert shown == pytest.approx(expected, rel=1e-3)
            assert found.get(tag) == (pytest.approx(np.mean(values), rel=1e-3) if values else None)
            if values:
                assert found[f"{tag}_std"] == pytest.approx(np.std(values), rel=1e-2, abs=1e-4)
    assert "episode/return" in memory.records[-1][1], "there was something to compare"


def test_learning_of_closed_over_arguments_inside_jit(env, policy):
    """Nothing that training is given is traced, and still it is a part of the caller's program."""
    memory = MemoryBackend()
    with LoggingCallback(memory) as logger:
        learn = lambda: Idle().learn(env, policy, 30, key=KEYS[0], callback=logger)
        assert "while" in jax.jit(learn).lower().as_text()
        jax.block_until_ready(jax.jit(learn)())
    assert [step for step, _ in memory.records] == [10, 20, 30]


def test_too_few_steps_are_refused_inside_jit_too(algorithm, env, policy):
    with pytest.raises(ValueError, match="at least 64"):
        jax.jit(lambda key: algorithm.learn(env, policy, 63, key=key))(KEYS[0])


def test_a_logger_cannot_be_built_inside_jit():
    with pytest.raises(RuntimeError, match="outside"):
        jax.jit(lambda x: LoggingCallback(MemoryBackend()) and x)(jnp.array(1.0))


def test_a_key_of_the_old_style_gives_the_same_training(algorithm, env, policy, learn, outside):
    memory = MemoryBackend()
    with LoggingCallback(memory) as logger:
        found = learn(jr.key_data(KEYS[0]), logger)
    assert_close(arrays(found), outside[0][0])
