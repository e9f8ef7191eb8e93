"""A policy with a memory that gradients go through: against NumPy's sums over whole sequences."""

import jax
import numpy as np
import optax
import pytest
from jax import numpy as jnp
from jax import random as jr

from lerax.algorithm import A2C, PPO
from lerax.algorithm.on_policy.batch import remembered
from lerax.algorithm.optimizer import holding_rate
from lerax.env.classic_control import CartPole
from lerax.errors import SettingError
from lerax.evaluate import evaluate
from lerax.policy import GRUActorCriticPolicy, MLPActorCriticPolicy
from lerax.space import Box
from lerax.wrapper import AbstractWrapper

GAMMA, ENTROPY, VALUE = 0.9, 0.1, 0.5
NUM_ENVS, NUM_STEPS = 2, 16


class Still(AbstractWrapper):
    """CartPole as single pictures show it: without its velocities."""

    env: CartPole

    @property
    def observation_space(self):
        space = self.env.observation_space
        return Box(space.low[::2], space.high[::2])

    def observation(self, state, *, key):
        return self.env.observation(state, key=key)[::2]


class Descends(A2C):
    """Its updates are steps of size 1 down the gradient."""

    def make_optimizer(self):
        return holding_rate(optax.sgd, self.learning_rate)


def made(env):
    """A policy none of whose numbers is as it began: no head is small, no bias 0."""
    policy = GRUActorCriticPolicy(env, hidden_sizes=(5,), memory_size=3, key=jr.key(0))
    with pytest.raises(TypeError, match=r"^state: not its memory \(got None\).* begins with policy.reset"):
        policy(None, env.observation_space.sample(key=jr.key(0)))
    leaves, structure = jax.tree.flatten(policy)
    rng = np.random.default_rng(0)
    return jax.tree.unflatten(
        structure, [x + jnp.float32(rng.normal(scale=0.3, size=x.shape)) for x in leaves]
    )


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def stepped(unit, memory, seen):
    """Next memory and output of a unit: section 2.3 of Cho et al., 2014, with the reset gate after
    the product and a bias within it, as cuDNN has it."""
    (w0, w1, b0, b1), (of_input, of_memory, bias, bias_n), (head, head_bias) = unit
    x = np.tanh(np.tanh(seen @ w0 + b0) @ w1 + b1)
    (ir, iz, i), (hr, hz, h) = np.split(of_input @ x + bias, 3), np.split(of_memory @ memory, 3)
    update = sigmoid(iz + hz)
    memory = (1 - update) * np.tanh(i + sigmoid(ir + hr) * (h + bias_n)) + update * memory
    return memory, memory @ head + head_bias


def weights_of(policy):
    """Those of the actor's unit, and of the critic's."""
    units = zip(policy.networks, policy.cells, (policy.actor, policy.critic), strict=True)
    return [
        [
            [np.array(x, np.float64) for x in (*network.weights, *network.biases)],
            [np.array(x, np.float64) for x in (cell.weight_ih, cell.weight_hh, cell.bias, cell.bias_n)],
            [np.array(x, np.float64) for x in (*head.weights, *head.biases)],
        ]
        for network, cell, head in units
    ]


def unrolled(weights, steps, env):
    """Log probabilities and values `[time]` of an environment's steps, and values of what followed them."""
    actor, critic = weights
    of_actor, of_critic = np.float64(steps.policy_state[0, env])
    logits, values, followed = [], [], []
    for t in range(NUM_STEPS):
        if t and steps.done[t - 1, env]:
            of_actor, of_critic = np.zeros((2, 3))
        of_actor, logit = stepped(actor, of_actor, np.float64(steps.observation[t, env]))
        of_critic, value = stepped(critic, of_critic, np.float64(steps.observation[t, env]))
        following = stepped(critic, of_critic, np.float64(steps.next_observation[t, env]))[1]
        logits.append(logit - np.log(np.exp(logit).sum()))
        values.append(value[0])
        followed.append(following[0])
    return np.array(logits), np.array(values), np.array(followed)


def returns_of(steps, env, followed):
    """Sums of rewards up to the episode's or the rollout's end, and the value of what is cut off."""
    returns, above = np.zeros(NUM_STEPS), followed[-1]
    for t in reversed(range(NUM_STEPS)):
        above = followed[t] if steps.truncated[t, env] else above
        above = 0.0 if steps.terminal[t, env] else above
        returns[t] = above = steps.reward[t, env] + GAMMA * above
    return returns


def loss_of(weights, steps, targets):
    """A2C's, with advantages and returns `[env, time]` that stay as they are."""
    total = 0.0
    for env in range(NUM_ENVS):
        log_probs, value, _ = unrolled(weights, steps, env)
        advantage, returns = targets[env]
        done = log_probs[np.arange(NUM_STEPS), steps.action[:, env]]
        entropy = -(np.exp(log_probs) * log_probs).sum(1)
        total += (-done * advantage + VALUE * 0.5 * (value - returns) ** 2 - ENTROPY * entropy).mean()
    return total / NUM_ENVS


def test_the_gradient_is_that_of_whole_sequences():
    """By finite differences, for each array of the policy; the second rollout begins within an episode."""
    env = Still(CartPole(max_episode_steps=6))
    algorithm = Descends(
        num_envs=NUM_ENVS,
        num_steps=NUM_STEPS,
        learning_rate=1.0,
        gamma=GAMMA,
        max_grad_norm=1e9,
        value_loss_coefficient=VALUE,
        entropy_loss_coefficient=ENTROPY,
    )
    state = algorithm.init(env, made(env), key=jr.key(1))
    iterate = jax.jit(lambda state, key: algorithm.iteration(state, key=key)[:2])
    state = iterate(state, jr.key(2))[0]
    after, steps = iterate(state, jr.key(3))
    assert np.any(steps.policy_state[0] != 0) and 2 < np.sum(steps.truncated) < np.sum(steps.done) + 1
    weights, moved = weights_of(state.policy), weights_of(after.policy)
    targets = []
    for number in range(NUM_ENVS):
        _, value, followed = unrolled(weights, steps, number)
        returns = returns_of(steps, number, followed)
        targets.append((returns - value, returns))
    rng = np.random.default_rng(1)
    pairs = zip(jax.tree.leaves(weights), jax.tree.leaves(moved), strict=True)
    for array, other in pairs:
        direction, losses, before = rng.normal(size=array.shape), [], array.copy()
        for way in (1e-5, -1e-5):
            array[...] = before + way * direction
            losses.append(loss_of(weights, steps, targets))
        array[...] = before
        slope = (losses[0] - losses[1]) / 2e-5
        np.testing.assert_allclose(((before - other) * direction).sum(), slope, rtol=1e-3, atol=1e-5)


def test_memories_are_those_of_the_rollout_while_the_policy_is_the_same():
    """In minibatches of whole environments."""
    env = Still(CartPole(max_episode_steps=6))
    algorithm = PPO(num_envs=6, num_steps=16, num_batches=3, learning_rate=1e-12)
    state = algorithm.init(env, made(env), key=jr.key(1))
    _, steps, log = jax.jit(lambda key: algorithm.iteration(state, key=key))(jr.key(2))
    assert abs(log["approx_kl"]) < 1e-8 and log["clip_fraction"] == 0
    batch = algorithm.judged(state.policy, steps, steps.reward, state.standing)
    found = remembered(state.policy, jax.tree.map(lambda x: x.swapaxes(0, 1), batch)).policy_state
    np.testing.assert_allclose(found.reshape(6, 16, 2, 3).swapaxes(0, 1), steps.policy_state, atol=1e-6)


def test_minibatches_that_would_cut_an_environments_steps_are_refused():
    algorithm = PPO(num_envs=6, num_steps=16, num_batches=4)
    algorithm.init(CartPole(), MLPActorCriticPolicy(CartPole(), key=jr.key(0)), key=jr.key(1))
    with pytest.raises(SettingError, match=r"num_envs = 6, as the memory of GRU.*got 4.*nearest: 3, 6"):
        algorithm.learn(CartPole(), made(CartPole()), 96, key=jr.key(1))


@pytest.mark.learning
@pytest.mark.parametrize("seed", [0, 1])
def test_it_balances_a_pole_whose_velocity_it_does_not_see(seed):
    """Where a perceptron cannot."""
    env = Still(CartPole())
    algorithm = PPO(
        num_envs=16,
        num_steps=128,
        learning_rate=1e-3,
        learning_rate_schedule="linear",
        gamma=0.98,
        entropy_loss_coefficient=0.0,
    )
    policy_key, learn_key, test_key = jr.split(jr.key(seed), 3)

    def score(cls):
        policy = algorithm.learn(env, cls(env, key=policy_key), 150_000, key=learn_key)
        return float(evaluate(env, policy, key=test_key, num_episodes=100).returns.mean())

    assert score(GRUActorCriticPolicy) > 150 and score(MLPActorCriticPolicy) < 60
