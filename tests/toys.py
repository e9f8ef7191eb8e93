"""Small environments, policies and algorithms, and comparisons that many tests make."""

import collections

import equinox as eqx
import jax
import numpy as np
import optax
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Float, Int, PyTree

from lerax import tree
from lerax.algorithm import AbstractAlgorithm, AbstractLearner, Maybe
from lerax.collect import collect
from lerax.env import AbstractEnv, AbstractEnvState
from lerax.network import MLP
from lerax.policy import AbstractActorCriticPolicy, AbstractPolicy, MLPActorCriticPolicy
from lerax.render import headless_renderer
from lerax.settings import setting
from lerax.space import AbstractSpace, Box, Dict, Discrete, MultiBinary, Tuple

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


class EchoState(AbstractEnvState):
    target: PyTree
    steps: Int[Array, ""]


class Echo(AbstractEnv):
    """Do what you see, of a space of choices: a number that is another one costs 1.

    Where it is `strict` others are not allowed. Beside it the steps are seen, which are counted from 1; after
    four of them the episode ends.
    """

    action_space: AbstractSpace = eqx.field(static=True)
    observation_space: AbstractSpace = eqx.field(static=True)
    strict: bool = eqx.field(static=True)

    name = "Echo"

    def __init__(self, space, strict=False):
        self.action_space, self.strict = space, strict
        self.observation_space = Dict({"target": space, "steps": Tuple((Discrete(5, start=1),))})

    def initial(self, *, key):
        return EchoState(self.action_space.sample(key=key), jnp.array(0, jnp.int32))

    def transition(self, state, action, *, key):
        return EchoState(self.action_space.sample(key=key), state.steps + 1)

    def observation(self, state, *, key):
        return {"target": state.target, "steps": (state.steps + 1,)}

    def reward(self, state, action, next_state, *, key):
        return -jnp.sum(action != state.target).astype(jnp.float32)

    def terminal(self, state, *, key):
        return state.steps >= 4

    def action_mask(self, state, *, key):
        if not self.strict:
            return None
        mask = self.action_space.flatten(state.target) > 0
        return mask.reshape(self.action_space.shape) if isinstance(self.action_space, MultiBinary) else mask


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


class Steered(AbstractPolicy):
    """Does what a perceptron says, in a box from -1 to 1; with a key a little beside it."""

    net: MLP
    action_space: Box = eqx.field(static=True)
    observation_space: Box = eqx.field(static=True)

    name = "Steered"

    def __init__(self, env, *, key):
        self.action_space, self.observation_space = env.action_space, env.observation_space
        sizes = (env.observation_space.flat_size, 16, env.action_space.flat_size)
        self.net = MLP(sizes, activation="tanh", key=key)

    def __call__(self, state, observation, *, key=None, action_mask=None):
        action = jnp.tanh(self.net(observation))
        return state, action if key is None else action + 0.2 * jr.normal(key, action.shape, jnp.float32)


class Replayed(AbstractLearner):
    policy: Steered
    critic: MLP
    target: MLP
    opt_state: tuple
    ring: dict
    stored: Int[Array, ""]


class Replays(AbstractAlgorithm[Replayed]):
    """Deterministic policy gradients (Lillicrap et al., 2016) from a ring of what has happened."""

    num_envs: int = setting(4, "Environments.", at_least=1)
    num_steps: int = setting(2, "Steps of each in an iteration.", at_least=1)
    num_rows: int = setting(2048, "Steps in the ring.", at_least=1)
    warm_up: int = setting(64, "Steps before the first update.", at_least=0)
    learning_rate: float = setting(1e-2, "Step size of both optimizers.", above=0)
    polyak: float = setting(0.05, "How fast the target follows the critic.", above=0, at_most=1)

    @property
    def steps_per_iteration(self):
        return self.num_envs * self.num_steps

    def init_learner(self, env, policy, *, key):
        sizes = env.observation_space.flat_size, env.action_space.flat_size
        critic = MLP((sum(sizes), 32, 1), activation="tanh", key=key)
        zeros = lambda *shape: jnp.zeros((self.num_rows, *shape), jnp.float32)
        ring = {"seen": zeros(sizes[0]), "did": zeros(sizes[1]), "next": zeros(sizes[0])}
        ring |= {"reward": zeros(), "goes_on": zeros()}
        opt_state = tuple(self.optimizer().init(eqx.filter(m, eqx.is_array)) for m in (policy, critic))
        return Replayed(policy, critic, critic, opt_state, ring, jnp.array(0, jnp.int32))

    def optimizer(self):
        return optax.adam(self.learning_rate)

    def iteration(self, state, *, key):
        learner, (collect_key, sample_key) = state.learner, jr.split(key)
        policy = learner.policy
        act = lambda memory, seen, mask, noise: (*policy(memory, seen, key=noise), None)
        options = {"noise": lambda key: key, "key": collect_key, "num_steps": self.num_steps}
        standing, steps = collect(state.env, policy, act, state.standing, **options)
        new = {
            "seen": steps.observation,
            "did": jnp.clip(steps.action, -1, 1),
            "next": steps.next_observation,
        }
        new |= {"reward": steps.reward, "goes_on": 1.0 - steps.terminal}
        rows = (learner.stored + jnp.arange(self.steps_per_iteration, dtype=jnp.int32)) % self.num_rows
        ring = {
            name: learner.ring[name].at[rows].set(x.reshape(len(rows), *x.shape[2:]))
            for name, x in new.items()
        }
        stored = learner.stored + self.steps_per_iteration
        learner = eqx.tree_at(lambda one: (one.ring, one.stored), learner, (ring, stored))
        updated, losses = self.updated(learner, sample_key)
        warm = stored > self.warm_up
        log = {name: Maybe(loss, warm) for name, loss in losses.items()}
        log["learning_rate"] = jnp.asarray(self.learning_rate, jnp.float32)
        return state.after(standing, tree.where(warm, updated, learner)), steps, log

    def updated(self, learner, key):
        rows = jr.randint(key, (64,), 0, jnp.minimum(learner.stored, self.num_rows))
        batch = {name: column[rows] for name, column in learner.ring.items()}
        does = jax.vmap(lambda policy, seen: policy(None, seen)[1], (None, 0))
        value = jax.vmap(lambda critic, *pair: critic(jnp.concatenate(pair))[0], (None, 0, 0))

        def critic_loss(critic):
            follows = value(learner.target, batch["next"], does(learner.policy, batch["next"]))
            wanted = batch["reward"] + 0.5 * batch["goes_on"] * follows
            return jnp.mean((value(critic, batch["seen"], batch["did"]) - wanted) ** 2)

        def policy_loss(policy):
            return -jnp.mean(value(learner.critic, batch["seen"], does(policy, batch["seen"])))

        losses, modules, states = [], [], []
        pairs = ((policy_loss, learner.policy), (critic_loss, learner.critic))
        for (loss, module), opt_state in zip(pairs, learner.opt_state, strict=True):
            found, slope = eqx.filter_value_and_grad(loss)(module)
            change, opt_state = self.optimizer().update(slope, opt_state)
            losses.append(found)
            modules.append(eqx.apply_updates(module, change))
            states.append(opt_state)
        follow = lambda old, new: old + self.polyak * (new - old) if eqx.is_array(old) else old
        target = jax.tree.map(follow, learner.target, modules[1])
        new = Replayed(*modules, target, tuple(states), learner.ring, learner.stored)
        return new, {"policy_loss": losses[0], "loss": losses[1]}


class Late(Target):
    """Say the number that you saw one step ago: the reward is minus the squared error, 0 at first."""

    name = "Late"

    def reward(self, state, action, next_state, *, key):
        return -((action[0] - state.received[0]) ** 2) * (state.steps > 0)

    def transition(self, state, action, *, key):
        return TargetState(jr.uniform(key, (), minval=-1), state.target[None], state.steps + 1)

    def observation(self, state, *, key):
        return jnp.stack([state.target + self.shift, jnp.zeros_like(state.target)])


class SeenTwice(Late):
    """What `Remembers` decides by."""

    observation_space = Box(-1.0, 1.0, shape=(4,))


class Remembers(AbstractActorCriticPolicy):
    """Its memory is what it saw one step ago."""

    inner: MLPActorCriticPolicy
    action_space: Box = eqx.field(static=True)
    observation_space: Box = eqx.field(static=True)

    name = "Remembers"

    def __init__(self, env, *, key):
        self.action_space, self.observation_space = env.action_space, env.observation_space
        self.inner = MLPActorCriticPolicy(SeenTwice(), hidden_sizes=(16,), key=key)

    def reset(self, *, key):
        return jnp.zeros(2, jnp.float32)

    def noise(self, *, key):
        return self.inner.noise(key=key)

    def __call__(self, state, observation, *, key=None, action_mask=None):
        return observation, self.inner(None, jnp.concatenate([state, observation]), key=key)[1]

    def action_and_value(self, state, observation, *, noise, action_mask=None):
        both = jnp.concatenate([state, observation])
        return observation, *self.inner.action_and_value(None, both, noise=noise)[1:]

    def evaluate_action(self, state, observation, action, *, action_mask=None):
        both = jnp.concatenate([state, observation])
        return observation, *self.inner.evaluate_action(None, both, action)[1:]

    def value(self, state, observation):
        return observation, self.inner.value(None, jnp.concatenate([state, observation]))[1]


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
        return algorithm._judged(learner.policy, learner.reward_scale, steps, standing)[1]

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


def log_groups(backend, *groups):
    """Opens a backend, logs groups of `(step, scalars)`, each followed by a flush, and closes it."""
    backend.open("run")
    for group in groups:
        for step, scalars in group:
            backend.log_scalars(scalars, step)
        backend.flush()
    backend.close()
