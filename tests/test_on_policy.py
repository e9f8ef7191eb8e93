"""A2C, REINFORCE and PQN against NumPy written from their papers, and what PPO's updates leave out."""

import equinox as eqx
import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr
from test_ppo import SIZE, a_batch, forward
from toys import Masked, Target, rollout_of

from lerax import tree
from lerax.algorithm import A2C, PPO, PQN, REINFORCE
from lerax.algorithm.on_policy.batch import normalized
from lerax.algorithm.on_policy.pqn import QBatch
from lerax.callback import LoggingCallback, MemoryBackend
from lerax.env.classic_control import CartPole
from lerax.policy import MLPActorCriticPolicy, MLPQPolicy

SMALL = {"num_envs": 4, "num_steps": 10}


@pytest.fixture(scope="module")
def q_policy(env):
    return MLPQPolicy(env, hidden_sizes=(8,), activation="tanh", key=jr.key(0))


def slope(algorithm, policy, batch):
    """The loss of a batch and its gradient by all that is trainable."""
    vector, back = tree.ravel(policy, policy.trainable())
    loss = lambda vector: algorithm.loss(back(vector), batch, jnp.array(0.0))[0]
    return jax.jit(jax.value_and_grad(loss))(vector)


def numeric(function, policy, count=6):
    """Central differences of a loss in NumPy, at some parameters of a policy."""
    vector, back = tree.ravel(policy, policy.trainable())
    vector = np.float64(vector)
    chosen = np.linspace(0, vector.size - 1, count).astype(int)
    step = lambda i, h: function(back(jnp.asarray(vector + h * (np.arange(vector.size) == i), jnp.float32)))
    return chosen, [(step(i, 1e-2) - step(i, -1e-2)) / 2e-2 for i in chosen]


def policy_gradient_loss(policy, batch, value_weight, entropy_weight):
    """Mnih et al. (2016), section 4.3: log pi(a|s) (R - V), its baseline and the entropy; in float64."""
    batch = jax.tree.map(np.float64, batch)
    logits = forward(policy.actor, batch.observation)
    log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    chosen = log_probs[np.arange(SIZE), batch.action.astype(int)]
    value = forward(policy.critic, batch.observation)[:, 0]
    entropy = -(np.exp(log_probs) * log_probs).sum(axis=1)
    return (
        -(chosen * batch.advantage).mean()
        + value_weight * 0.5 * ((value - batch.returns) ** 2).mean()
        - entropy_weight * entropy.mean()
    )


@pytest.mark.parametrize(
    ("algorithm", "value_weight"),
    [
        (A2C(value_loss_coefficient=0.7, entropy_loss_coefficient=0.03), 0.7),
        (REINFORCE(value_loss_coefficient=0.7, entropy_loss_coefficient=0.03), 0.7),
        (REINFORCE(baseline=False, value_loss_coefficient=0.7, entropy_loss_coefficient=0.03), 0.0),
    ],
    ids=["a2c", "reinforce", "without a baseline"],
)
def test_the_policy_gradient_is_that_of_the_paper(policy, algorithm, value_weight):
    loss, gradient = slope(algorithm, policy, a_batch())
    expected = lambda policy: policy_gradient_loss(policy, a_batch(), value_weight, 0.03)
    assert float(loss) == pytest.approx(expected(policy), rel=1e-5)
    chosen, slopes = numeric(expected, policy)
    np.testing.assert_allclose(gradient[chosen], slopes, rtol=1e-2, atol=1e-3)


def test_the_loss_of_pqn_is_half_the_squared_error_of_what_was_done(q_policy):
    batch = a_batch()
    batch = QBatch(batch.observation, batch.action, batch.value, batch.returns)

    def expected(policy):
        values = forward(policy.network, np.float64(batch.observation))
        done = values[np.arange(SIZE), np.asarray(batch.action)]
        return 0.5 * ((done - np.float64(batch.returns)) ** 2).mean()

    loss, gradient = slope(PQN(), q_policy, batch)
    assert float(loss) == pytest.approx(expected(q_policy), rel=1e-5)
    chosen, slopes = numeric(expected, q_policy)
    np.testing.assert_allclose(gradient[chosen], slopes, rtol=1e-2, atol=1e-3)


def test_rmsprop_is_that_of_its_authors(env, policy):
    """Tieleman and Hinton (2012), with epsilon beside the root: two steps in float64."""
    algorithm = A2C(**SMALL, learning_rate=0.01, max_grad_norm=1e9)
    state = algorithm.init(env, policy, key=jr.key(0), total_timesteps=SIZE)
    expected, square = np.float64(tree.ravel(policy)[0]), 0.0
    update = eqx.filter_jit(algorithm._update)
    trained, opt_state = policy, state.opt_state
    for _ in range(2):
        gradient = np.float64(slope(algorithm, trained, a_batch())[1])
        square = 0.99 * square + 0.01 * gradient**2
        expected = expected - 0.01 * gradient / (np.sqrt(square) + 1e-5)
        trained, opt_state, _ = update(trained, opt_state, a_batch(), jnp.array(0.0), jr.key(1))
        np.testing.assert_allclose(tree.ravel(trained)[0], expected, atol=1e-4)


def followed(env, algorithm, policy):
    """A rollout as the update gets it, where it stands then, what happened, and ends, `[time, env]`."""

    @eqx.filter_jit
    def steps(state):
        return algorithm._collect(state.env, state.policy, state.standing, jr.key(2))

    standing, steps = jax.tree.map(
        np.asarray, tree.without_keys(steps(algorithm.init(env, policy, key=jr.key(2))))
    )
    done = steps.terminal | steps.truncated
    return rollout_of(algorithm, env, policy, key=jr.key(2)), standing, steps, done


@pytest.fixture(scope="module")
def falling(policy):
    """Whose pole falls within 9 to 12 steps."""
    return eqx.tree_at(lambda p: p.actor.biases[-1], policy, jnp.array([0.0, 3.0]))


def test_returns_without_a_baseline_are_sums_up_to_the_episodes_end(falling):
    """Williams (1992): whole episodes only, each step of which counts alike."""
    env = CartPole(max_episode_steps=10)
    algorithm = REINFORCE(num_envs=16, num_steps=24, gamma=0.9, baseline=False)
    rollout, _, steps, done = followed(env, algorithm, falling)
    expected, whole = np.zeros((24, 16)), np.zeros((24, 16))
    for column in range(16):
        ends = np.flatnonzero(done[:, column])
        for t in range(24):
            if (later := ends[ends >= t]).size:
                whole[t, column] = 1
                expected[t, column] = sum(0.9**i for i in range(later[0] - t + 1))  # every reward is 1
    assert 0 < whole.mean() < 1 and (steps.truncated & ~steps.terminal).any()
    np.testing.assert_allclose(rollout.advantage, expected / whole.mean(), rtol=1e-5)


def test_returns_with_a_baseline_go_on_with_the_value_where_they_are_cut(falling):
    env = CartPole(max_episode_steps=10)
    algorithm = REINFORCE(num_envs=16, num_steps=24, gamma=0.9)
    rollout, standing, steps, done = followed(env, algorithm, falling)
    value = lambda observation: forward(falling.critic, np.float64(observation))[..., 0]
    ahead = value(standing.observation)
    for t in reversed(range(24)):
        ended = np.where(steps.terminal[t], 0, value(steps.next_observation[t]))
        ahead = 1 + 0.9 * np.where(done[t], ended, ahead)
        np.testing.assert_allclose(rollout.returns[t], ahead, rtol=1e-4)
    np.testing.assert_allclose(rollout.advantage, rollout.returns - rollout.value, atol=1e-5)


class NoneLeft(Masked):
    """When its time is up nothing is allowed."""

    def terminal(self, state, *, key):
        return jnp.array(False)

    def truncate(self, state):
        return state.steps >= 7

    def action_mask(self, state, *, key):
        return super().action_mask(state, key=key) & ~self.truncate(state)


@pytest.mark.parametrize("kind", ["truncated", "masked", "none left"])
def test_returns_of_pqn_are_those_of_the_paper(kind):
    """Gallici et al. (2024): R = r + gamma (lambda R' + (1 - lambda) max Q(s', a)), a allowed; in a loop."""
    env = {"truncated": CartPole(max_episode_steps=7), "masked": Masked(), "none left": NoneLeft()}[kind]
    policy = MLPQPolicy(env, hidden_sizes=(8,), activation="tanh", key=jr.key(0)).with_epsilon(0.5)
    algorithm = PQN(num_envs=4, num_steps=16, gamma=0.9, q_lambda=0.6, num_batches=1)
    rollout, standing, steps, done = followed(env, algorithm, policy)
    assert done.any() and (kind == "truncated") == (steps.next_action_mask is None)
    flat = jax.vmap(env.observation_space.flatten)

    def best(observation, mask):
        values = forward(policy.network, np.float64(flat(observation)))
        if mask is not None:
            mask = mask | ~mask.any(axis=-1, keepdims=True)
        return (values if mask is None else np.where(mask, values, -np.inf)).max(axis=-1)

    at = lambda x, t: None if x is None else x[t]
    ahead = best(steps.next_observation[-1], at(steps.next_action_mask, -1))
    for t in reversed(range(16)):
        there = best(steps.next_observation[t], at(steps.next_action_mask, t))
        mixed = np.where(done[t], there, 0.6 * ahead + 0.4 * there)
        ahead = steps.reward[t] + 0.9 * np.where(steps.terminal[t], 0, mixed)
        np.testing.assert_allclose(rollout.returns[t], ahead, rtol=1e-4, atol=1e-5)
    assert rollout.action.shape == (16, 4)


def logged(algorithm, env, policy, steps):
    memory = MemoryBackend()
    with LoggingCallback(memory, name="run") as logger:
        trained = algorithm.learn(env, policy, steps, key=jr.key(1), callback=logger)
    return trained, [scalars for _, scalars in memory.records]


def test_pqn_explores_less_and_less_and_its_policy_keeps_the_last_epsilon(env, q_policy):
    algorithm = PQN(**SMALL, num_batches=2, epsilon=0.8, final_epsilon=0.2, exploration_fraction=0.5)
    trained, records = logged(algorithm, env, q_policy, 4 * SIZE)
    np.testing.assert_allclose([one["train/epsilon"] for one in records], [0.8, 0.5, 0.2, 0.2], rtol=1e-6)
    assert float(trained.epsilon.epsilon) == pytest.approx(0.2)


def updates(env, policy, target):
    """The log of ten passes over a made-up batch, with a step size at which the policy soon runs away."""
    options = {"num_epochs": 10, "num_batches": 2, "learning_rate": 0.03, "clip_coefficient": 10.0}
    algorithm = PPO(**SMALL, **options, target_kl=target)
    learner = algorithm.init(env, policy, key=jr.key(0), total_timesteps=SIZE).learner
    batch = a_batch()
    log_prob = jax.vmap(lambda o, a: policy.evaluate_action(None, o, a)[2])(batch.observation, batch.action)
    batch = eqx.tree_at(lambda batch: batch.log_prob, batch, log_prob)
    update = eqx.filter_jit(algorithm._update)
    return update(learner.policy, learner.opt_state, batch, jnp.array(0.0), jr.key(1))


def test_updates_end_before_the_one_that_is_too_far(env, policy):
    """One and a half times the target: none with a larger divergence is made, and the log says how many."""
    kept, _, log = updates(env, policy, 0.01)
    made = int(log["updates"])
    assert 1 < made < 20 and float(log["approx_kl"]) < 0.015
    far, opt_state, whole = updates(env, policy, 1e6)
    assert float(whole["updates"]) == 20 and "updates" not in updates(env, policy, None)[2]
    assert not np.array_equal(tree.ravel(kept)[0], tree.ravel(far)[0])
    np.testing.assert_array_equal(tree.ravel(far)[0], tree.ravel(updates(env, policy, None)[0])[0])
    # What is logged is of the updates that were made alone.
    assert float(log["grad_norm"]) > 0 and float(log["loss"]) > float(whole["loss"])


def test_advantages_of_a_batch_have_mean_0_and_deviation_1(env, policy):
    """Once for the whole rollout; each minibatch then has its own mean."""
    rollouts = {
        where: rollout_of(PPO(**SMALL, advantage_normalization=where), env, policy, key=jr.key(3))
        for where in ("minibatch", "batch", "none")
    }
    plain = np.float64(rollouts["none"].advantage)
    np.testing.assert_array_equal(rollouts["minibatch"].advantage, rollouts["none"].advantage)
    np.testing.assert_allclose(
        rollouts["batch"].advantage, (plain - plain.mean()) / plain.std(), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_array_equal(rollouts["batch"].returns, rollouts["none"].returns)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (PPO, {"num_envs": 4, "num_steps": 2, "num_batches": 8}),
        (PPO, {"num_envs": 1, "num_steps": 1, "num_batches": 1, "advantage_normalization": "batch"}),
        (A2C, {"num_envs": 1, "num_steps": 1, "advantage_normalization": "batch"}),
    ],
)
def test_advantages_of_one_step_are_not_normalized(kind, settings):
    """Each would become 0, and nothing be learned."""
    with pytest.raises(ValueError, match="^advantage_normalization: a (mini)?batch of one step"):
        kind(**settings)
    assert kind(**settings | {"advantage_normalization": "none"}).num_batches == settings.get(
        "num_batches", 1
    )


def test_weights_count_in_mean_and_deviation():
    x, weight = np.array([1.0, 5.0, 9.0, 100.0]), np.array([1.0, 1.0, 2.0, 0.0])
    found = normalized(jnp.asarray(x, jnp.float32), jnp.asarray(weight, jnp.float32))
    mean = np.average(x, weights=weight)
    deviation = np.sqrt(np.average((x - mean) ** 2, weights=weight))
    np.testing.assert_allclose(found, (x - mean) / deviation, rtol=1e-5)


def test_policies_that_an_algorithm_cannot_train_are_refused(env, policy, q_policy):
    with pytest.raises(TypeError, match="PQN: needs a policy that values actions, .* .got MLPActorCriticP"):
        PQN(**SMALL, num_batches=1).init(env, policy, key=jr.key(0))
    with pytest.raises(TypeError, match="A2C: needs an actor-critic policy .got MLPQPolicy"):
        A2C(**SMALL).init(env, q_policy, key=jr.key(0))


def test_box_actions_are_learned_by_the_policy_gradient():
    """A relative of discrete ones: the error of a Gaussian falls."""
    policy = MLPActorCriticPolicy(Target(), hidden_sizes=(8,), log_std_init=-1.0, key=jr.key(0))
    algorithm = A2C(num_envs=8, num_steps=8, gamma=0.0, learning_rate=3e-3)
    _, records = logged(algorithm, Target(), policy, 200 * 64)
    assert records[-1]["episode/return"] > 0.6 * records[10]["episode/return"]
