"""Random numbers: no PRNG key is used for two things, and none is derived from one that was used."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr
from toys import Target

from lerax.algorithm import PPO
from lerax.callback import AbstractCallback
from lerax.env import AbstractEnv
from lerax.evaluate import evaluate
from lerax.policy import AbstractActorCriticPolicy, MLPActorCriticPolicy

SEEN = []


def note(where, key):
    jax.debug.callback(lambda words: SEEN.append((where, *np.asarray(words).tolist())), jr.key_data(key))


class WatchedEnv(AbstractEnv):
    inner: Target = Target()

    name = "Watched"
    action_space = Target.action_space
    observation_space = Target.observation_space

    def initial(self, *, key):
        note("initial", key)
        return self.inner.initial(key=key)

    def transition(self, state, action, *, key):
        note("transition", key)
        return self.inner.transition(state, action, key=key)

    def observation(self, state, *, key):
        note("observation", key)
        return self.inner.observation(state, key=key)

    def reward(self, state, action, next_state, *, key):
        note("reward", key)
        return self.inner.reward(state, action, next_state, key=key)

    def terminal(self, state, *, key):
        note("terminal", key)
        return self.inner.terminal(state, key=key)

    def truncate(self, state):
        return self.inner.truncate(state)

    def action_mask(self, state, *, key):
        note("action_mask", key)


class WatchedPolicy(AbstractActorCriticPolicy):
    inner: MLPActorCriticPolicy

    name = "Watched"
    action_space = Target.action_space
    observation_space = Target.observation_space

    def __call__(self, state, observation, *, key=None, action_mask=None):
        note("policy", key)
        return self.inner(state, observation, key=key)

    def reset(self, *, key):
        note("policy reset", key)

    def noise(self, *, key):
        note("noise", key)
        return self.inner.noise(key=key)

    def action_and_value(self, state, observation, *, noise, action_mask=None):
        return self.inner.action_and_value(state, observation, noise=noise)

    def evaluate_action(self, state, observation, action, *, action_mask=None):
        return self.inner.evaluate_action(state, observation, action)

    def value(self, state, observation):
        return self.inner.value(state, observation)


def watched_hook(name):
    def hook(self, ctx, *, key):
        note(name, key)
        return getattr(AbstractCallback, name)(self, ctx, key=key)

    return hook


HOOKS = "reset step_reset on_step on_iteration on_training_start on_training_end continue_training".split()
WatchedCallback = type("WatchedCallback", (AbstractCallback,), {name: watched_hook(name) for name in HOOKS})


@pytest.fixture
def seen():
    """What was noted, when the test has computed everything."""
    SEEN.clear()
    yield lambda: jax.effects_barrier() or list(SEEN)


def assert_fresh(seen):
    """All keys differ, and none is a child or grandchild of another."""
    where = {}
    for place, *words in seen:
        assert tuple(words) not in where, f"used twice: {where[tuple(words)]}, {place}"
        where[tuple(words)] = place
    keys = jr.wrap_key_data(jnp.array(list(where), jnp.uint32))
    derive = jax.jit(jax.vmap(lambda key: jax.vmap(lambda i: jr.fold_in(key, i))(jnp.arange(12))))
    children = derive(keys)
    for generation in (children, derive(children.ravel())):
        words = {tuple(w) for w in np.asarray(jr.key_data(generation)).reshape(-1, 2).tolist()}
        assert not words & where.keys(), {where[w] for w in words & where.keys()}


@pytest.fixture(scope="module")
def watched_policy():
    return WatchedPolicy(MLPActorCriticPolicy(Target(), hidden_sizes=(8,), key=jr.key(0)))


def test_training_uses_every_key_once(seen, watched_policy):
    algorithm = PPO(num_envs=2, num_steps=10, num_epochs=1, num_batches=1)
    callbacks = [WatchedCallback(), WatchedCallback()]
    algorithm.learn(WatchedEnv(), watched_policy, 3 * 20, key=jr.key(1), callback=callbacks)
    places = {place for place, *_ in seen()}
    assert {"initial", "transition", "observation", "action_mask", "noise", "policy reset", *HOOKS} <= places
    assert_fresh(seen())


def test_evaluation_uses_every_key_once(seen, watched_policy):
    evaluate(WatchedEnv(), watched_policy, key=jr.key(2), num_episodes=4, deterministic=False)
    places = {place for place, *_ in seen()}
    assert {"initial", "transition", "observation", "policy", "policy reset"} <= places
    assert_fresh(seen())
