"""PPO: its loss against NumPy, its first update, its schedules, and its settings."""

import re

import equinox as eqx
import jax
import numpy as np
import optax
import pytest
from jax import numpy as jnp
from jax import random as jr
from toys import Masked, Target

from lerax import tree
from lerax.algorithm import PPO, Batch
from lerax.callback import LoggingCallback, MemoryBackend
from lerax.env.classic_control import CartPole
from lerax.evaluate import evaluate
from lerax.policy import AbstractPolicy, MLPActorCriticPolicy
from lerax.space import Discrete

SIZE = 40


def records_of(algorithm, env, policy, steps, callback=()):
    memory = MemoryBackend()
    with LoggingCallback(memory, name="run") as logger:
        algorithm.learn(env, policy, steps, key=jr.key(1), callback=[logger, *callback])
    return [scalars for _, scalars in memory.records]


def a_batch():
    """Made up such that ratios, values and advantages fall on both sides of every clip."""
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.normal(size=shape).astype(np.float32)
    action = rng.integers(0, 2, SIZE).astype(np.int32)
    log_prob = np.log(0.5) + 0.3 * draw(SIZE)
    return Batch(
        observation=jnp.asarray(draw(SIZE, 4)),
        action=jnp.asarray(action),
        action_mask=None,
        policy_state=None,
        log_prob=jnp.asarray(log_prob),
        value=jnp.asarray(draw(SIZE)),
        advantage=jnp.asarray(3 * draw(SIZE) + 1),
        returns=jnp.asarray(draw(SIZE)),
    )


def forward(network, x):
    for weight, bias in zip(network.weights[:-1], network.biases[:-1], strict=True):
        x = np.tanh(x @ np.float64(weight) + np.float64(bias))
    return x @ np.float64(network.weights[-1]) + np.float64(network.biases[-1])


def terms(policy, batch, clip, normalize, clip_value):
    """The terms of the loss in float64, after Schulman et al. (2017), equations 7 and 9."""
    batch = jax.tree.map(np.float64, batch)
    logits = forward(policy.actor, batch.observation)
    log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    log_ratio = log_probs[np.arange(SIZE), batch.action.astype(int)] - batch.log_prob
    ratio, advantage = np.exp(log_ratio), batch.advantage
    if normalize == "minibatch":  # of the whole batch it is done before
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    surrogate = np.minimum(ratio * advantage, np.clip(ratio, 1 - clip, 1 + clip) * advantage)
    value = forward(policy.critic, batch.observation)[:, 0]
    error = (value - batch.returns) ** 2
    if clip_value:
        clipped = np.clip(value, batch.value - clip, batch.value + clip)
        error = np.maximum(error, (clipped - batch.returns) ** 2)
    return {
        "policy_loss": -surrogate.mean(),
        "value_loss": 0.5 * error.mean(),
        "entropy_loss": (np.exp(log_probs) * log_probs).sum(axis=1).mean(),
        "approx_kl": (ratio - 1 - log_ratio).mean(),
        "clip_fraction": (np.abs(ratio - 1) > clip).mean(),
    }


@pytest.mark.parametrize("normalize", ["minibatch", "batch", "none"])
@pytest.mark.parametrize("clip_value", [True, False])
@pytest.mark.parametrize("schedule, progress, clip", [("constant", 0.6, 0.25), ("linear", 0.6, 0.1)])
def test_the_loss_is_that_of_the_paper(policy, normalize, clip_value, schedule, progress, clip):
    """A value clipped with `minimum` instead of `maximum` would let errors hide behind the clip."""
    algorithm = PPO(
        clip_coefficient=0.25,
        clip_schedule=schedule,
        clip_value_loss=clip_value,
        advantage_normalization=normalize,
        value_loss_coefficient=0.7,
        entropy_loss_coefficient=0.03,
    )
    batch = a_batch()
    loss, log = jax.jit(algorithm.loss)(policy, batch, jnp.array(progress))
    expected = terms(policy, batch, clip, normalize, clip_value)
    total = expected["policy_loss"] + 0.7 * expected["value_loss"] + 0.03 * expected["entropy_loss"]
    for name, value in (expected | {"loss": total}).items():
        assert float(log[name]) == pytest.approx(value, rel=2e-5), name
    assert float(loss) == float(log["loss"])


@pytest.fixture(scope="module")
def box_policy():
    """Its standard deviation lets most actions fall outside of the box."""
    return MLPActorCriticPolicy(Target(), hidden_sizes=(8,), log_std_init=1.0, key=jr.key(0))


@pytest.mark.parametrize("kind", ["discrete", "masked", "box"])
def test_the_first_ratio_is_one_at_every_learning_rate(kind, env, policy, box_policy):
    """Whatever the environment gets, the log probability is of the action that is stored."""
    options = {
        "num_epochs": 1,
        "num_batches": 1,
        "learning_rate": 0.008,
        "learning_rate_schedule": "linear",
    }
    if kind == "masked":
        env = Masked()
        policy = MLPActorCriticPolicy(env, hidden_sizes=(8,), key=jr.key(0))
    if kind == "box":
        env, policy = Target(), box_policy
    records = records_of(PPO(num_envs=4, num_steps=16, **options), env, policy, 4 * 64)
    for scalars in records:  # one update an iteration: always the first
        assert scalars["train/approx_kl"] == pytest.approx(0, abs=1e-6)
        assert scalars["train/clip_fraction"] == 0
        assert scalars["train/policy_loss"] == pytest.approx(0, abs=1e-5)  # normalized advantages sum to 0
    # And the learning rate falls linearly to 0.
    rates = [scalars["train/learning_rate"] for scalars in records]
    np.testing.assert_allclose(rates, [0.008, 0.006, 0.004, 0.002], rtol=1e-6)


def test_box_actions_are_learned():
    """Knowing nothing, the best constant answer has the mean squared error 1/3 of a uniform number."""
    algorithm = PPO(num_envs=8, num_steps=64, learning_rate=3e-3, gamma=0.0, entropy_loss_coefficient=0.0)
    policy = MLPActorCriticPolicy(Target(), hidden_sizes=(16,), log_std_init=-1.0, key=jr.key(0))
    before = evaluate(Target(), policy, key=jr.key(1)).returns.mean() / 8
    policy = algorithm.learn(Target(), policy, 20_000, key=jr.key(2))
    after = evaluate(Target(), policy, key=jr.key(1)).returns.mean() / 8
    assert before == pytest.approx(-1 / 3, rel=0.2) and after > -0.05


def test_longer_gradients_are_scaled_down_to_the_limit(env, policy):
    """Adam's first step is rate * g / (|g| + eps), from which the gradient g that it got can be had back."""
    limit, rate, eps = 1e-6, 1e-2, 1e-5
    options = {"max_grad_norm": limit, "learning_rate": rate, "num_epochs": 1, "num_batches": 1}
    trained = PPO(num_envs=4, num_steps=16, **options).learn(env, policy, 64, key=jr.key(0))
    differences = jax.tree.map(lambda a, b: np.float64(a) - np.float64(b), trained, policy)
    change = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(differences)]) / rate
    gradient = eps * change / (1 - np.abs(change))
    assert np.linalg.norm(gradient) == pytest.approx(limit, rel=1e-3)


def updated(env, policy, **options):
    """The algorithm; parameters, optimizer's state and log of its updates with a made-up batch."""
    algorithm = PPO(num_envs=4, num_steps=SIZE // 4, **options)
    state = algorithm.init(env, policy, key=jr.key(0), total_timesteps=SIZE)
    update = eqx.filter_jit(algorithm._update)
    learner, progress = state.learner, algorithm.progress(state)
    trained, *others = update(learner.policy, learner.opt_state, a_batch(), progress, jr.key(1))
    return algorithm, tree.ravel(trained)[0], *others


def test_updates_are_those_of_adam(env, policy):
    """Kingma and Ba (2015), algorithm 1, in float64, over three passes."""
    rate, longest, eps = 1e-2, 0.5, 1e-5
    options = {"learning_rate": rate, "max_grad_norm": longest, "num_epochs": 3, "num_batches": 1}
    algorithm, vector, opt_state, _ = updated(env, policy, **options)
    start, back = tree.ravel(policy)
    slope = jax.jit(jax.grad(lambda v: algorithm.loss(back(v), a_batch(), jnp.array(0.0))[0]))
    expected, mean, square = np.float64(start), np.zeros(start.size), np.zeros(start.size)
    for t in (1, 2, 3):
        gradient = np.float64(slope(jnp.asarray(expected, jnp.float32)))
        gradient *= min(1, longest / np.linalg.norm(gradient))
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        expected -= rate * (mean / (1 - 0.9**t)) / (np.sqrt(square / (1 - 0.999**t)) + eps)
    np.testing.assert_allclose(vector, expected, atol=1e-4)
    # What the next iteration begins with.
    np.testing.assert_allclose(optax.tree_utils.tree_get(opt_state, "mu"), mean, atol=1e-5)


def test_a_pass_takes_every_sample_once(env, policy):
    """Where next to nothing is learned, the minibatches' mean error of the value is that of all samples."""
    *_, log = updated(env, policy, num_epochs=2, num_batches=4, learning_rate=1e-9)
    expected = terms(policy, a_batch(), 0.2, normalize="none", clip_value=False)
    assert float(log["value_loss"]) == pytest.approx(expected["value_loss"], rel=1e-4)


@pytest.mark.parametrize("batches, below, above", [(3, 2, 4), (12, 8, 16), (63, 32, 64)])
def test_minibatches_must_divide_the_rollout(batches, below, above):
    said = f"does not divide num_envs * num_steps = 64 (got {batches}); nearest: {below}, {above}"
    with pytest.raises(ValueError, match="num_batches: " + re.escape(said)):
        PPO(num_envs=4, num_steps=16, num_batches=batches)


def test_more_minibatches_than_samples_are_refused_with_the_largest_number_once():
    with pytest.raises(ValueError, match=r"nearest: 64$"):
        PPO(num_envs=4, num_steps=16, num_batches=65)


class Plain(AbstractPolicy):
    name = "Plain"
    action_space = Discrete(2)
    observation_space = CartPole.observation_space

    def __call__(self, state, observation, *, key=None, action_mask=None):
        return state, jnp.array(0)


def test_a_policy_that_ppo_cannot_train_is_refused(env):
    with pytest.raises(TypeError, match="PPO: needs an actor-critic policy .*got Plain"):
        PPO(num_envs=2, num_steps=4).learn(env, Plain(), 8, key=jr.key(0))


def test_only_weights_and_biases_are_trained(env, policy):
    assert {leaf.ndim for leaf in jax.tree.leaves(eqx.filter(policy, eqx.is_inexact_array))} == {1, 2}
    assert sum(leaf.size for leaf in jax.tree.leaves(policy)) == (4 * 8 + 8 + 8 * 2 + 2) + (4 * 8 + 8 + 8 + 1)
