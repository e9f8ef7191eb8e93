"""The iteration of off-policy algorithms, one scan: act, store, draw, update. A subclass gives the update."""

import dataclasses
from abc import abstractmethod
from typing import Any, Generic

import equinox as eqx
import jax
import numpy as np
import optax
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from lerax import tree
from lerax.collect import Drawn, Standing, Steps, draw, take
from lerax.env import AbstractEnvLike
from lerax.errors import SettingError
from lerax.learner import AbstractLearner, Log, Maybe, as_maybe, means
from lerax.policy import AbstractPolicy
from lerax.schedule import scheduled
from lerax.settings import check_settings

from .. import arguments as shared
from .. import footprint
from ..base_algorithm import AbstractAlgorithm
from ..optimizer import adam, with_rate
from ..state import AlgorithmState
from . import arguments
from .buffer import ReplayBuffer, Row, Transitions
from .exploring import random_action, random_noise
from .networks import NetworksT, trainable


class OffPolicyLearner(AbstractLearner, Generic[NetworksT]):
    """What off-policy algorithms keep.

    Attributes:
        networks: All that updates change.
        buffer: What has happened.
        num_updates: Updates so far.
    """

    networks: NetworksT
    buffer: ReplayBuffer
    num_updates: Int[Array, ""]

    @property
    def policy(self) -> Any:
        return self.networks.policy

    @property
    def opt_state(self) -> PyTree:
        return self.networks.opt_state

    @property
    def replay(self) -> ReplayBuffer:
        return self.buffer


class AbstractOffPolicyAlgorithm(AbstractAlgorithm[OffPolicyLearner[NetworksT]], Generic[NetworksT]):
    """Learns from all that has happened, drawn from a replay buffer.

    Its settings are those of SAC's authors where an algorithm says nothing else.

    Attributes:
        num_steps: Steps of each environment in an iteration.
        train_frequency: Steps of each environment between updates.
        gradient_steps: Updates that are made then.
        buffer_size: Steps that the replay buffer holds, of all environments; rounded down to whole rounds.
        batch_size: Steps that an update reads.
        learning_starts: Steps, of all environments, that are taken at random before the first update, or
            until the buffer is full.
        n_step: Steps whose rewards are summed before a value is looked up.
        hold_noise: Whether the noise of actions is drawn once between updates: what is tried lasts longer.
        gamma: Discount factor.
        learning_rate: Step size of all optimizers.
        learning_rate_schedule: How it falls over the training.
    """

    num_envs: int = shared.num_envs(1)
    num_steps: int = shared.num_steps(256)
    train_frequency: int = arguments.train_frequency(1)
    gradient_steps: int = arguments.gradient_steps(1)
    buffer_size: int = arguments.buffer_size(1_000_000)
    batch_size: int = arguments.batch_size(256)
    learning_starts: int = arguments.learning_starts(5_000)
    n_step: int = arguments.n_step()
    hold_noise: bool = arguments.hold_noise()
    learning_rate: float = shared.learning_rate(3e-4)
    learning_rate_schedule: str = shared.learning_rate_schedule()
    gamma: float = shared.gamma()

    def __check_init__(self):
        check_settings(self)
        if over := self.num_steps % self.train_frequency:
            wrong, less = f"not a multiple of train_frequency = {self.train_frequency}", self.num_steps - over
            nearest = ", ".join(str(n) for n in (less, less + self.train_frequency) if n)
            raise SettingError("num_steps", self.num_steps, wrong=wrong, hint=f"nearest: {nearest}")
        least = self.num_envs * self.train_frequency * -(-self.n_step // self.train_frequency)
        if self.buffer_size < least:
            wrong = f"less than num_envs * train_frequency * ceil(n_step / train_frequency) = {least}"
            raise SettingError("buffer_size", self.buffer_size, wrong=wrong)

    @abstractmethod
    def init_networks(self, env: AbstractEnvLike, policy: Any, *, key: Key[Array, ""]) -> NetworksT:
        """All that updates change, at the start.

        Raises:
            TypeError: The algorithm cannot train such a policy.
        """

    @abstractmethod
    def explore(
        self,
        policy: Any,
        observation: PyTree,
        action_mask: Bool[Array, "..."] | None,
        *,
        noise: Any,
    ) -> PyTree:
        """An action that is tried in training, for one observation; `noise` is from `exploration_noise`."""

    def exploration_noise(self, policy: Any, *, key: Key[Array, ""]) -> Any:
        """What `explore` takes as its noise; by default the policy's."""
        return policy.noise(key=key)

    @abstractmethod
    def update(
        self, networks: NetworksT, batch: Transitions, *, number: Int[Array, ""], key: Key[Array, ""]
    ) -> tuple[NetworksT, Log]:
        """One update.

        Args:
            networks: What it changes.
            batch: Draws from the replay buffer.
            number: Updates before this one.
            key: PRNG key.

        Returns:
            The networks after it, and scalars to log by name, a `Maybe` where a value is not always there.
        """

    def prepared(self, networks: NetworksT, progress: Float[Array, ""]) -> NetworksT:
        """The networks with what schedules say for this iteration: the learning rate.

        Args:
            networks: The networks.
            progress: The part of the training that is done, from 0 towards 1.
        """
        rate = scheduled(self.learning_rate_schedule, self.learning_rate, progress)
        return eqx.tree_at(lambda n: n.opt_state, networks, with_rate(networks.opt_state, rate))

    def optimizer(self) -> optax.GradientTransformation:
        """The optimizer of each network, which works on all that is trainable as one vector."""
        return adam(self.learning_rate)

    def optimized(self, *networks: Any) -> tuple[Any, ...]:
        """What the optimizers of the networks hold at first."""
        return tuple(self.optimizer().init(tree.ravel(one, trainable(one))[0]) for one in networks)

    @property
    def steps_per_iteration(self) -> int:
        return self.num_envs * self.num_steps

    def divided(self, count: int) -> AbstractAlgorithm:
        parts = {name: getattr(self, name) // count for name in ("num_envs", "buffer_size", "batch_size")}
        return tree.with_fields(self, parts | {"learning_starts": -(-self.learning_starts // count)})

    def idle(self, total_timesteps: int) -> str:
        steps = self.num_iterations(total_timesteps) * self.steps_per_iteration
        rounds = self.num_envs * self.train_frequency
        waits = min(self.learning_starts, self.buffer_size // rounds * rounds)  # see `_warm`
        for name, needed in (("learning_starts", waits), ("n_step", self.num_envs * self.n_step)):
            if steps < needed:
                return f"no update is made in {steps} steps: {name} = {getattr(self, name)}"
        return ""

    def init_learner(
        self, env: AbstractEnvLike, policy: AbstractPolicy, *, key: Key[Array, ""]
    ) -> OffPolicyLearner[NetworksT]:
        networks = self.init_networks(env, policy, key=key)
        rounds = self.buffer_size // (self.num_envs * self.train_frequency)
        row = _row(env, policy)
        buffer = ReplayBuffer.empty(row, rounds * self.train_frequency, self.num_envs)
        make: Any = OffPolicyLearner  # two of whose fields are properties, which pyright does not see
        return make(networks, buffer, jnp.array(0, jnp.int32))

    def buffers(self, env: AbstractEnvLike, policy: Any) -> dict[str, int]:
        row = footprint.size(_row(env, policy))
        fresh = footprint.size(eqx.filter_eval_shape(lambda seed: env.draw(key=jr.key(seed)), np.uint32(0)))
        networks = lambda policy, seed: self.init_networks(env, policy, key=jr.key(seed))
        layers = footprint.layers(eqx.filter_eval_shape(networks, policy, np.uint32(0)))
        return {
            "steps": (2 * row + fresh) * self.steps_per_iteration,
            "update": self.batch_size * (2 * row * self.n_step + sum(layers)),
        }

    def iteration(
        self, state: AlgorithmState[OffPolicyLearner[NetworksT]], *, key: Key[Array, ""]
    ) -> tuple[AlgorithmState[OffPolicyLearner[NetworksT]], Steps, Log]:
        learner = state.learner
        learner = dataclasses.replace(learner, networks=self.prepared(learner.networks, self.progress(state)))

        def one(carry: Any, given: tuple[Drawn, Key[Array, "update 2"]]) -> Any:
            standing, learner = carry
            standing, steps = self._take(state.env, learner, standing, given[0])
            buffer = learner.buffer.added(steps)
            networks, log = self._updated(learner.networks, buffer, learner.num_updates, given[1])
            number = learner.num_updates + self._ready(buffer) * self.gradient_steps
            learner = dataclasses.replace(learner, networks=networks, buffer=buffer, num_updates=number)
            return (standing, learner), (steps, log)

        keys = jax.vmap(jr.split)(jr.split(key, self._rounds))
        drawn = self._drawn(state.env, learner.policy, state.standing, keys[:, 0])
        of_updates = jax.vmap(lambda key: jax.vmap(jr.split)(jr.split(key, self.gradient_steps)))(keys[:, 1])
        (standing, learner), (steps, log) = tree.scan(one, (state.standing, learner), (drawn, of_updates))
        steps = jax.tree.map(lambda x: x.reshape(self.num_steps, *x.shape[2:]), steps)
        rate = scheduled(self.learning_rate_schedule, self.learning_rate, self.progress(state))
        log = means(log) | self.logged(learner.networks) | {"learning_rate": rate}
        return state.after(standing, _seen_more(learner, steps)), steps, log

    def rollout(
        self, state: AlgorithmState[OffPolicyLearner[NetworksT]], *, key: Key[Array, ""]
    ) -> tuple[Standing, Steps]:
        drawn = self._drawn(state.env, state.learner.policy, state.standing, jr.split(key, self._rounds))
        one = lambda standing, drawn: self._take(state.env, state.learner, standing, drawn)
        standing, steps = tree.scan(one, state.standing, drawn)
        return standing, jax.tree.map(lambda x: x.reshape(self.num_steps, *x.shape[2:]), steps)

    def logged(self, networks: NetworksT) -> Log:
        """Scalars to log of the networks after an iteration."""
        return {}

    def _warm(self, buffer: ReplayBuffer) -> Bool[Array, ""]:
        """Whether `learning_starts` steps have been stored."""
        full = buffer.size == buffer.capacity  # which may be less
        return full | (buffer.size >= -(-self.learning_starts // self.num_envs))

    def _ready(self, buffer: ReplayBuffer) -> Bool[Array, ""]:
        return self._warm(buffer) & (buffer.size >= self.n_step)

    @property
    def _rounds(self) -> int:
        """How often an iteration updates."""
        return self.num_steps // self.train_frequency

    def _drawn(
        self, env: AbstractEnvLike, policy: Any, standing: Standing, keys: Key[Array, " round"]
    ) -> Drawn:
        """What is random of an iteration's steps, `[round, time, env]`."""

        def noise(key: Key[Array, ""]) -> PyTree:
            explore_key, random_key = jr.split(key)
            own = self.exploration_noise(policy, key=explore_key)
            return own, random_noise(env.action_space, key=random_key)

        sizes = {"num_steps": self.train_frequency, "num_envs": standing.num_envs}
        one = lambda key: draw(env, policy, noise, key=key, hold_noise=self.hold_noise, **sizes)
        return jax.vmap(one)(keys)

    def _take(
        self, env: AbstractEnvLike, learner: Any, standing: Standing, drawn: Drawn
    ) -> tuple[Standing, Steps]:
        """Steps every environment `train_frequency` times, at first at random."""
        policy, space, warm = learner.policy, env.action_space, self._warm(learner.buffer)

        def act(memory: PyTree, observation: PyTree, mask: PyTree, noise: PyTree) -> tuple:
            action = self.explore(policy, observation, mask, noise=noise[0])
            action = tree.where(warm, action, random_action(space, mask, noise[1]))
            return memory, action, None

        return take(env, act, standing, drawn)

    def _updated(
        self,
        networks: NetworksT,
        buffer: ReplayBuffer,
        number: Int[Array, ""],
        keys: Key[Array, "update 2"],
    ) -> tuple[NetworksT, dict[str, Maybe]]:
        """`gradient_steps` updates, once there is enough to draw from."""

        def one(networks: NetworksT, xs: tuple[Array, Key[Array, "2"]]) -> tuple[NetworksT, dict[str, Maybe]]:
            draw_key, update_key = xs[1]
            batch = buffer.sample(self.batch_size, n_step=self.n_step, gamma=self.gamma, key=draw_key)
            networks, log = self.update(networks, batch, number=number + xs[0], key=update_key)
            return tree.strongly_typed(networks), {name: as_maybe(entry) for name, entry in log.items()}

        def update(networks: NetworksT) -> tuple[NetworksT, dict[str, Maybe]]:
            return tree.scan(one, networks, (jnp.arange(self.gradient_steps, dtype=jnp.int32), keys))

        blank = jax.tree.map(jnp.zeros_like, eqx.filter_eval_shape(update, networks)[1])
        return tree.cond(self._ready(buffer), update, lambda networks: (networks, blank), networks)


def _seen_more(learner: OffPolicyLearner[NetworksT], steps: Steps) -> OffPolicyLearner[NetworksT]:
    """The learner whose policy has learned what it learns of observations other than by gradients."""
    observations = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), steps.observation)
    return eqx.tree_at(
        lambda learner: learner.networks.policy, learner, learner.policy.after_rollout(observations)
    )


def _row(env: AbstractEnvLike, policy: Any) -> Row:
    """The form of one step as it is stored."""

    def row(policy: Any, seed: Any) -> Row:
        state = env.initial(key=(key := jr.key(seed)))
        observation, mask = env.observation(state, key=key), env.action_mask(state, key=key)
        action = policy(policy.reset(key=key), observation, key=key, action_mask=mask)[1]
        no = jnp.array(False)
        return Row(observation, action, mask, jnp.array(0, jnp.float32), no, no, observation, mask)

    return eqx.filter_eval_shape(row, policy, np.uint32(0))
