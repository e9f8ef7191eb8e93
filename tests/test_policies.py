"""What every policy made of perceptrons holds to: spaces, masks, bounds, pictures, jit and vmap."""

import equinox as eqx
import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr
from scipy import stats
from toys import Masked

from lerax import tree
from lerax.env.classic_control import CartPole, Pendulum
from lerax.errors import SettingError, SettingTypeError
from lerax.policy import (
    MLPActorCriticPolicy,
    MLPCategoricalPolicy,
    MLPCrossQPolicy,
    MLPDeterministicPolicy,
    MLPQPolicy,
    MLPSquashedGaussianPolicy,
)
from lerax.space import Box, Discrete

KEY = jr.key(0)
BYTES = Box(0, 255, shape=(12, 10, 2), dtype=np.uint8)
LOPSIDED = Box([[-1.0, 0.0, 2.0]], [[3.0, 0.5, 2.0]])
DISCRETE = [MLPActorCriticPolicy, MLPQPolicy, MLPCategoricalPolicy]
BOXES = [MLPActorCriticPolicy, MLPDeterministicPolicy, MLPSquashedGaussianPolicy, MLPCrossQPolicy]
WITH_CRITICS = [MLPCategoricalPolicy, *BOXES[1:]]
SMALL = {"hidden_sizes": (8,)}


def env(action_space=Masked.action_space, observation_space=Masked.observation_space):
    spaces = {"action_space": action_space, "observation_space": observation_space}
    return type("Spaces", (Masked,), spaces)()


def env_for(policy, observation_space=Masked.observation_space):
    return env(Discrete(4) if policy in DISCRETE else LOPSIDED, observation_space)


def drawn(policy, observation, count=200, mask=None):
    return np.asarray(_drawn(policy, observation, jr.split(jr.key(1), count), mask))


@eqx.filter_jit
def _drawn(policy, observation, keys, mask):
    return jax.vmap(lambda key: policy(None, observation, key=key, action_mask=mask)[1])(keys)


@pytest.mark.parametrize("cls", DISCRETE)
def test_only_allowed_actions_are_taken(cls):
    policy = cls(env(), key=KEY)
    policy = policy.with_epsilon(0.5) if cls is MLPQPolicy else policy
    for allowed in ([0], [3], [1, 2], [0, 2, 3]):
        mask = jnp.isin(jnp.arange(4), jnp.array(allowed))
        for x in (-1.0, 0.3, 50.0):
            observation = jnp.array([x])
            assert int(policy(None, observation, action_mask=mask)[1]) in allowed
            assert {*drawn(policy, observation, mask=mask).tolist()} <= {*allowed}


def test_a_q_policy_does_the_best_and_explores_as_often_as_it_is_told():
    policy = MLPQPolicy(env(), key=KEY)
    assert float(policy.epsilon.epsilon) == np.float32(0.05)
    observation, mask = jnp.array([0.4]), jnp.array([True, False, True, True])
    values = np.where(mask, policy.q_values(observation), -np.inf)
    best = int(np.argmax(values))
    assert int(policy(None, observation, action_mask=mask)[1]) == best
    actions = drawn(policy.with_epsilon(0.6), observation, 6000, mask)
    expected = np.where(np.arange(4) == best, 0.4, 0.0) + 0.2 * np.asarray(mask)
    counts = np.bincount(actions, minlength=4)
    assert counts[1] == 0 and stats.chisquare(counts[mask], 6000 * expected[mask]).pvalue > 1e-3
    assert (drawn(policy.with_epsilon(0.0), observation, 100, mask) == best).all()
    trainable = tree.trainable(policy)
    assert not trainable.epsilon.epsilon and all(trainable.network.weights)


def test_dueling_heads_give_a_value_and_centred_advantages():
    policy = MLPQPolicy(env(), dueling=True, **SMALL, key=KEY)
    observation = jnp.array([0.4])
    outputs = np.asarray(policy.network(observation), np.float64)
    expected = outputs[0] + outputs[1:] - outputs[1:].mean()
    np.testing.assert_allclose(policy.q_values(observation), expected, rtol=1e-5)


@pytest.mark.parametrize("cls", BOXES[1:])
def test_actions_reach_the_bounds_and_never_leave_the_box(cls):
    policy = cls(env(LOPSIDED), key=KEY)
    low, high = LOPSIDED.bounds
    far = jax.tree.map(lambda x: 100 * x if eqx.is_inexact_array(x) else x, policy)
    observations = jnp.linspace(-30, 30, 12)[:, None]
    actions = np.concatenate([drawn(far, observation, 100) for observation in observations])
    assert actions.shape == (1200, 1, 3) and (actions >= low).all() and (actions <= high).all()
    np.testing.assert_allclose(policy.scaled(jnp.ones(3)), high, rtol=1e-6)
    np.testing.assert_allclose(policy.scaled(-jnp.ones(3)), low, atol=1e-6)
    unit = jnp.array([0.25, -0.5, 0.0])
    np.testing.assert_allclose(policy.scaled(unit), [[1.5, 0.125, 2.0]], rtol=1e-6)
    np.testing.assert_allclose(policy.unit(policy.scaled(unit)), unit, atol=1e-6)
    greedy = policy(None, jnp.array([0.4]))[1]
    np.testing.assert_array_equal(greedy, policy.scaled(policy.unit_action(jnp.array([0.4]))))


def test_huge_bounds_are_scaled_to_without_overflow():
    policy = MLPDeterministicPolicy(env(Box(-3e38, 3.3e38, shape=(1,))), key=KEY)
    scaled = np.asarray(jax.vmap(policy.scaled)(jnp.array([[-1.0], [0.5], [1.0]])))
    np.testing.assert_allclose(scaled[:, 0], [-3e38, 1.725e38, 3.3e38], rtol=1e-6)


@pytest.mark.parametrize("cls", [*DISCRETE, *BOXES[1:]])
@pytest.mark.parametrize(
    "space, value",
    [
        (Box(-1.0, 1.0, shape=(2, 3)), np.zeros((3, 2))),  # as many numbers, which would be taken
        (Box(-1.0, 1.0, shape=(2, 3)), np.zeros((1, 2, 3))),
        (Box(-1.0, 1.0, shape=(3,)), [0.0, 0.0, 0.0]),
        (Discrete(3), np.zeros(1, int)),
        (Discrete(3), 1.5),
        (BYTES, np.zeros((12, 10, 2))),  # divided by 255 already: all would be black
        (BYTES, np.zeros((2, 12, 10), np.uint8)),
    ],
    ids=str,
)
def test_what_is_no_observation_is_refused(cls, space, value):
    policy = cls(env_for(cls, space), **SMALL, key=KEY)
    said = r"^observation: not one of .* space \(got .*\); allowed: .*; of several: jax.vmap"
    with pytest.raises(SettingTypeError, match=said):
        policy(None, value)


@pytest.mark.parametrize("cls", WITH_CRITICS)
def test_bounds_are_no_array_that_an_optimizer_could_change(cls):
    policy = cls(env_for(cls), **SMALL, key=KEY)
    networks = eqx.filter((policy.network, policy.seen), eqx.is_array)
    assert tree.form(eqx.filter(policy, eqx.is_array))[1] == tree.form(networks)[1]


def test_gaussian_samples_are_of_its_distribution_and_its_noise():
    policy = MLPSquashedGaussianPolicy(env(Box(-2.0, 2.0, shape=(1,))), key=KEY)
    observation = jnp.array([0.4])
    loc, log_scale = np.asarray(policy.network(observation), np.float64)
    before = np.arctanh(np.clip(drawn(policy, observation, 3000)[:, 0] / 2, -1 + 1e-7, 1 - 1e-7))
    assert stats.kstest(before, stats.norm(loc, np.exp(log_scale)).cdf).pvalue > 1e-3
    noise = policy.noise(key=jr.key(3))
    action = policy(None, observation, key=jr.key(3))[1]
    np.testing.assert_array_equal(action, policy.action(observation, noise))
    np.testing.assert_allclose(action, 2 * np.tanh(loc + np.exp(log_scale) * noise), rtol=1e-5)


def test_deviations_of_a_gaussian_are_kept_in_range():
    policy = MLPSquashedGaussianPolicy(env(Box(-1.0, 1.0, shape=(2,))), key=KEY)
    biases = jnp.array([0.0, 0.0, -1e4, 1e4])
    policy = eqx.tree_at(lambda p: p.network.biases[-1], policy, biases)
    np.testing.assert_array_equal(policy.distribution(jnp.zeros(1)).normal.log_scale, [-20, 2])


def test_a_key_changes_nothing_of_a_deterministic_policy():
    policy = MLPDeterministicPolicy(Pendulum(), key=KEY)
    observation = jnp.array([0.1, 0.2, 0.3])
    assert len(np.unique(drawn(policy, observation, 5))) == 1


@pytest.mark.parametrize("cls", BOXES[1:])
@pytest.mark.parametrize("space", [Box(-1.0, np.inf, shape=(2,)), Discrete(2)])
def test_actions_without_bounds_are_refused(cls, space):
    with pytest.raises(SettingError, match=f"{cls.name}: .*Box"):
        cls(env(space), key=KEY)


@pytest.mark.parametrize("cls", DISCRETE)
def test_actions_of_another_kind_are_refused(cls):
    space = Box(0, 255, shape=(2,), dtype=np.uint8)
    with pytest.raises(TypeError, match=f"{cls.name}: unsupported action space .*Discrete"):
        cls(env(space), key=KEY)


@pytest.mark.parametrize("cls", [DISCRETE[0], BOXES[0]])
def test_what_has_no_numbers_is_refused(cls):
    space = Discrete(2) if cls in DISCRETE else Box(-1.0, 1.0, shape=(2,))
    with pytest.raises(SettingError, match=f"^{cls.name}: needs numbers, at least one, in what it sees"):
        cls(env(space, Box(0.0, 1.0, shape=(0,))), key=KEY)
    with pytest.raises(SettingError, match="^MLPActorCriticPolicy: unsupported.* of uint8.*, Box of floats"):
        MLPActorCriticPolicy(env(Box(0, 255, shape=(2,), dtype=np.uint8)), key=KEY)


@pytest.mark.parametrize("cls", [*DISCRETE, *BOXES[1:]])
@pytest.mark.parametrize("settings", [{}, {"layer_norm": True, "normalize_observations": True}], ids=str)
def test_a_batch_is_many_single_calls_whatever_is_observed(cls, settings):
    spaces = (Discrete(3), Box(-1.0, 1.0, shape=(2, 3)), BYTES)
    for space in spaces[: 2 if settings else 3]:
        policy = cls(env_for(cls, space), **SMALL, **settings, key=KEY)
        observations = jax.vmap(lambda key, s=space: s.sample(key=key))(jr.split(KEY, 5))
        policy = policy.after_rollout(observations)
        keys = jr.split(jr.key(2), 5)
        act = lambda observation, key, policy=policy: policy(None, observation, key=key)[1]
        batch = jax.jit(jax.vmap(act))(observations, keys)
        single = [act(*one) for one in zip(observations, keys, strict=True)]
        np.testing.assert_allclose(batch, np.stack(single), rtol=1e-4, atol=1e-5)
        assert jax.vmap(policy.action_space.contains)(batch).all() or cls is MLPActorCriticPolicy


@pytest.mark.parametrize("cls", WITH_CRITICS)
def test_critics_take_what_the_policy_normalizes(cls):
    for space, settings in ((BYTES, {}), (Discrete(3), {"normalize_observations": True})):
        policy = cls(env_for(cls, space), **SMALL, layer_norm=True, **settings, key=KEY)
        critic, other = policy.critic(key=jr.key(1)), policy.critic(key=jr.key(2))
        observation = space.sample(key=KEY)
        unit = () if cls is MLPCategoricalPolicy else (jnp.array([0.1, 0.2, 0.3]),)
        values = critic(policy.normalized(observation), *unit)
        assert values.shape == ((1,) if unit else (4,)) and len(critic.layer_norms) == 1
        assert (critic.encoder is None) == (space is not BYTES)
        assert np.abs(values - other(policy.normalized(observation), *unit)).max() > 1e-4
        if unit:
            assert float(values[0]) != float(critic(policy.normalized(observation), unit[0] + 0.1)[0])


def test_one_trunk_with_two_heads_has_both_gains():
    policy = MLPActorCriticPolicy(CartPole(), shared_trunk=True, key=KEY)
    assert policy.critic is None and policy.actor.weights[-1].shape == (64, 3)
    actor, value = np.split(np.asarray(policy.actor.weights[-1]), [2], axis=1)
    np.testing.assert_allclose(np.linalg.norm(actor, axis=0), 0.01, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(value, axis=0), 1, rtol=1e-5)
    observation = jnp.array([0.1, 0.2, -0.3, 0.4])
    outputs = policy.actor(observation)
    np.testing.assert_allclose(policy.value(None, observation)[1], outputs[2], rtol=1e-6)
    np.testing.assert_allclose(
        policy.distribution(observation).log_probs, jax.nn.log_softmax(outputs[:2]), rtol=1e-6
    )


def test_an_encoder_that_does_not_fit_is_refused():
    for space, encoder, said in (
        (BYTES, "nature", r"encoder: needs pictures of at least 36 x 36 \(got nature for 12 x 10\)"),
        (Box(-1.0, 1.0, shape=(4,)), "minatar", r"encoder: needs pictures \[height, width, channels\]"),
    ):
        with pytest.raises(SettingError, match=said):
            MLPQPolicy(env(observation_space=space), encoder=encoder, key=KEY)
    with pytest.raises(SettingError, match="normalize_observations: pictures are not normalized"):
        MLPQPolicy(env(observation_space=BYTES), normalize_observations=True, key=KEY)


def test_batch_norm_trains_by_batches_and_acts_by_moving_statistics():
    policy = MLPCrossQPolicy(Pendulum(), **SMALL, key=KEY)
    assert len(policy.critic(key=KEY).batch_norms) == 2
    observations = 5 + 3 * jr.normal(KEY, (64, 3))
    distributions, after = policy.train(observations)
    assert distributions.normal.loc.shape == (64, 1)
    outputs, network = policy.network.train(observations)
    np.testing.assert_array_equal(distributions.normal.loc[:, 0], outputs[:, 0])
    for layer, expected in zip(after.network.batch_norms, network.batch_norms, strict=True):
        np.testing.assert_array_equal(layer.moments.mean, expected.moments.mean)
    before = policy.distribution(observations[0]).normal.loc
    assert float(before[0]) != float(after.distribution(observations[0]).normal.loc[0])
