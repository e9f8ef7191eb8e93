"""Wrappers that repeat actions."""

import dataclasses

import jax
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Key, PyTree

from lerax import tree
from lerax.env import AbstractEnvLike, AbstractEnvLikeState
from lerax.settings import REQUIRED, setting
from lerax.space import AbstractSpace

from .base_wrapper import AbstractWrapper, AbstractWrapperState


def _allows(space: AbstractSpace, mask: Bool[Array, "..."], action: PyTree) -> Bool[Array, ""]:
    """Whether a mask allows an action."""
    return jnp.all(jnp.ravel(mask) | (space.flatten(action) == 0))


class ActionRepeatState(AbstractWrapperState):
    """The state of the environment within, and the reward of the steps that led to it."""

    inner: AbstractEnvLikeState
    reward: Float[Array, ""]


class ActionRepeat(AbstractWrapper[ActionRepeatState]):
    """Takes each action a few times, or until the episode ends, and gives the sum of the rewards.

    Where the environment has a mask of actions, it is repeated no longer than the mask allows it.

    Args:
        env: The environment.
        repeats: How often.
    """

    env: AbstractEnvLike
    repeats: int = setting(REQUIRED, "Steps of the environment for each action.", kind="int", at_least=1)

    def inner_state(self, state: ActionRepeatState) -> AbstractEnvLikeState:
        return state.inner

    def outer_state(self, inner: AbstractEnvLikeState, before: ActionRepeatState | None) -> ActionRepeatState:
        return ActionRepeatState(inner, jnp.zeros((), jnp.float32))

    def transition(
        self, state: ActionRepeatState, action: PyTree, *, key: Key[Array, ""]
    ) -> ActionRepeatState:
        def step(carry: tuple, xs: tuple) -> tuple[tuple, None]:
            (inner, total, over), (number, key) = carry, xs
            mask = self.env.action_mask(inner, key=jr.fold_in(key, 3))
            if mask is not None:  # which the first has been chosen by
                over = over | (number > 0) & ~_allows(self.env.action_space, mask, action)
            keys = jr.split(key, 3)
            after = self.env.transition(inner, action, key=keys[0])
            reward = jnp.asarray(self.env.reward(inner, action, after, key=keys[1]), jnp.float32)
            ended = self.env.terminal(after, key=keys[2]) | self.env.truncate(after)
            total = total + jnp.where(over, 0.0, reward)
            return (tree.where(over, inner, after), total, over | ended), None

        first = state.inner, jnp.zeros((), jnp.float32), jnp.array(False)
        xs = jnp.arange(self.repeats), jr.split(key, self.repeats)
        inner, total, _ = tree.scan(step, first, xs)[0]
        return ActionRepeatState(inner, total)

    def reward(
        self, state: ActionRepeatState, action: PyTree, next_state: ActionRepeatState, *, key: Key[Array, ""]
    ) -> Float[Array, ""]:
        return next_state.reward


class StickyActionsState(AbstractWrapperState):
    """The state of the environment within, and the action that led to it.

    Attributes:
        inner: The state of the environment within.
        action: The action that was taken; zeros at the beginning of an episode.
        begun: Whether one was.
    """

    inner: AbstractEnvLikeState
    action: PyTree
    begun: Bool[Array, ""]


class StickyActions(AbstractWrapper[StickyActionsState]):
    """Takes, with some probability, the action before once more (Machado et al., 2018,
    https://arxiv.org/abs/1709.06009).

    Where the environment has a mask of actions, only one that it allows is taken again.

    Args:
        env: The environment.
        probability: How often; a quarter in the paper.
    """

    env: AbstractEnvLike
    probability: float = setting(0.25, "How often the action before is taken.", at_least=0, at_most=1)

    def inner_state(self, state: StickyActionsState) -> AbstractEnvLikeState:
        return state.inner

    def outer_state(
        self, inner: AbstractEnvLikeState, before: StickyActionsState | None
    ) -> StickyActionsState:
        if before is not None:
            return dataclasses.replace(before, inner=inner)
        form = jax.eval_shape(lambda: self.env.action_space.sample(key=jr.key(0)))
        return StickyActionsState(
            inner, jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), form), jnp.array(False)
        )

    def transition(
        self, state: StickyActionsState, action: PyTree, *, key: Key[Array, ""]
    ) -> StickyActionsState:
        chance = jr.uniform(jr.fold_in(key, 1), (), jnp.float32)
        sticks = state.begun & (chance < self.probability)
        mask = self.env.action_mask(state.inner, key=jr.fold_in(key, 2))
        if mask is not None:
            sticks = sticks & _allows(self.env.action_space, mask, state.action)
        taken = jax.tree.map(
            lambda old, new: jnp.where(sticks, old, new).astype(old.dtype), state.action, action
        )
        inner = self.env.transition(state.inner, taken, key=key)
        return StickyActionsState(inner, taken, jnp.array(True))

    def reward(
        self,
        state: StickyActionsState,
        action: PyTree,
        next_state: StickyActionsState,
        *,
        key: Key[Array, ""],
    ) -> Float[Array, ""]:
        return self.env.reward(state.inner, next_state.action, next_state.inner, key=key)
