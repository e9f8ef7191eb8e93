"""The replay buffer against lists of what has happened."""

import equinox as eqx
import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr

from lerax.algorithm.off_policy.buffer import ReplayBuffer, Row
from lerax.collect import Steps

ENVS = 3


def steps_of(first, count, done=(), terminal=()):
    """Steps `first`, `first + 1`, ... of each environment; all that they hold says which step it is of."""
    time = np.arange(first, first + count)
    number = (time[:, None] * 10 + np.arange(ENVS)).astype(np.float32)
    flag = lambda which: jnp.asarray(np.isin(time, which)[:, None] & np.ones(ENVS, bool))
    return Steps(
        observation=jnp.asarray(number[..., None] * [1, -1], jnp.float32),
        action=jnp.asarray(number, jnp.int32),
        action_mask=None,
        reward=jnp.asarray(number),
        terminal=flag(terminal),
        truncated=flag(done),
        next_observation=jnp.asarray(number[..., None] + 0.5 + np.zeros(2), jnp.float32),
        next_action_mask=None,
        policy_state=None,
        next_policy_state=None,
        extra=None,
    )


def buffer_of(capacity):
    one = jax.tree.map(lambda x: x[0, 0], steps_of(0, 1))
    row = Row(**{name: getattr(one, name) for name in Row.__dataclass_fields__})
    return ReplayBuffer.empty(row, capacity, ENVS)


added = eqx.filter_jit(lambda buffer, steps: buffer.added(steps))


@pytest.mark.parametrize("count", [1, 2, 4])
def test_it_holds_the_last_steps_whole_however_often_the_ring_goes_round(count):
    buffer = buffer_of(8)
    for first in range(0, 28, count):
        buffer = added(buffer, steps_of(first, count))
        drawn = buffer.sample(600, n_step=1, gamma=0.9, key=jr.key(first))
        number = np.asarray(drawn.action)
        last = first + count
        expected = {10 * t + env for t in range(max(0, last - 8), last) for env in range(ENVS)}
        assert set(number.tolist()) == expected  # none is lost, none is stale
        np.testing.assert_array_equal(drawn.observation, number[:, None] * [1, -1])  # none is torn
        np.testing.assert_array_equal(drawn.reward, number)
        np.testing.assert_array_equal(drawn.next_observation, np.stack([number + 0.5] * 2, 1))


def test_each_step_is_drawn_as_often_as_any_other():
    buffer = buffer_of(8)
    for first in range(0, 12, 2):
        buffer = added(buffer, steps_of(first, 2))
    drawn = buffer.sample(48_000, n_step=1, gamma=0.9, key=jr.key(0)).action
    counts = np.unique(np.asarray(drawn), return_counts=True)[1]
    assert counts.size == 24
    expected = 48_000 / 24
    assert ((counts - expected) ** 2 / expected).sum() < 49.7  # chi-squared, 23 degrees of freedom, 0.1 %


@pytest.mark.parametrize("n_step", [2, 3, 5])
def test_rewards_are_summed_until_the_episode_ends_as_by_a_loop(n_step):
    buffer, gamma, ends, terminals = buffer_of(10), 0.9, [3, 6, 11], [8, 14]
    for first in range(0, 16, 2):
        buffer = added(buffer, steps_of(first, 2, ends, terminals))
    drawn = buffer.sample(500, n_step=n_step, gamma=gamma, key=jr.key(1))
    starts = set()
    for i, number in enumerate(np.asarray(drawn.action).tolist()):
        time, env = divmod(number, 10)
        starts.add(time)
        reward, discount = 0.0, 1.0
        for t in range(time, time + n_step):
            reward += discount * (10 * t + env)
            discount *= gamma
            if t in ends or t in terminals:
                break
        np.testing.assert_allclose(drawn.reward[i], reward, rtol=1e-5)
        np.testing.assert_allclose(drawn.discount[i], 0 if t in terminals else discount, rtol=1e-5)
        np.testing.assert_array_equal(drawn.next_observation[i], 10 * t + env + 0.5)
        np.testing.assert_array_equal(drawn.observation[i], [number, -number])
    assert starts == set(range(6, 16 - (n_step - 1)))  # a start has all of its later steps


def test_what_is_kept_keeps_its_dtype():
    one = Row(
        observation=jnp.zeros((4, 4, 3), jnp.uint8),
        action=jnp.array(0, jnp.int32),
        action_mask=None,
        reward=jnp.array(0, jnp.float32),
        terminal=jnp.array(False),
        truncated=jnp.array(False),
        next_observation=jnp.zeros((4, 4, 3), jnp.uint8),
        next_action_mask=None,
    )
    buffer = ReplayBuffer.empty(one, 4, ENVS)
    assert {name: rows.dtype.name for name, rows in buffer.rows.items()} == {
        name: name for name in ("uint8", "int32", "float32", "bool")
    }
    assert buffer.rows["uint8"].nbytes == 4 * ENVS * 2 * 48
    drawn = buffer.sample(2, n_step=1, gamma=0.9, key=jr.key(0)) if buffer.size else None
    assert drawn is None  # nothing was stored


def test_equal_buffers_have_equal_forms():
    one, other = buffer_of(8), buffer_of(8)
    assert jax.tree.structure(one) == jax.tree.structure(other)
    assert hash(one.packing) == hash(other.packing)
    assert one.packing != buffer_of(8).packing.__class__({"a": jnp.zeros(3)})
