"""DDPG, TD3, SAC, discrete SAC and CrossQ: losses and gradients against NumPy."""

import equinox as eqx
import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr
from plain import (
    KEY,
    SAMPLES,
    Choice,
    Plain,
    Wide,
    assert_descended,
    assert_followed,
    by_gradient,
    experienced,
    float64,
    made_up,
    shaken,
    update,
)
from toys import assert_bitwise_equal

from lerax.algorithm import DDPG, SAC, TD3, CrossQ, DiscreteSAC, Maybe
from lerax.policy import (
    MLPCategoricalPolicy,
    MLPCrossQPolicy,
    MLPDeterministicPolicy,
    MLPSquashedGaussianPolicy,
)

SIZES = {"hidden_sizes": (5,), "activation": "tanh"}
LOW, HIGH = Wide().action_space.bounds
EACH = np.arange(SAMPLES)
TAU = 0.2
GRADIENT = {kind: by_gradient(kind) for kind in (DDPG, TD3, SAC, DiscreteSAC, CrossQ)}


def networks_of(algorithm, policy, env, **targets):
    """All weights moved, those of the targets by others."""
    networks = algorithm.init_networks(env, policy, key=KEY)
    networks = eqx.tree_at(lambda n: (n.policy, n.critics), networks, shaken((policy, networks.critics), 1))
    for number, name in enumerate(name for name in vars(networks) if name.startswith("target")):
        if (target := getattr(networks, name)) is not None:
            moved = shaken(target, number + 2, 1.0)
            networks = eqx.tree_at(lambda n, name=name: getattr(n, name), networks, moved)
    return networks


def unit(action):
    """Actions as numbers from -1 to 1."""
    return (np.float64(action) - (LOW + HIGH) / 2) / ((HIGH - LOW) / 2)


def q_of(critics, *inputs):
    """`[critic, sample]`."""
    return np.stack([critic(*inputs)[:, 0] for critic in critics])


def parameters(critics):
    return [array for critic in critics for array in critic.parameters]


def squared(found, wanted):
    """Summed over the critics; SAC's authors halve it, which Adam does not see."""
    return ((found - wanted) ** 2).mean(1).sum()


def assert_critics_descended(before, after, loss, plain):
    for one, other, net in zip(before, after, plain, strict=True):
        assert_descended(one, other, loss, net.parameters)


def value_of(entry):
    return entry.value if isinstance(entry, Maybe) else entry


def assert_logged(log, **expected):
    for name, value in expected.items():
        np.testing.assert_allclose(value_of(log[name]), value, rtol=2e-5, atol=1e-6, err_msg=name)


# Deterministic policies


def deterministic(kind, number, *, normalize=False, **settings):
    """Networks before and after an update, the log, and the batch."""
    algorithm = GRADIENT[kind](batch_size=SAMPLES, tau=TAU, **settings)
    make = MLPDeterministicPolicy(Wide(), **SIZES, normalize_observations=normalize, key=KEY)
    networks = networks_of(algorithm, experienced(make, 1), Wide())
    if normalize:
        networks = eqx.tree_at(lambda n: n.target_policy.seen, networks, experienced(make, 2).seen)
    batch = made_up(Wide(), n_step=2)
    return networks, *update(algorithm, networks, batch, number), batch


@pytest.mark.parametrize(
    ("kind", "normalize", "std", "clip"), [(DDPG, False, 0, 0), (TD3, False, 0.8, 0.5), (TD3, True, 0.2, 9)]
)
def test_deterministic_losses_and_gradients_are_those_of_the_papers(kind, normalize, std, clip):
    """Lillicrap et al. (2016), algorithm 1; Fujimoto et al. (2018), algorithm 1."""
    noise = {"target_noise_std": std, "target_noise_clip": clip} if kind is TD3 else {}
    networks, after, log, batch = deterministic(kind, 0, normalize=normalize, **noise)
    seen, reward, discount, next_seen = float64(batch, networks.policy.seen)
    drawn = np.float64(jr.normal(KEY, (SAMPLES, 2), jnp.float32))
    assert clip in (0, 9) or np.abs(std * drawn).max() > clip
    next_action = np.tanh(Plain(networks.target_policy.network)(next_seen))
    next_action = np.clip(next_action + np.clip(std * drawn, -clip, clip), -1, 1)
    targets = [Plain(critic) for critic in networks.target_critics]
    assert len(targets) == {DDPG: 1, TD3: 2}[kind]
    wanted = reward + discount * q_of(targets, next_seen, next_action).min(0)
    action, critics = unit(batch.action), [Plain(critic) for critic in networks.critics]
    critic_loss = lambda: squared(q_of(critics, seen, action), wanted)
    value = q_of(critics, seen, action).mean()
    assert_critics_descended(networks.critics, after.critics, critic_loss, critics)

    net, judge = Plain(networks.policy.network), Plain(after.critics[0])
    policy_loss = lambda: -judge(seen, np.tanh(net(seen))).mean()
    assert_descended(networks.policy.network, after.policy.network, policy_loss, net.parameters)
    assert_logged(log, critic_loss=critic_loss(), q_value=value, policy_loss=policy_loss())

    assert_followed(networks.target_policy.network, after.policy.network, after.target_policy.network, TAU)
    for slow, fast, found in zip(networks.target_critics, after.critics, after.target_critics, strict=True):
        assert_followed(slow, fast, found, TAU)


@pytest.mark.parametrize("kind", [TD3, CrossQ])
def test_the_policy_is_updated_late_and_its_gradient_is_not_computed_in_between(kind):
    """Neither are targets and temperature; the branch without an update holds no matrix product."""
    policy = {TD3: MLPDeterministicPolicy, CrossQ: MLPCrossQPolicy}[kind]
    algorithm = kind(batch_size=SAMPLES, policy_delay=3)
    networks = networks_of(algorithm, policy(Wide(), **SIZES, key=KEY), Wide())
    batch = made_up(Wide())
    waits = lambda n: [getattr(n, name, None) for name in ("policy", *LATE)]
    for number in range(7):
        after, log = update(algorithm, networks, batch, number)
        due = number % 3 == 0
        assert bool(log["policy_loss"].there) == due
        if not due:
            assert_bitwise_equal(waits(after), waits(networks))
        moved = [not np.array_equal(*pair) for pair in pairs(after.policy, networks.policy)]
        assert any(moved) == due
        assert any(not np.array_equal(*pair) for pair in pairs(after.critics, networks.critics))
        networks = after
    arrays, static = eqx.partition(networks, eqx.is_array)
    traced = jax.make_jaxpr(
        lambda arrays, number: eqx.filter(
            algorithm.update(eqx.combine(arrays, static), batch, number=number, key=KEY), eqx.is_array
        )
    )(arrays, jnp.array(0, jnp.int32))
    counts = sorted(str(branch).count("dot_general") for branch in branches(traced.jaxpr))
    assert counts[0] == 0 < counts[1] and len(counts) == 2


LATE = ("target_policy", "target_critics", "temperature")


def pairs(one, other):
    return zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)


def branches(jaxpr):
    """Those of all conditionals in a program."""
    found = []
    for eqn in jaxpr.eqns:
        if eqn.primitive.name == "cond":
            found += eqn.params["branches"]
        else:
            has = lambda part: hasattr(part, "eqns")
            parts = jax.tree.leaves(list(eqn.params.values()), is_leaf=has)
            found += [branch for part in parts if has(part) for branch in branches(part)]
    return found


def test_exploration_stays_in_the_box():
    algorithm = TD3(exploration_std=0.7)
    policy = shaken(MLPDeterministicPolicy(Wide(), **SIZES, key=KEY), 1)
    noise = jax.vmap(lambda key: algorithm.exploration_noise(policy, key=key))(jr.split(KEY, 300))
    explore = jax.vmap(lambda noise: algorithm.explore(policy, jnp.zeros(3), None, noise=noise))
    actions = np.float64(explore(noise))
    expected = np.tanh(Plain(policy.network)(np.zeros((1, 3)))) + 0.7 * np.float64(noise)
    np.testing.assert_allclose(unit(actions), np.clip(expected, -1, 1), atol=1e-5)
    assert (actions.min(0) == LOW).all() and (actions.max(0) == HIGH).all()


# Soft actor-critics


def gaussian(net_output, noise):
    """Unit actions and their log densities; Haarnoja et al. (2018), appendix C, in float64."""
    mean, log_std = np.split(net_output, 2, axis=1)
    log_std = np.clip(log_std, -20, 2)
    raw = mean + np.exp(log_std) * noise
    density = -(noise**2) / 2 - log_std - np.log(2 * np.pi) / 2
    return np.tanh(raw), (density + 2 * np.log(np.cosh(raw))).sum(1)  # 1 - tanh^2 = 1 / cosh^2


def noises(algorithm, policy):
    return np.float64(algorithm.noise_of(policy, (2, SAMPLES), KEY))


def assert_tempered(networks, after, missing, log):
    """Haarnoja et al. (2018), equation 18, for the logarithm of the temperature."""
    old, new = (np.float64(n.temperature.log_alpha) for n in (networks, after))
    np.testing.assert_allclose(new - old, missing, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(log["temperature"], np.exp(old), rtol=1e-5)


def test_sac_losses_and_gradients_are_those_of_the_paper():
    """Haarnoja et al. (2018), equations 3, 5, 7 and 18; the least of the critics is believed."""
    algorithm = GRADIENT[SAC](
        batch_size=SAMPLES, tau=TAU, initial_temperature=0.4, entropy_per_action=-0.7, num_critics=2
    )
    policy = MLPSquashedGaussianPolicy(Wide(), **SIZES, key=KEY)
    networks, batch = networks_of(algorithm, policy, Wide()), made_up(Wide())
    after, log = update(algorithm, networks, batch, 0)
    seen, reward, discount, next_seen = float64(batch)
    net, noise = Plain(networks.policy.network), noises(algorithm, policy)
    next_action, next_density = gaussian(net(next_seen), noise[0])
    targets = [Plain(critic) for critic in networks.target_critics]
    wanted = reward + discount * (q_of(targets, next_seen, next_action).min(0) - 0.4 * next_density)
    action, critics = unit(batch.action), [Plain(critic) for critic in networks.critics]
    critic_loss = lambda: squared(q_of(critics, seen, action), wanted)
    assert_logged(log, critic_loss=critic_loss(), q_value=q_of(critics, seen, action).mean())
    assert_critics_descended(networks.critics, after.critics, critic_loss, critics)
    for slow, fast, found in zip(networks.target_critics, after.critics, after.target_critics, strict=True):
        assert_followed(slow, fast, found, TAU)

    judges = [Plain(critic) for critic in after.critics]

    def policy_loss():
        action, density = gaussian(net(seen), noise[1])
        return (0.4 * density - q_of(judges, seen, action).min(0)).mean()

    entropy = -gaussian(net(seen), noise[1])[1].mean()
    assert_logged(log, policy_loss=policy_loss(), entropy=entropy)
    assert_descended(networks.policy.network, after.policy.network, policy_loss, net.parameters)
    assert_tempered(networks, after, -0.7 * 2 - entropy, log)


def test_a_temperature_that_is_not_learned_stays():
    algorithm = GRADIENT[SAC](batch_size=SAMPLES, initial_temperature=0.4, learn_temperature=False)
    policy = MLPSquashedGaussianPolicy(Wide(), **SIZES, key=KEY)
    networks = networks_of(algorithm, policy, Wide())
    after = update(algorithm, networks, made_up(Wide()), 0)[0]
    assert_bitwise_equal(after.temperature, networks.temperature)


@pytest.mark.parametrize(("masks", "alpha"), [(False, 0.4), (True, 0.4), (True, 30.0)])
def test_discrete_sac_losses_and_gradients_are_those_of_the_paper(masks, alpha):
    """Christodoulou (2019), equations 10, 12 and 11: expectations are sums over what is allowed."""
    algorithm = GRADIENT[DiscreteSAC](
        batch_size=SAMPLES, tau=TAU, initial_temperature=alpha, entropy_fraction=0.8
    )
    policy = MLPCategoricalPolicy(Choice(), **SIZES, key=KEY)
    networks, batch = networks_of(algorithm, policy, Choice()), made_up(Choice(), masks=masks)
    after, log = update(algorithm, networks, batch, 0)
    seen, reward, discount, next_seen = float64(batch)
    everything = np.ones((SAMPLES, 4), bool)
    mask, next_mask = (
        everything if m is None else np.asarray(m) for m in (batch.action_mask, batch.next_action_mask)
    )
    net = Plain(networks.policy.network)

    def chances(observation, mask):
        """Probabilities and their logarithms, 0 for what is not allowed."""
        chance = np.exp(net(observation)) * mask
        chance /= chance.sum(1, keepdims=True)
        return chance, np.log(np.where(mask, chance, 1))

    least = lambda critics, observation: np.stack([critic(observation) for critic in critics]).min(0)
    chance, log_chance = chances(next_seen, next_mask)
    follows = least([Plain(critic) for critic in networks.target_critics], next_seen)
    wanted = reward + discount * (chance * (follows - alpha * log_chance)).sum(1)
    critics = [Plain(critic) for critic in networks.critics]
    found = lambda: np.stack([critic(seen)[EACH, np.asarray(batch.action)] for critic in critics])
    critic_loss = lambda: squared(found(), wanted)
    assert_logged(log, critic_loss=critic_loss(), q_value=found().mean())
    if alpha < 1:
        assert_critics_descended(networks.critics, after.critics, critic_loss, critics)
    for slow, fast, now in zip(networks.target_critics, after.critics, after.target_critics, strict=True):
        assert_followed(slow, fast, now, TAU)

    value = least([Plain(critic) for critic in after.critics], seen)

    def policy_loss():
        chance, log_chance = chances(seen, mask)
        return (chance * (alpha * log_chance - value)).sum(1).mean()

    chance, log_chance = chances(seen, mask)
    entropy = -(chance * log_chance).sum(1).mean()
    assert_logged(log, policy_loss=policy_loss(), entropy=entropy)
    assert_descended(networks.policy.network, after.policy.network, policy_loss, net.parameters)
    assert_tempered(networks, after, 0.8 * np.log(mask.sum(1)).mean() - entropy, log)


def with_moments(network, seed, count):
    """The network, whose layers have seen so many batches."""
    number = iter(range(100))
    changed = lambda norm: eqx.tree_at(
        lambda n: (n.moments.mean, n.moments.variance, n.moments.count),
        norm,
        (
            0.5 * jr.normal(jr.key(seed + next(number)), norm.shift.shape, jnp.float32),
            jr.uniform(jr.key(seed + next(number)), norm.shift.shape, jnp.float32, 0.05, 3.0),
            jnp.array(count, jnp.int32),
        ),
    )
    return eqx.tree_at(lambda n: n.batch_norms, network, [changed(norm) for norm in network.batch_norms])


def assert_moments(network, expected):
    for norm, (mean, variance) in zip(network.batch_norms, expected, strict=True):
        np.testing.assert_allclose(norm.moments.mean, mean, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(norm.moments.variance, variance, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("count", [10, 200_000], ids=["warming up", "corrected"])
def test_crossq_losses_and_gradients_are_those_of_the_paper(count):
    """Bhatt et al. (2024): what is and what follows go through the critics in one batch, which
    renormalises them (Ioffe, 2017); the policy is judged by critics with moving averages."""
    algorithm = GRADIENT[CrossQ](batch_size=SAMPLES, initial_temperature=0.4)
    policy = MLPCrossQPolicy(Wide(), **SIZES, key=KEY)
    networks, batch = networks_of(algorithm, policy, Wide()), made_up(Wide())
    assert networks.target_critics is None
    networks = eqx.tree_at(
        lambda n: (n.policy.network, *n.critics),
        networks,
        tuple(
            with_moments(n, 9 * i, count) for i, n in enumerate((networks.policy.network, *networks.critics))
        ),
    )
    after, log = update(algorithm, networks, batch, 0)
    seen, reward, discount, next_seen = float64(batch)
    net, noise = Plain(networks.policy.network), noises(algorithm, policy)
    next_action, next_density = gaussian(net(next_seen), noise[0])
    both = np.concatenate([seen, next_seen]), np.concatenate([unit(batch.action), next_action])
    critics = [Plain(critic) for critic in networks.critics]
    outputs, held, moments = zip(*(critic.train(*both) for critic in critics), strict=True)
    follows = np.stack(outputs)[:, SAMPLES:, 0].min(0)
    wanted = reward + discount * (follows - 0.4 * next_density)  # a constant, as the corrections are

    def found():
        pairs = zip(critics, held, strict=True)
        return np.stack([c.train(*both, held=h)[0][:SAMPLES, 0] for c, h in pairs])

    critic_loss = lambda: squared(found(), wanted)
    assert_logged(log, critic_loss=critic_loss(), q_value=found().mean())
    assert_critics_descended(networks.critics, after.critics, critic_loss, critics)
    for critic, expected in zip(after.critics, moments, strict=True):
        assert_moments(critic, expected)

    judges = [Plain(critic) for critic in after.critics]
    output, held_policy, policy_moments = net.train(seen)

    def policy_loss():
        action, density = gaussian(net.train(seen, held=held_policy)[0], noise[1])
        return (0.4 * density - q_of(judges, seen, action).min(0)).mean()

    entropy = -gaussian(output, noise[1])[1].mean()
    assert_logged(log, policy_loss=policy_loss(), entropy=entropy)
    assert_descended(networks.policy.network, after.policy.network, policy_loss, net.parameters)
    assert_moments(after.policy.network, policy_moments)
    assert_tempered(networks, after, -1.0 * 2 - entropy, log)


@pytest.mark.parametrize(("kind", "b1"), [(DDPG, 0.9), (SAC, 0.9), (CrossQ, 0.5)])
def test_optimizers_are_adam_with_the_papers_numbers(kind, b1):
    """Kingma and Ba (2015): two steps with the slopes 1 and 0. CrossQ's forgets the first one sooner."""
    optimizer, steps = kind(learning_rate=0.1).optimizer(), []
    state = optimizer.init(jnp.zeros(1, jnp.float32))
    for slope in (1.0, 0.0):
        change, state = optimizer.update(jnp.full(1, slope, jnp.float32), state)
        steps.append(float(change[0]))
    b2 = 0.999
    second = -0.1 * (b1 * (1 - b1) / (1 - b1**2)) / np.sqrt(b2 * (1 - b2) / (1 - b2**2))
    np.testing.assert_allclose(steps, [-0.1, second], rtol=1e-4)
