"""The one place where a policy acts: for training, evaluation, play and videos alike."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Key, PyTree

from lerax import tree
from lerax.env import AbstractEnvLike, AbstractEnvLikeState, advance
from lerax.env.step import allowed_actions, begin_episode
from lerax.policy import AbstractPolicy
from lerax.space import Box

Act = Callable[[PyTree, PyTree, PyTree, PyTree], tuple[PyTree, PyTree, PyTree]]
"""From a policy's memory, an observation, the action mask and noise to the next memory, an action, and what
else is to be recorded."""


class Standing(eqx.Module):
    """Where an environment stands; of several, every array has a leading environment axis.

    Attributes:
        env_state: State of the environment.
        observation: What the policy sees next.
        policy_state: The policy's memory; None where it has none.
    """

    env_state: Any
    observation: PyTree
    policy_state: PyTree

    @property
    def num_envs(self) -> int:
        """How many environments stand there side by side."""
        return len(jax.tree.leaves(self.observation)[0])


class Steps(eqx.Module):
    """What happened: one step, or with leading axes `[time, env]` many.

    Attributes:
        observation: What the policy saw.
        action: What it did, before any clipping to the action space.
        action_mask: Which actions it could choose from; None for all.
        reward: The environment's own reward.
        terminal: The task ended.
        truncated: The time was up.
        next_observation: What followed, of the finished episode where one ended.
        next_action_mask: Which actions it could choose from then; None for all.
        policy_state: The policy's memory before the step; None where it has none.
        next_policy_state: The policy's memory after it, of the finished episode where one ended.
        extra: What else `act` gave.
    """

    observation: PyTree
    action: PyTree
    action_mask: PyTree
    reward: Float[Array, "*batch"]
    terminal: Bool[Array, "*batch"]
    truncated: Bool[Array, "*batch"]
    next_observation: PyTree
    next_action_mask: PyTree
    policy_state: PyTree
    next_policy_state: PyTree
    extra: PyTree

    @property
    def done(self) -> Bool[Array, "*batch"]:
        """Whether the episode ended in either way."""
        return self.terminal | self.truncated


class Fresh(eqx.Module):
    """What an episode would begin with.

    Attributes:
        env_state: A state from `env.draw`; None to draw one where it is needed.
        policy_state: A memory from `policy.reset`.
    """

    env_state: Any
    policy_state: PyTree


def begin(
    env: AbstractEnvLike,
    policy: AbstractPolicy,
    key: Key[Array, ""],
    show_key: Key[Array, ""],
    policy_key: Key[Array, ""],
) -> Standing:
    """Where an environment stands when an episode begins.

    Args:
        env: The environment.
        policy: Who will act in it.
        key: PRNG key of the state.
        show_key: PRNG key of the observation.
        policy_key: PRNG key of the policy's memory.

    Raises:
        EnvContractError: A method of the environment gives what the contract does not allow.
    """
    env_state, observation = begin_episode(env, key=key, show_key=show_key)
    return Standing(env_state, observation, policy.reset(key=policy_key))


def begin_all(env: AbstractEnvLike, policy: AbstractPolicy, keys: Key[Array, "env 3"]) -> Standing:
    """`begin` for several environments, each with its three PRNG keys."""
    return jax.vmap(lambda keys: begin(env, policy, *keys))(keys)


def step(
    env: AbstractEnvLike,
    act: Act,
    standing: Standing,
    noise: PyTree,
    fresh: Fresh,
    *,
    mask_key: Key[Array, ""],
    key: Key[Array, ""],
) -> tuple[Standing, Steps, AbstractEnvLikeState]:
    """One step of one environment; where its episode ends, the next one begins.

    Args:
        env: The environment.
        act: Who acts.
        standing: Where it stands.
        noise: What `act` takes as its noise.
        fresh: What the next episode would begin with.
        mask_key: PRNG key of the action mask.
        key: PRNG key of the step.

    Returns:
        Where it stands then, what happened, and the state after the step, of the finished episode where one
        ended.

    Raises:
        EnvContractError: A method of the environment gives what the contract does not allow.
    """
    mask = allowed_actions(env, standing.env_state, key=mask_key)
    policy_state, action, extra = act(standing.policy_state, standing.observation, mask, noise)
    taken = env.action_space.clip(action) if isinstance(env.action_space, Box) else action
    after = advance(env, standing.env_state, taken, key=key, fresh=fresh.env_state)
    next_mask = None
    if mask is not None:
        next_mask = allowed_actions(env, after.next_state, key=jr.fold_in(mask_key, 1))
    steps = Steps(
        observation=standing.observation,
        action=action,
        action_mask=mask,
        reward=after.reward,
        terminal=after.terminal,
        truncated=after.truncated,
        next_observation=after.next_observation,
        next_action_mask=next_mask,
        policy_state=standing.policy_state,
        next_policy_state=policy_state,
        extra=extra,
    )
    policy_state = tree.where(after.done, fresh.policy_state, policy_state)
    return Standing(after.state, after.observation, policy_state), steps, after.next_state


class Drawn(eqx.Module):
    """What is random of some steps, `[time, env]`, but for the environments' own.

    Attributes:
        noise: What `act` takes as its noise.
        fresh: What the next episodes would begin with.
        mask_key: PRNG keys of the action masks.
        key: PRNG keys of the steps.
    """

    noise: PyTree
    fresh: Fresh
    mask_key: Key[Array, "*batch"]
    key: Key[Array, "*batch"]


def draw(
    env: AbstractEnvLike,
    policy: AbstractPolicy,
    noise: Callable[[Key[Array, ""]], PyTree],
    *,
    key: Key[Array, ""],
    num_steps: int,
    num_envs: int,
    hold_noise: bool = False,
) -> Drawn:
    """Draws what is random of steps, for all of them at once: many times cheaper than one by one.

    Args:
        env: The environment.
        policy: Whose memory begins anew with each episode.
        noise: Draws the noise of one `act` from a PRNG key.
        key: PRNG key.
        num_steps: Steps of each environment.
        num_envs: How many environments there are.
        hold_noise: Whether each environment's noise is the same in all of these steps.
    """
    keys = jr.split(key, (5, num_steps, num_envs))
    for_each = lambda function, keys: jax.vmap(jax.vmap(lambda key: function(key)))(keys)
    fresh = Fresh(
        for_each(lambda key: env.draw(key=key), keys[1]), for_each(lambda key: policy.reset(key=key), keys[4])
    )
    noise_keys = jnp.broadcast_to(keys[0, :1], keys[0].shape) if hold_noise else keys[0]
    return Drawn(for_each(noise, noise_keys), fresh, keys[2], keys[3])


def take(env: AbstractEnvLike, act: Act, standing: Standing, drawn: Drawn) -> tuple[Standing, Steps]:
    """Steps several environments side by side.

    Args:
        env: The environment.
        act: Who acts.
        standing: Where the environments stand.
        drawn: What is random, from `draw`.

    Returns:
        Where they stand then, and what happened, `[time, env]`.

    Raises:
        EnvContractError: A method of the environment gives what the contract does not allow.
    """

    def one(standing: Standing, drawn: Drawn) -> tuple[Standing, Steps]:
        keys = {"mask_key": drawn.mask_key, "key": drawn.key}
        return step(env, act, standing, drawn.noise, drawn.fresh, **keys)[:2]

    return tree.scan(lambda standing, drawn: jax.vmap(one)(standing, drawn), standing, drawn)


def collect(
    env: AbstractEnvLike,
    policy: AbstractPolicy,
    act: Act,
    standing: Standing,
    *,
    noise: Callable[[Key[Array, ""]], PyTree],
    key: Key[Array, ""],
    num_steps: int,
) -> tuple[Standing, Steps]:
    """`draw`, and `take` what was drawn: so many steps of each environment, from where it stands."""
    drawn = draw(env, policy, noise, key=key, num_steps=num_steps, num_envs=standing.num_envs)
    return take(env, act, standing, drawn)
