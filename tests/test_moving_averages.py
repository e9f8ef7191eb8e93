"""The moving averages of episodes, held against NumPy on the raw steps."""

import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Int

from lerax.algorithm import PPO
from lerax.callback import AbstractCallback, LoggingCallback, MemoryBackend, emit, outbox
from lerax.env.classic_control import CartPole
from lerax.policy import MLPActorCriticPolicy

ALPHAS = (0.1, 0.5, 0.9, 1.0)
TIME, ENVS, ITERATIONS = 8, 5, 30


class Positions(CartPole):
    """Every step has a reward of its own, the first of an episode, too."""

    def reward(self, state, action, next_state, *, key=None):
        return 1.0 + next_state.y[0]


class RawSteps(AbstractCallback):
    """Sends the rewards and ends of an iteration's steps to a receiver, as `[env, time]`."""

    channel: Int[Array, ""]

    def step_reset(self, ctx, *, key):
        return {"reward": jnp.zeros(TIME), "done": jnp.zeros(TIME, bool), "at": jnp.array(0)}

    def on_step(self, ctx, *, key):
        row = ctx.state["at"] % TIME
        return {
            "reward": ctx.state["reward"].at[row].set(ctx.reward),
            "done": ctx.state["done"].at[row].set(ctx.done),
            "at": ctx.state["at"] + 1,
        }

    def on_iteration(self, ctx, *, key):
        emit(self.channel, {name: ctx.step_state[name] for name in ("reward", "done")})
        return ctx.state


class Steps:
    def __init__(self):
        self.rewards, self.dones = [], []

    def receive(self, record, times, running):
        self.rewards += list(record["reward"])
        self.dones += list(record["done"])


def averages(steps, alpha):
    """For each iteration the mean of (return, length) over those with a finished episode, None for none."""
    result, running, average = [], {}, {}
    for rewards, dones in zip(steps.rewards, steps.dones, strict=True):
        for env, t in np.ndindex(rewards.shape):
            total, length = running.get(env, (0.0, 0))
            running[env] = total, length = total + float(rewards[env, t]), length + 1
            if dones[env, t]:
                newest = np.array([total, length])
                average[env] = newest if env not in average else (1 - alpha) * average[env] + alpha * newest
                del running[env]
        result.append(np.mean(list(average.values()), axis=0) if average else None)
    return result


@pytest.fixture(scope="module")
def trained():
    """The raw steps and what a logger of each alpha wrote of the same training."""
    env = Positions()
    policy = MLPActorCriticPolicy(env, hidden_sizes=(8,), key=jr.key(0))
    algorithm = PPO(num_envs=ENVS, num_steps=TIME, num_epochs=1, num_batches=1)
    steps, memories = Steps(), {alpha: MemoryBackend() for alpha in ALPHAS}
    channel = outbox.register(steps)
    loggers = [LoggingCallback(memory, alpha=alpha) for alpha, memory in memories.items()]
    callbacks = [RawSteps(jnp.array(channel, jnp.int32)), *loggers]
    algorithm.learn(env, policy, ITERATIONS * TIME * ENVS, key=jr.key(1), callback=callbacks)
    for logger in loggers:
        logger.close()
    outbox.unregister(channel)
    return steps, {alpha: memory.records for alpha, memory in memories.items()}


@pytest.mark.parametrize("alpha", ALPHAS)
def test_logged_averages_equal_numpys(trained, alpha):
    steps, records = trained
    expected = averages(steps, alpha)
    assert expected[0] is None and expected[-1] is not None
    for (_, scalars), pair in zip(records[alpha], expected, strict=True):
        if pair is None:
            assert not {"episode/return", "episode/length"} & scalars.keys()
        else:
            found = scalars["episode/return"], scalars["episode/length"]
            np.testing.assert_allclose(found, pair, rtol=1e-5)


def test_alphas_differ(trained):
    lengths = {alpha: records[-1][1]["episode/length"] for alpha, records in trained[1].items()}
    assert len(set(lengths.values())) == len(ALPHAS)
