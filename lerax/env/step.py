"""The one place that begins and steps environments, and holds what they give against the contract."""

import equinox as eqx
import jax
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Key, PyTree

from lerax import tree

from . import contract
from .base_env import AbstractEnvLike, AbstractEnvLikeState


class Transition(eqx.Module):
    """What one step gave; under `jax.vmap` with leading environment axes.

    Attributes:
        state: The state to go on from: that of a new episode where the old one ended.
        observation: The observation of `state`.
        next_state: The state after the action, of the finished episode where one ended.
        next_observation: The observation after the action, of the finished episode where one ended.
        reward: The environment's own reward.
        terminal: The task ended.
        truncated: The time was up.
    """

    state: AbstractEnvLikeState
    observation: PyTree
    next_state: AbstractEnvLikeState
    next_observation: PyTree
    reward: Float[Array, "*env"]
    terminal: Bool[Array, "*env"]
    truncated: Bool[Array, "*env"]

    @property
    def done(self) -> Bool[Array, "*env"]:
        """Whether the episode ended in either way."""
        return self.terminal | self.truncated


def advance(
    env: AbstractEnvLike,
    state: AbstractEnvLikeState,
    action: PyTree,
    *,
    key: Key[Array, ""],
    fresh: AbstractEnvLikeState | None = None,
) -> Transition:
    """Steps an environment and begins a new episode where the old one ended.

    Args:
        env: The environment.
        state: The state to act in.
        action: The action.
        key: PRNG key.
        fresh: The state that a new episode would begin in, from `env.draw`. Loops draw those of many steps at
            once, which is several times cheaper than one by one; None draws it here.

    Raises:
        EnvContractError: A method gives what the contract does not allow.
    """
    # Folding in a number, instead of splitting, costs nothing for the keys that nobody reads.
    keys = [jr.fold_in(key, i) for i in range(6)]
    with contract.calling(env, "transition"):
        stepped = contract.same_kind(env, "transition", env.transition(state, action, key=keys[0]), state)
    with contract.calling(env, "reward"):
        reward = contract.number(env, "reward", env.reward(state, action, stepped, key=keys[1]))
    with contract.calling(env, "terminal"):
        terminal = contract.flag(env, "terminal", env.terminal(stepped, key=keys[2]))
    with contract.calling(env, "truncate"):
        truncated = contract.flag(env, "truncate", env.truncate(stepped))
    with contract.calling(env, "observation"):
        next_observation = contract.observation(env, env.observation(stepped, key=keys[3]))
    done = terminal | truncated
    with contract.calling(env, "draw"):
        fresh = contract.same_kind(env, "draw", env.draw(key=keys[4]) if fresh is None else fresh, stepped)
    with contract.calling(env, "following"):
        next_one = contract.same_kind(env, "following", env.following(stepped, fresh), stepped)
    chosen = tree.where(done, next_one, stepped)
    with contract.calling(env, "begin"):
        following = contract.same_kind(env, "begin", env.begin(chosen), chosen)
    with contract.calling(env, "observation"):
        observation = tree.where(done, env.observation(following, key=keys[5]), next_observation)
    return Transition(
        state=following,
        observation=observation,
        next_state=stepped,
        next_observation=next_observation,
        reward=reward.astype(jnp.float32),
        terminal=terminal,
        truncated=truncated,
    )


def begin_episode(
    env: AbstractEnvLike, *, key: Key[Array, ""], show_key: Key[Array, ""]
) -> tuple[AbstractEnvLikeState, PyTree]:
    """A state that an episode begins in, and what the policy sees of it.

    Args:
        env: The environment.
        key: PRNG key of the state.
        show_key: PRNG key of the observation.

    Raises:
        EnvContractError: A method gives what the contract does not allow.
    """
    with contract.calling(env, "initial"):
        state = contract.beginning(env, env.initial(key=key))
    with contract.calling(env, "observation"):
        return state, contract.observation(env, env.observation(state, key=show_key))


def allowed_actions(
    env: AbstractEnvLike, state: AbstractEnvLikeState, *, key: Key[Array, ""]
) -> Bool[Array, "..."] | None:
    """The environment's `action_mask`.

    Raises:
        EnvContractError: It gives what the contract does not allow.
    """
    with contract.calling(env, "action_mask"):
        return contract.mask(env, env.action_mask(state, key=key))


def check_alive(env: AbstractEnvLike, states: AbstractEnvLikeState) -> None:
    """Refuses states that cannot be stepped on here; on the host.

    Raises:
        HostedEnvError: An environment outside of JAX has failed.
        EpisodesLostError: It is not there any more.
    """
    if (fault := env.fault(states)) is not None:
        raise fault


def check_contract(env: AbstractEnvLike) -> None:
    """Traces an episode's first step, and computes nothing: what breaks the contract is refused.

    Raises:
        TypeError: It is no environment.
        EnvContractError: It breaks the contract.
    """
    contract.check_env(env)

    def first_step(seed: Array) -> None:
        keys = jr.split(jr.key(seed), 5)
        state, _ = begin_episode(env, key=keys[0], show_key=keys[1])
        allowed_actions(env, state, key=keys[2])
        advance(env, state, env.action_space.sample(key=keys[3]), key=keys[4])

    jax.eval_shape(first_step, jax.ShapeDtypeStruct((), jnp.uint32))
