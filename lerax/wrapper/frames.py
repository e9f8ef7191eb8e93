"""Several observations as one."""

import dataclasses
from types import ModuleType
from typing import Any

import numpy as np
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Key, PyTree, Shaped

from lerax.env import AbstractEnvLike, AbstractEnvLikeState
from lerax.settings import REQUIRED, setting
from lerax.space import AbstractSpace, Box

from .base_wrapper import AbstractWrapper, AbstractWrapperState
from .bounds import box_of


class FrameStackState(AbstractWrapperState):
    """The state of the environment within, and what was seen before it.

    Attributes:
        inner: The state of the environment within.
        past: The observations before, the oldest first.
        begun: Whether there are some: not at the beginning of an episode.
    """

    inner: AbstractEnvLikeState
    past: Shaped[Array, "frames ..."]
    begun: Bool[Array, ""]


class FrameStack(AbstractWrapper[FrameStackState]):
    """The last observations as one, the oldest first (Mnih et al., 2015,
    https://www.nature.com/articles/nature14236).

    They stand along a new first axis, as with Gymnasium's FrameStackObservation; pictures, of height, width
    and channels, are stacked along their channels, where convolutions take them, and grey ones, bytes of
    height and width, become channels. At the beginning of an episode its first observation stands in the
    places of those that are not there yet.

    Args:
        env: The environment; its observations lie in a Box.
        frames: How many observations.

    Raises:
        SettingTypeError: The observations lie in no Box.
    """

    env: AbstractEnvLike
    frames: int = setting(REQUIRED, "Observations in one.", kind="int", at_least=1, at_most=1024)

    def __check_init__(self):
        super().__check_init__()
        self._space()

    def inner_state(self, state: FrameStackState) -> AbstractEnvLikeState:
        return state.inner

    def outer_state(self, inner: AbstractEnvLikeState, before: FrameStackState | None) -> FrameStackState:
        if before is not None:
            return dataclasses.replace(before, inner=inner)
        space = self._space()
        return FrameStackState(
            inner, jnp.zeros((self.frames - 1, *space.shape), space.dtype), jnp.array(False)
        )

    def transition(self, state: FrameStackState, action: PyTree, *, key: Key[Array, ""]) -> FrameStackState:
        seen = self._seen(state, jr.fold_in(key, 1))[None]  # and the step is that without this wrapper
        past = jnp.where(state.begun, jnp.concatenate([state.past, seen])[1:], seen)
        return FrameStackState(self.env.transition(state.inner, action, key=key), past, jnp.array(True))

    def observation(self, state: FrameStackState, *, key: Key[Array, ""]) -> Shaped[Array, "..."]:
        now = self._seen(state, key)[None]
        return _joined(jnp.concatenate([jnp.where(state.begun, state.past, now), now]), jnp)

    def outer_observation_space(self, space: AbstractSpace) -> Box:
        box = self._space()
        low, high = (_joined(np.stack([bound] * self.frames), np) for bound in box.bounds)
        return Box(low, high, dtype=box.dtype)

    def _space(self) -> Box:
        return box_of(self.env.observation_space, "FrameStack", "observations")

    def _seen(self, state: FrameStackState, key: Key[Array, ""]) -> Shaped[Array, "..."]:
        return jnp.asarray(self.env.observation(state.inner, key=key), state.past.dtype)


def _joined(frames: Any, numpy: ModuleType) -> Any:
    """Frames `[frame, ...]` as one, with the functions of numpy or of jax.numpy."""
    if frames.ndim == 3 and frames.dtype == np.uint8:
        return numpy.moveaxis(frames, 0, 2)
    if frames.ndim != 4:
        return frames
    _, height, width, _ = frames.shape
    return numpy.moveaxis(frames, 0, 2).reshape(height, width, -1)
