"""Small environments, an algorithm that does nothing, and comparisons that many tests make."""

import collections

import equinox as eqx
import jax
import numpy as np
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Float, Int

from lerax.algorithm import AbstractAlgorithm, AbstractLearner
from lerax.env import AbstractEnv, AbstractEnvState
from lerax.policy import AbstractPolicy
from lerax.render import headless_renderer
from lerax.settings import setting
from lerax.space import Box, Discrete

TRACES = collections.Counter()
"""How often Python ran a method of `Target`, which is how often it was traced."""


class TargetState(AbstractEnvState):
    target: Float[Array, ""]
    received: Float[Array, "1"]
    steps: Int[Array, ""]


class Target(AbstractEnv):
    """Say the number that you see: the reward is minus the squared error.

    An observation is that number, plus `shift`, and the action that the environment received last. An episode
    is truncated after `length` steps; from step `nan_from` of it on, the reward is NaN.
    """

    shift: Float[Array, ""] = eqx.field(default_factory=lambda: jnp.zeros(()))
    length: int = eqx.field(default=8, static=True)
    nan_from: int | None = eqx.field(default=None, static=True)

    name = "Target"
    action_space = Box(-1.0, 1.0, shape=(1,))
    observation_space = Box(-1.0, 1.0, shape=(2,))

    def initial(self, *, key):
        return TargetState(jr.uniform(key, (), minval=-1), jnp.zeros(1), jnp.array(0, jnp.int32))

    def transition(self, state, action, *, key):
        TRACES["transition"] += 1
        return TargetState(jr.uniform(key, (), minval=-1), action, state.steps + 1)

    def observation(self, state, *, key):
        return jnp.stack([state.target + self.shift, state.received[0]])

    def reward(self, state, action, next_state, *, key):
        reward = -((action[0] - state.target) ** 2)
        if self.nan_from is None:
            return reward
        return jnp.where(next_state.steps >= self.nan_from, jnp.nan, reward)

    def terminal(self, state, *, key):
        return jnp.array(False)

    def truncate(self, state):
        return state.steps >= self.length


class Masked(AbstractEnv):
    """Of four actions two are allowed in turn; one that is not costs 1."""

    name = "Masked"
    action_space = Discrete(4)
    observation_space = Box(0.0, 1.0, shape=(1,))

    def initial(self, *, key):
        return TargetState(jr.uniform(key), jnp.zeros(1), jnp.array(0, jnp.int32))

    def transition(self, state, action, *, key):
        return TargetState(jr.uniform(key), jnp.zeros(1), state.steps + 1)

    def observation(self, state, *, key):
        return state.target[None]

    def reward(self, state, action, next_state, *, key):
        return -1.0 + self.action_mask(state, key=key)[action]

    def terminal(self, state, *, key):
        return state.steps >= 7

    def action_mask(self, state, *, key):
        return (jnp.arange(4) + state.steps) % 2 == 0


class IdleLearner(AbstractLearner):
    policy: AbstractPolicy
    opt_state: None


class Idle(AbstractAlgorithm[IdleLearner]):
    """Learns nothing, quickly: for tests of the loop and of what stands beside it."""

    num_envs: int = setting(2, "Environments.", at_least=1)
    nan_from: int = setting(1000, "First iteration whose log is NaN.")

    @property
    def steps_per_iteration(self):
        return 10

    def init_learner(self, env, policy, *, key):
        return IdleLearner(policy, None)

    def iteration(self, state, *, key):
        n = state.iteration_count + 1
        loss = jnp.where(n < self.nan_from, jnp.sqrt(1.0 * n), jnp.nan)
        return state, None, {"loss": loss, "half": loss / 2}


@eqx.filter_jit
def play(env, controller, length, keys, start=None):
    """States, actions and outcomes `[episode, step]` of stepping on, whether an episode ended or not.

    A controller takes the environment, the state's `y` and a key; `start` draws the first `y` from a key.
    """

    def step(carry, _):
        state, key = carry
        key, action_key = jr.split(key)
        action = controller(env, state.y, action_key)
        after = env.transition(state, action, key=key)
        shown, reward = env.observation(after, key=key), env.reward(state, action, after, key=key)
        ends = env.terminal(after, key=key), env.truncate(after)
        return (after, key), (state.y, action, after.y, shown, reward, *ends)

    def episode(key):
        state = env.initial(key=key)
        if start is not None:
            state = eqx.tree_at(lambda s: s.y, state, start(key))
        return jax.lax.scan(step, (state, key), length=length)[1]

    return jax.vmap(episode)(keys)


def frame(env, state, *size):
    """The picture of a state, as signed numbers."""
    with headless_renderer(env, *size) as renderer:
        env.render(state, renderer)
        return renderer.as_array().astype(int)


def where(picture, color):
    """Mean column and row of the pixels near a colour."""
    rows, columns = np.nonzero(np.abs(picture - np.array(color)).max(-1) < 12)
    return columns.mean(), rows.mean()


def rollout_of(algorithm, env, policy, *, key):
    """The first rollout, with a leading time axis, as the update gets it."""

    @eqx.filter_jit
    def collect(state):
        learner = state.learner
        standing, steps = algorithm._collect(state.env, learner.policy, state.standing, key)
        return algorithm._judged(learner, steps, standing)[1]

    rollout = collect(algorithm.init(env, policy, key=key))
    lead = (algorithm.num_steps, algorithm.num_envs)
    return jax.tree.map(lambda x: np.asarray(x).reshape(*lead, *x.shape[1:]), rollout)


def discounted_sums(rewards, values, next_values, terminals, dones, gamma, gae_lambda):
    """The definition: discounted sums of one-step errors up to the end of the episode or rollout."""
    advantages = np.zeros(rewards.shape)
    for env in range(rewards.shape[1]):
        for start in range(rewards.shape[0]):
            weight = 1.0
            for t in range(start, rewards.shape[0]):
                follows = 0.0 if terminals[t, env] else gamma * float(next_values[t, env])
                error = float(rewards[t, env]) + follows - float(values[t, env])
                advantages[start, env] += weight * error
                weight *= gamma * gae_lambda
                if dones[t, env]:
                    break
    return advantages


def arrays(module):
    """The arrays of a module as NumPy's; keys as their words."""

    def plain(leaf):
        return np.asarray(jr.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf)

    return [plain(leaf) for leaf in jax.tree.leaves(eqx.filter(module, eqx.is_array))]


def assert_bitwise_equal(one, other):
    for a, b in zip(arrays(one), arrays(other), strict=True):
        assert (a.shape, a.dtype, a.tobytes()) == (b.shape, b.dtype, b.tobytes())


def untimed(records):
    """The records of a MemoryBackend without what the clock decides."""
    return [
        (step, {tag: value for tag, value in scalars.items() if not tag.startswith("time/")})
        for step, scalars in records
    ]
