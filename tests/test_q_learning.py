"""DQN: its loss, its gradient and its target network against NumPy."""

import dataclasses

import equinox as eqx
import numpy as np
import optax
import pytest
from jax import numpy as jnp
from plain import (
    KEY,
    SAMPLES,
    Choice,
    Plain,
    assert_descended,
    assert_followed,
    by_gradient,
    changes,
    experienced,
    float64,
    made_up,
    shaken,
    slopes,
    update,
)
from toys import assert_bitwise_equal

from lerax.algorithm import DQN, AbstractOffPolicyAlgorithm
from lerax.policy import MLPQPolicy

EACH = np.arange(SAMPLES)
SIZES = {"hidden_sizes": (5,), "activation": "tanh"}
POLICIES = [
    shaken(MLPQPolicy(Choice(), **SIZES, normalize_observations=normalize, key=KEY), 1)
    for normalize in (False, True)
]


def networks_of(algorithm, policy=POLICIES[0]):
    """With a target that differs, in what it has seen, too."""
    networks = algorithm.init_networks(Choice(), experienced(policy, 1), key=KEY)
    return eqx.tree_at(lambda n: n.target, networks, shaken(experienced(policy, 2), 2, 1.0))


DESCENDS = by_gradient(DQN)


def loss_of(net, networks, batch, double):
    """The mean Huber loss (Mnih et al., 2015) of a network, in float64."""
    seen, reward, discount, next_seen = float64(batch, networks.policy.seen)
    follows = Plain(networks.target.network)(next_seen)
    judged = Plain(networks.policy.network)(next_seen) if double else follows
    if batch.next_action_mask is not None:
        judged = np.where(batch.next_action_mask, judged, -np.inf)
    wanted = reward + discount * follows[EACH, judged.argmax(1)]
    error = np.abs(net(seen)[EACH, np.asarray(batch.action)] - wanted)
    assert error.min() < 1 < error.max(), "both sides of the Huber loss"
    return np.where(error < 1, error**2 / 2, error - 0.5).mean()


@pytest.mark.parametrize("policy", POLICIES, ids=["plain", "normalized"])
@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("double", [False, True])
def test_loss_and_gradient_are_those_of_the_papers(double, masks, policy):
    """Mnih et al. (2015) and van Hasselt et al. (2016): the target network values what which one chose."""
    algorithm = DESCENDS(double=double)
    networks, batch = networks_of(algorithm, policy), made_up(Choice(), masks=masks, n_step=3)
    after, log = update(algorithm, networks, batch, 0)
    net = Plain(networks.policy.network)
    loss = lambda: loss_of(net, networks, batch, double)
    np.testing.assert_allclose(log["loss"], loss(), rtol=1e-5)
    seen = net(float64(batch, networks.policy.seen)[0])
    np.testing.assert_allclose(log["q_value"], seen[EACH, np.asarray(batch.action)].mean(), rtol=1e-5)
    assert_descended(networks.policy.network, after.policy.network, loss, net.parameters)


def test_the_cases_differ():
    """Which action is chosen depends on who chooses, and on what is allowed."""
    networks = networks_of(DQN())
    batches = made_up(Choice()), made_up(Choice(), masks=True)
    net = Plain(networks.policy.network)
    assert len({loss_of(net, networks, batch, double) for batch in batches for double in (0, 1)}) == 4


def test_no_forbidden_action_is_valued():
    """Of the one that the target network praises above all nothing is left where it is forbidden."""
    networks, batch = networks_of(DQN()), made_up(Choice(), masks=True)
    praised = networks.target.network.biases[-1].at[2].add(1e6)
    networks = eqx.tree_at(lambda n: n.target.network.biases[-1], networks, praised)
    networks = eqx.tree_at(lambda n: n.policy.network.biases[-1], networks, praised)
    mask = batch.next_action_mask.at[:, 2].set(False)
    batch = dataclasses.replace(batch, next_action_mask=mask, action=jnp.zeros_like(batch.action))
    for double in (False, True):
        assert float(update(DQN(double=double), networks, batch, 0)[1]["loss"]) < 100


def test_where_nothing_is_allowed_any_longer_all_actions_count():
    networks, batch = networks_of(DQN()), made_up(Choice(), masks=True)
    none = dataclasses.replace(batch, next_action_mask=jnp.zeros_like(batch.next_action_mask))
    free = dataclasses.replace(batch, next_action_mask=None)
    losses = [float(update(DQN(), networks, one, 0)[1]["loss"]) for one in (none, free)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


@pytest.mark.parametrize("longest", [0.05, 1e6])
def test_gradients_are_scaled_down_to_the_longest_that_may_be(longest):
    class Descends(AbstractOffPolicyAlgorithm):
        def optimizer(self):
            return optax.sgd(1.0)

    algorithm = type("Scaled", (DQN, Descends), {})(max_grad_norm=longest, double=False)
    networks, batch = networks_of(algorithm), made_up(Choice())
    net = Plain(networks.policy.network)
    expected = slopes(lambda: loss_of(net, networks, batch, False), net.parameters)
    norm = np.sqrt(sum((slope**2).sum() for slope in expected))
    after = update(algorithm, networks, batch, 0)[0]
    for found, slope in zip(changes(net_of(networks), net_of(after)), expected, strict=True):
        np.testing.assert_allclose(found, slope * min(1, longest / norm), rtol=2e-3, atol=1e-5)


def net_of(networks):
    return networks.policy.network


def test_the_target_is_a_copy_made_after_every_so_many_updates():
    algorithm = DESCENDS(target_interval=3)
    networks, batch = networks_of(algorithm), made_up(Choice())
    for number in range(7):
        after = update(algorithm, networks, batch, number)[0]
        expected = net_of(after) if (number + 1) % 3 == 0 else networks.target.network
        assert_bitwise_equal(after.target.network, expected)
        networks = after


def test_a_slow_target_goes_a_part_of_the_way():
    algorithm = DESCENDS(target_interval=1, tau=0.25)
    networks, batch = networks_of(algorithm), made_up(Choice())
    after = update(algorithm, networks, batch, 0)[0]
    assert_followed(networks.target.network, net_of(after), after.target.network, 0.25)


def test_its_optimizer_is_adam():
    """Kingma and Ba (2015): the first step is as long as the learning rate, whatever the slope."""
    algorithm = DQN(learning_rate=0.01)
    networks, batch = networks_of(algorithm), made_up(Choice())
    after = update(algorithm, networks, batch, 0)[0]
    steps = np.concatenate([np.abs(c).ravel() for c in changes(net_of(networks), net_of(after))])
    assert np.isclose(steps[steps > 1e-8], 0.01, rtol=2e-3).mean() > 0.9
