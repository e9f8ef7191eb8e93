"""Compiled evaluation of a policy: whole episodes for the score, single steps to look at."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import equinox as eqx
import jax
from jax import lax
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Int, Key, PRNGKeyArray, PyTree

from lerax import tree
from lerax.env import AbstractEnvLike, Transition, advance
from lerax.env.base_env import unstack
from lerax.env.contract import check_values
from lerax.env.step import allowed_actions, begin_episode, check_contract
from lerax.policy import AbstractPolicy
from lerax.policy.base_policy import check_policy
from lerax.settings import check_count
from lerax.space import Box

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


class Rollout(eqx.Module):
    """Steps of one environment, one episode after the other.

    Attributes:
        states: States of the environment, the first one before the first step: `[time + 1, ...]`.
        rewards: The environment's rewards.
        dones: Whether an episode ended with the step; the state after it begins the next.
    """

    states: Any
    rewards: Float[Array, " time"]
    dones: Bool[Array, " time"]


@eqx.filter_jit
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
    carry, step_key = _begin(env, policy, key)
    _, first, _, blank = carry

    def step(carry: tuple, _: None) -> tuple:
        count, state, observation, memory = carry
        key = jr.fold_in(step_key, count)
        memory, taken = _act(env, policy, state, observation, memory, key=key, deterministic=deterministic)
        memory = tree.where(taken.done, blank, memory)
        return (count + 1, taken.state, taken.observation, memory), (taken.state, taken.reward, taken.done)

    _, (states, rewards, dones) = tree.scan(step, carry, length=num_steps)
    put_first = lambda one, rest: jnp.concatenate([one[None], rest]) if eqx.is_array(one) else one
    return Rollout(jax.tree.map(put_first, first, states), rewards, dones)


class Step(NamedTuple):
    """A step of an episode, on the host.

    Attributes:
        state: The state after it, of NumPy arrays.
        reward: The environment's reward; 0 for the initial state.
        done: Whether the episode ended with it.
    """

    state: Any
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
    carry, step_key = _begin(env, policy, key)
    check_values(env, carry[2])
    yield Step(tree.on_host(carry[1]), 0.0, False)
    left = max_steps
    while left > 0:
        carry, played = _play(env, policy, carry, step_key, deterministic)
        states, rewards, dones = tree.on_host(played)
        for state, reward, done in zip(unstack(states), rewards.tolist(), dones.tolist(), strict=True):
            yield Step(state, reward, done)
            left -= 1
            if done or not left:
                return


@eqx.filter_jit
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
    """
    check_contract(env)
    check_policy(policy, env)
    num_episodes = check_count("num_episodes", num_episodes, 100)
    reset_key, show_key, policy_key, step_key = jr.split(tree.typed_key(key), 4)
    rows = jnp.arange(num_episodes, dtype=jnp.int32)

    def step(carry: tuple) -> tuple:
        count, state, observation, memory, returns, lengths, over = carry

        def one(state, observation, memory, row):  # type: ignore[no-untyped-def]
            key = jr.fold_in(jr.fold_in(step_key, row), count)
            # The episode that would follow is never looked at: any state will do to begin it.
            return _act(
                env, policy, state, observation, memory, key=key, deterministic=deterministic, fresh=state
            )

        memory, taken = jax.vmap(one)(state, observation, memory, rows)
        returns = returns + jnp.where(over, 0.0, taken.reward)
        lengths = lengths + ~over
        return count + 1, taken.state, taken.observation, memory, returns, lengths, over | taken.done

    begin = jax.vmap(lambda k, s: begin_episode(env, key=k, show_key=s))
    state, observation = begin(jr.split(reset_key, num_episodes), jr.split(show_key, num_episodes))
    memory = jax.vmap(lambda k: policy.reset(key=k))(jr.split(policy_key, num_episodes))
    zeros = (
        jnp.zeros(num_episodes, jnp.float32),
        jnp.zeros(num_episodes, jnp.int32),
        jnp.zeros(num_episodes, bool),
    )
    carry = (jnp.array(0, jnp.int32), state, observation, memory, *zeros)
    carry = lax.while_loop(lambda c: (c[0] < max_steps) & ~jnp.all(c[-1]), step, carry)
    return Evaluation(*carry[-3:])


@eqx.filter_jit
def _begin(env: AbstractEnvLike, policy: AbstractPolicy, key: PRNGKeyArray) -> tuple[tuple, Array]:
    """Steps so far, state, observation and memory before the first step, and the key of the steps."""
    check_contract(env)
    check_policy(policy, env)
    reset_key, show_key, policy_key, step_key = jr.split(tree.typed_key(key), 4)
    carry = (*begin_episode(env, key=reset_key, show_key=show_key), policy.reset(key=policy_key))
    return (jnp.array(0, jnp.int32), *tree.strongly_typed(carry)), step_key


@eqx.filter_jit
def _play(
    env: AbstractEnvLike, policy: AbstractPolicy, carry: tuple, step_key: Array, deterministic: bool
) -> tuple[tuple, tuple]:
    """The next steps of an episode; those after its end mean nothing."""

    def step(carry: tuple, _: None) -> tuple:
        count, state, observation, memory = carry
        key = jr.fold_in(step_key, count)
        # Where the episode ended, the state before that stays: what follows is not looked at.
        memory, taken = _act(
            env, policy, state, observation, memory, key=key, deterministic=deterministic, fresh=state
        )
        played = taken.next_state, taken.reward, taken.done
        return (count + 1, taken.state, taken.observation, memory), played

    return tree.scan(step, carry, length=CHUNK)


def _act(
    env: AbstractEnvLike,
    policy: AbstractPolicy,
    state: Any,
    observation: PyTree,
    memory: Any,
    *,
    key: Key[Array, ""],
    deterministic: bool,
    fresh: Any = None,
) -> tuple[Any, Transition]:
    """One step of a policy: its memory, and what the environment made of its action."""
    act_key, env_key, mask_key = jr.split(key, 3)
    mask = allowed_actions(env, state, key=mask_key)
    memory, action = policy(memory, observation, key=None if deterministic else act_key, action_mask=mask)
    if isinstance(env.action_space, Box):
        action = env.action_space.clip(action)
    return memory, advance(env, state, action, key=env_key, fresh=fresh)
