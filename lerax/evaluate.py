"""Compiled evaluation of a policy: whole episodes for the score, single steps to look at."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import equinox as eqx
import jax
import numpy as np
from jax import lax
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Int, Key, PRNGKeyArray, PyTree
from scipy import special

from lerax import tree
from lerax.collect import Fresh, Standing, Steps, begin, begin_all, step
from lerax.env import AbstractEnvLike, AbstractEnvLikeState
from lerax.env.base_env import unstack
from lerax.env.contract import check_values
from lerax.env.step import check_alive, check_contract
from lerax.policy import AbstractPolicy
from lerax.policy.base_policy import check_policy
from lerax.settings import check_count

CHUNK = 128  # steps of an episode that are played and fetched at once


class Evaluation(eqx.Module):
    """What `evaluate` measured, one entry per episode.

    Attributes:
        returns: Sums of the rewards.
        lengths: Steps.
        finished: Whether the episode ended before the step limit.
    """

    returns: Float[Array, " episode"]
    lengths: Int[Array, " episode"]
    finished: Bool[Array, " episode"]

    def summary(self) -> "Summary":
        """What the episodes come to, on the host."""
        returns, lengths = np.asarray(self.returns, float), np.asarray(self.lengths)
        count, mean = returns.size, float(returns.mean())
        interval = None
        if count > 1:
            margin = float(special.stdtrit(count - 1, 0.975) * returns.std(ddof=1) / math.sqrt(count))
            interval = mean - margin, mean + margin
        return Summary(
            episodes=count,
            cut=int(count - np.asarray(self.finished).sum()),
            mean_return=mean,
            std_return=float(returns.std()),
            interval_return=interval,
            min_return=float(returns.min()),
            max_return=float(returns.max()),
            mean_length=float(lengths.mean()),
            min_length=int(lengths.min()),
            max_length=int(lengths.max()),
        )


class Summary(NamedTuple):
    """What the episodes of an `Evaluation` come to.

    Attributes:
        episodes: How many there were.
        cut: Those that had not ended at the step limit.
        mean_return: Mean of the returns.
        std_return: Their standard deviation.
        interval_return: Where the mean of all possible episodes is, with a confidence of 95 %, by Student's
            t; None for one episode.
        min_return: The least.
        max_return: The most.
        mean_length: Mean of the steps.
        min_length: The fewest.
        max_length: The most.
    """

    episodes: int
    cut: int
    mean_return: float
    std_return: float
    interval_return: tuple[float, float] | None
    min_return: float
    max_return: float
    mean_length: float
    min_length: int
    max_length: int


class Rollout(eqx.Module):
    """Steps of one environment, one episode after the other.

    Attributes:
        states: States of the environment, the first one before the first step: `[time + 1, ...]`.
        rewards: The environment's rewards.
        dones: Whether an episode ended with the step; the state after it begins the next.
    """

    states: AbstractEnvLikeState
    rewards: Float[Array, " time"]
    dones: Bool[Array, " time"]


@tree.compiled
def rollout(
    env: AbstractEnvLike,
    policy: AbstractPolicy,
    *,
    key: PRNGKeyArray,
    num_steps: int,
    deterministic: bool = True,
) -> Rollout:
    """Plays a policy for a number of steps, to be looked at.

    Args:
        env: The environment.
        policy: The policy.
        key: PRNG key: the same key gives the same steps.
        num_steps: How many.
        deterministic: Take the most probable action instead of a sample.

    Returns:
        The states, one more than steps, and what each step gave.
    """
    start, step_key = _begin(env, policy, key)

    def next_step(carry: tuple[Array, Standing], _: None) -> tuple[tuple[Array, Standing], tuple]:
        count, standing = carry
        fresh = Fresh(None, start.policy_state)
        key = jr.fold_in(step_key, count)
        standing, steps = _play(env, policy, standing, fresh, key=key, deterministic=deterministic)[:2]
        return (count + 1, standing), (standing.env_state, steps.reward, steps.done)

    _, (states, rewards, dones) = tree.scan(next_step, (jnp.array(0, jnp.int32), start), length=num_steps)
    put_first = lambda one, rest: jnp.concatenate([one[None], rest]) if eqx.is_array(one) else one
    return Rollout(jax.tree.map(put_first, start.env_state, states), rewards, dones)


class Step(NamedTuple):
    """A step of an episode, on the host.

    Attributes:
        state: The state after it, of NumPy arrays.
        reward: The environment's reward; 0 for the initial state.
        done: Whether the episode ended with it.
    """

    state: AbstractEnvLikeState
    reward: float
    done: bool


def episode(
    env: AbstractEnvLike,
    policy: AbstractPolicy,
    *,
    key: PRNGKeyArray,
    deterministic: bool = True,
    max_steps: int = 10_000,
) -> Iterator[Step]:
    """Plays one episode, and gives its states one by one, from the initial to the last one.

    It is played in compiled chunks, each fetched at once: memory does not grow with its length.

    Args:
        env: The environment.
        policy: The policy.
        key: PRNG key: the same key gives the same episode, that with which `rollout` begins.
        deterministic: Take the most probable action instead of a sample.
        max_steps: Where an episode that does not end is cut.

    Yields:
        The initial state, and the state after each step.

    Raises:
        EnvContractError: The environment breaks the contract.
        ValueError: The policy was made for another environment.
    """
    standing, step_key = _begin(env, policy, key)
    check_alive(env, standing.env_state)
    check_values(env, standing.observation)
    yield Step(tree.on_host(standing.env_state), 0.0, False)
    done = 0
    while done < max_steps:
        now = jnp.array(done, jnp.int32)
        standing, played = _play_on(env, policy, standing, step_key, now, deterministic)
        check_alive(env, standing.env_state)
        states, rewards, dones = tree.on_host(played)
        for state, reward, ended in zip(unstack(states), rewards.tolist(), dones.tolist(), strict=True):
            yield Step(state, reward, ended)
            done += 1
            if ended or done == max_steps:
                return


def evaluate(
    env: AbstractEnvLike,
    policy: AbstractPolicy,
    *,
    key: PRNGKeyArray,
    num_episodes: int = 100,
    deterministic: bool = True,
    max_steps: int = 10_000,
) -> Evaluation:
    """Plays whole episodes side by side, the first of each environment.

    Args:
        env: The environment.
        policy: The policy.
        key: PRNG key: the same key gives the same episodes.
        num_episodes: How many.
        deterministic: Take the most probable action instead of a sample.
        max_steps: Where an episode that does not end is cut.

    Returns:
        Return and length of each episode.

    Raises:
        EnvContractError: The environment breaks the contract.
        ValueError: The policy was made for another environment.
        HostedEnvError: An environment outside of JAX has failed.
    """
    played, states = _evaluate(
        env, policy, key=key, num_episodes=num_episodes, deterministic=deterministic, max_steps=max_steps
    )
    if not tree.is_traced(states):
        check_alive(env, states)
    return played


@tree.compiled
def _evaluate(
    env: AbstractEnvLike,
    policy: AbstractPolicy,
    *,
    key: PRNGKeyArray,
    num_episodes: int,
    deterministic: bool,
    max_steps: int,
) -> tuple[Evaluation, AbstractEnvLikeState]:
    """The same, and the states that the environments come to."""
    check_contract(env)
    check_policy(policy, env)
    num_episodes = check_count("num_episodes", num_episodes, 100)
    keys = jr.split(tree.typed_key(key), (num_episodes, 4))

    def next_step(carry: tuple) -> tuple:
        count, standing, returns, lengths, over = carry

        def one(standing: Standing, key: Key[Array, ""]) -> tuple[Standing, Steps, AbstractEnvLikeState]:
            key = jr.fold_in(key, count)
            return _play(env, policy, standing, _same(standing), key=key, deterministic=deterministic)

        standing, steps, _ = jax.vmap(one)(standing, keys[:, 3])
        returns = returns + jnp.where(over, 0.0, steps.reward)
        lengths = lengths + ~over
        return count + 1, standing, returns, lengths, over | steps.done

    standing = begin_all(env, policy, keys[:, :3])
    returns = jnp.zeros(num_episodes, jnp.float32)
    lengths = jnp.zeros(num_episodes, jnp.int32)
    carry = (jnp.array(0, jnp.int32), standing, returns, lengths, jnp.zeros(num_episodes, bool))
    carry = lax.while_loop(lambda c: (c[0] < max_steps) & ~jnp.all(c[-1]), next_step, carry)
    return Evaluation(*carry[-3:]), carry[1].env_state


@tree.compiled
def _begin(env: AbstractEnvLike, policy: AbstractPolicy, key: PRNGKeyArray) -> tuple[Standing, Array]:
    """Where the environment stands before the first step, and the key of the steps."""
    check_contract(env)
    check_policy(policy, env)
    *keys, step_key = jr.split(tree.typed_key(key), 4)
    return tree.strongly_typed(begin(env, policy, *keys)), step_key


@tree.compiled
def _play_on(
    env: AbstractEnvLike,
    policy: AbstractPolicy,
    standing: Standing,
    step_key: Array,
    done: Int[Array, ""],
    deterministic: bool,
) -> tuple[Standing, tuple]:
    """The next steps of an episode; those after its end mean nothing."""

    def next_step(standing: Standing, count: Int[Array, ""]) -> tuple[Standing, tuple]:
        key = jr.fold_in(step_key, count)
        standing, steps, state = _play(
            env, policy, standing, _same(standing), key=key, deterministic=deterministic
        )
        return standing, (state, steps.reward, steps.done)

    return tree.scan(next_step, standing, done + jnp.arange(CHUNK, dtype=jnp.int32))


def _same(standing: Standing) -> Fresh:
    """What an episode is followed by where that is not looked at: any state will do, so the last one."""
    return Fresh(standing.env_state, standing.policy_state)


def _play(
    env: AbstractEnvLike,
    policy: AbstractPolicy,
    standing: Standing,
    fresh: Fresh,
    *,
    key: Key[Array, ""],
    deterministic: bool,
) -> tuple[Standing, Steps, AbstractEnvLikeState]:
    """One step of a policy at play."""

    def act(
        state: PyTree, observation: PyTree, mask: Bool[Array, "..."] | None, key: Array
    ) -> tuple[PyTree, PyTree, None]:
        return *policy(state, observation, key=None if deterministic else key, action_mask=mask), None

    act_key, env_key, mask_key = jr.split(key, 3)
    return step(env, act, standing, act_key, fresh, mask_key=mask_key, key=env_key)
