"""Networks in NumPy's float64, slopes by differences, and made-up steps: what updates are held to."""

import equinox as eqx
import jax
import numpy as np
import optax
from jax import numpy as jnp
from jax import random as jr
from toys import Target

from lerax import tree
from lerax.algorithm import Transitions
from lerax.space import Box, Discrete

SAMPLES, GAMMA = 7, 0.9
KEY = jr.key(5)
ACTIVATIONS = {"tanh": np.tanh, "relu": lambda x: np.maximum(x, 0)}


class Wide(Target):
    """Two numbers of different ranges as an action."""

    action_space = Box(np.array([-2.0, 0.0]), np.array([2.0, 1.0]))
    observation_space = Box(-1.0, 1.0, shape=(3,))


class Choice(Target):
    """One of four actions."""

    action_space = Discrete(4)
    observation_space = Box(-1.0, 1.0, shape=(3,))


class Plain:
    """A perceptron that computes in float64; its arrays may be changed in place.

    Args:
        network: The network whose weights it takes.
    """

    def __init__(self, network):
        of = lambda arrays: [np.array(array, np.float64) for array in arrays]
        self.activation = ACTIVATIONS[network.activation]
        self.weights, self.biases = of(network.weights), of(network.biases)
        norms = network.batch_norms
        self.scales, self.shifts = of(n.scale for n in norms), of(n.shift for n in norms)
        self.means, self.variances = of(n.moments.mean for n in norms), of(n.moments.variance for n in norms)
        self.warm = [int(n.moments.count) >= n.warm_up for n in norms]

    @property
    def parameters(self):
        return [*self.weights, *self.biases, *self.scales, *self.shifts]

    def __call__(self, *inputs):
        """Outputs `[sample, out]`, with batch renormalisation by moving averages where there is some."""
        return self._forward(np.concatenate(inputs, 1), self._moving)

    def train(self, *inputs, held=None):
        """Outputs by the batch's own statistics (Ioffe, 2017, algorithm 1), corrections, and new averages.

        Args:
            inputs: The inputs, `[sample, size]` each.
            held: Corrections that were found before, and are constants now.
        """
        corrections, after = [], []

        def by_batch(i, x):
            mean, variance = x.mean(0), x.var(0)
            deviation, moving = np.sqrt(variance + 1e-3), np.sqrt(self.variances[i] + 1e-3)
            r = np.clip(deviation / moving, 1 / 3, 3) if self.warm[i] else 1.0
            d = np.clip((mean - self.means[i]) / moving, -5, 5) if self.warm[i] else 0.0
            corrections.append((r, d))
            r, d = held[i] if held else (r, d)
            after.append((0.99 * self.means[i] + 0.01 * mean, 0.99 * self.variances[i] + 0.01 * variance))
            return ((x - mean) / deviation * r + d) * self.scales[i] + self.shifts[i]

        return self._forward(np.concatenate(inputs, 1), by_batch), corrections, after

    def _moving(self, i, x):
        return (x - self.means[i]) / np.sqrt(self.variances[i] + 1e-3) * self.scales[i] + self.shifts[i]

    def _forward(self, x, normalize):
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = (normalize(i, x) if self.scales else x) @ weight + bias
            x = self.activation(x) if i + 1 < len(self.weights) else x
        return x


def slopes(loss, parameters, step=1e-5):
    """The gradient of a loss by arrays that it reads, by central differences."""
    found = []
    for array in parameters:
        slope = np.zeros_like(array)
        for place in np.ndindex(array.shape):
            middle, sides = array[place], []
            for change in (step, -step):
                array[place] = middle + change
                sides.append(loss())
            array[place] = middle
            slope[place] = (sides[0] - sides[1]) / (2 * step)
        found.append(slope)
    return found


def changes(before, after):
    """By how much the parameters of networks fell: the gradient, where the step size is 1."""
    pairs = zip(Plain(before).parameters, Plain(after).parameters, strict=True)
    return [one - other for one, other in pairs]


def assert_descended(before, after, loss, parameters):
    """The step from one network to the other is the loss's slope by what it reads of the first."""
    expected = slopes(loss, parameters)
    assert max(np.abs(slope).max() for slope in expected) > 1e-3  # a loss that depends on it
    for found, slope in zip(changes(before, after), expected, strict=True):
        np.testing.assert_allclose(found, slope, rtol=2e-3, atol=2e-5)


def assert_followed(before, network, after, tau):
    """A target that has gone this part of the way (Lillicrap et al., 2016)."""
    old, new, now = (Plain(one).parameters for one in (before, network, after))
    for slow, fast, found in zip(old, new, now, strict=True):
        np.testing.assert_allclose(found, (1 - tau) * slow + tau * fast, rtol=1e-5, atol=1e-6)


def by_gradient(kind):
    """The algorithm, whose updates are steps of size 1 down the gradient."""
    return type(kind.__name__, (kind,), {"optimizer": lambda self: optax.sgd(1.0)})


def made_up(env, *, masks=False, n_step=1):
    """A batch of transitions, two of which end the task."""
    rng = np.random.default_rng(3)
    numbers = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)
    if isinstance(env.action_space, Discrete):
        action = jnp.asarray(rng.integers(0, 4, SAMPLES), jnp.int32)
    else:
        action = jax.vmap(lambda key: env.action_space.sample(key=key))(jr.split(KEY, SAMPLES))
    mask = lambda: jnp.asarray(rng.random((SAMPLES, 4)) < 0.6).at[:, 1].set(True) if masks else None
    return Transitions(
        observation=numbers(SAMPLES, 3),
        action=action,
        action_mask=mask(),
        reward=3 * numbers(SAMPLES),
        discount=jnp.where(jnp.arange(SAMPLES) < 2, 0.0, jnp.float32(GAMMA**n_step)),
        next_observation=numbers(SAMPLES, 3),
        next_action_mask=mask(),
    )


def shaken(module, seed, size=0.3):
    """The module, all of whose trained numbers have moved: no bias is 0 any more."""
    vector, back = tree.ravel(module, tree.trainable(module))
    return back(vector + size * jr.normal(jr.key(seed), vector.shape, jnp.float32))


@eqx.filter_jit
def update(algorithm, networks, batch, number):
    """One update."""
    return algorithm.update(networks, batch, number=jnp.asarray(number, jnp.int32), key=KEY)


def float64(batch, seen=None):
    """Observations, rewards, discounts and next observations, normalised by what a policy has seen."""
    of = (batch.observation, batch.reward, batch.discount, batch.next_observation)
    now, reward, discount, then = (np.float64(x) for x in of)
    if seen is not None:
        now, then = ((x - seen.mean) / np.sqrt(np.float64(seen.variance) + 1e-8) for x in (now, then))
    return now, reward, discount, then


def experienced(policy, number):
    """The policy, after it has seen some observations."""
    seen = jr.normal(jr.key(number), (50, 3), jnp.float32) * (1 + number) + number
    return policy.after_rollout(seen)
