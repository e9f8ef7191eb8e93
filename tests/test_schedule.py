"""Schedules against their closed forms, and the learning rates that trainings log by them."""

import jax
import numpy as np
import optax
import pytest
from jax import numpy as jnp
from jax import random as jr

from lerax.algorithm import PPO
from lerax.algorithm.optimizer import adam, descend, with_rate
from lerax.callback import LoggingCallback, MemoryBackend
from lerax.schedule import SCHEDULES, scheduled

LEFT = {
    "constant": lambda done: np.ones_like(done),
    "linear": lambda done: 1 - done,
    "cosine": lambda done: (1 + np.cos(np.pi * done)) / 2,
}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("end", [0.0, 0.3])
def test_schedules_have_their_closed_forms(schedule, end):
    """Also mapped over several progresses and beginnings at once; beyond the end they stay there."""
    done, begin = np.linspace(0, 1, 11), np.linspace(0.5, 2, 11)
    mapped = jax.vmap(lambda begin, done: scheduled(schedule, begin, done, end=end))
    found = mapped(jnp.asarray(begin, jnp.float32), jnp.asarray(done, jnp.float32))
    np.testing.assert_allclose(found, end + (begin - end) * LEFT[schedule](done), atol=1e-6)
    beyond = scheduled(schedule, 2.0, jnp.float32(1.5), end=end)
    assert float(beyond) == float(scheduled(schedule, 2.0, jnp.float32(1.0), end=end))


@pytest.mark.parametrize("pieces", [(4,), (1, 3, 4)])
def test_a_training_in_pieces_logs_the_rates_of_a_whole_one(env, policy, pieces):
    options = {"num_epochs": 1, "num_batches": 1, "learning_rate": 0.01}
    algorithm = PPO(num_envs=2, num_steps=8, learning_rate_schedule="cosine", **options)
    memory = MemoryBackend()
    state = algorithm.init(env, policy, key=jr.key(0), total_timesteps=4 * 16)
    with LoggingCallback(memory, name="run") as logger:
        for iterations in pieces:
            state = algorithm.run(state, iterations * 16, callback=logger)
    rates = [scalars["train/learning_rate"] for _, scalars in memory.records]
    np.testing.assert_allclose(rates, 0.01 * LEFT["cosine"](np.arange(4) / 4), rtol=1e-5)


def test_a_rate_that_is_set_is_the_one_of_the_next_step_of_each_optimizer():
    """And nothing else of what several optimizers hold changes."""
    vector, gradient = jnp.array([1.0, -2.0]), jnp.array([0.3, -0.1])
    optimizer = adam(0.5, b1=0.8, eps=1e-3)
    states = {"actor": optimizer.init(vector), "critic": [optimizer.init(vector)]}
    states = with_rate(states, 0.125)
    reference = optax.adam(0.125, b1=0.8, eps=1e-3)
    for state in (states["actor"], states["critic"][0]):
        moved, state, norm = descend(optimizer, vector, gradient, state)
        change, _ = reference.update(gradient, reference.init(vector), vector)
        np.testing.assert_allclose(moved, vector + change, rtol=1e-6)
        assert float(norm) == pytest.approx(np.hypot(0.3, 0.1)) and float(state.count) == 1
