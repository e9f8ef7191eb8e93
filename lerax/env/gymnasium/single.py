"""An environment as a `gymnasium.Env`: https://gymnasium.farama.org/api/env/."""

from typing import Any, ClassVar

import gymnasium
import jax
import numpy as np
from gymnasium.error import ResetNeeded
from jaxtyping import PyTree, Shaped

from lerax import tree
from lerax.space import to_gymnasium

from ..base_env import AbstractEnvLike
from ..step import check_alive
from . import programs
from .programs import Live, Seen


class GymnasiumEnv(gymnasium.Env):
    """An environment that keeps its state and is stepped from outside; `to_gymnasium` makes it.

    Where the environment has a mask of actions, the infos have it as `action_mask`, int8, in the form that
    Gymnasium's spaces draw with.

    Args:
        env: The environment.
        render_mode: "rgb_array", or None.

    Attributes:
        env: The environment.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": list(programs.RENDER_MODES)}

    def __init__(self, env: AbstractEnvLike, render_mode: str | None = None):
        played = env if render_mode is None else env.to_be_drawn()
        self._programs, self._arrays = programs.programs_of(played, many=False)
        self._played, self._let_go = played, lambda: None
        self.env, self.render_mode = env, render_mode
        self.observation_space = to_gymnasium(env.observation_space)
        self.action_space = to_gymnasium(env.action_space)
        self.metadata = type(self).metadata | {"render_fps": env.render_fps}  # pyright: ignore
        self._renderer, self._on_host = programs.renderer_of(env, render_mode), tree.on_host(env)
        self._live: Live | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[PyTree, dict[str, Any]]:
        """Begins an episode.

        Args:
            seed: The same seed gives the same episodes, this one and those after it.
            options: Nothing reads them.

        Returns:
            The first observation, and the infos.

        Raises:
            HostedEnvError: It is outside of JAX, and has failed.
        """
        super().reset(seed=seed)
        words = programs.words_of(self.np_random)
        if self._live is not None and programs.is_there(self._played, self._live):
            self._live, seen = self._programs.begin_where(self._arrays, self._live, words, np.array(True))
        else:
            self._let_go()
            self._live, seen = self._programs.begin(self._arrays, words)
            self._let_go = programs.keep(self, self._played, self._live)
        check_alive(self._played, self._live.state)
        return self._seen(jax.device_get(seen))

    def step(self, action: Any) -> tuple[PyTree, float, bool, bool, dict[str, Any]]:
        """Takes a step.

        Args:
            action: The action, one of `action_space`; the bounds of a box are not held.

        Returns:
            The observation after it, the reward, whether the task is over, whether the time is up, and the
            infos.

        Raises:
            ResetNeeded: No episode has begun.
            SettingError: There is no such action.
            HostedEnvError: It is outside of JAX, and has failed.
        """
        if self._live is None:
            raise ResetNeeded(f"{self.env.name}: no episode has begun; call reset() first")
        action = programs.action_of(self.env.action_space, action)
        self._live, *result = self._programs.step(self._arrays, self._live, action)
        seen, judged = jax.device_get(result)
        check_alive(self._played, self._live.state)
        observation, info = self._seen(seen)
        return observation, float(judged.reward), bool(judged.terminal), bool(judged.truncated), info

    def render(self) -> Shaped[np.ndarray, "height width 3"] | None:  # pyright: ignore
        """A picture of the present state, uint8; None, with a warning, without a render mode.

        Raises:
            ResetNeeded: No episode has begun.
            RenderError: It cannot be drawn here.
        """
        if self._renderer is None:
            gymnasium.logger.warn(f'{self.env.name}: render() needs render_mode="rgb_array"')
            return None
        if self._live is None:
            raise ResetNeeded(f"{self.env.name}: no episode has begun; call reset() first")
        return programs.pictures(self._on_host, self._renderer, [tree.on_host(self._live.state)])[0]

    def close(self) -> None:
        """Closes what draws, and what is outside of JAX."""
        if self._renderer is not None:
            self._renderer.close()
        if programs.is_hosted(self._played):
            self._let_go()
            self._live = None

    def _seen(self, seen: Seen) -> tuple[PyTree, dict[str, Any]]:
        """The observation and the infos, from what was fetched."""
        observation = programs.observation_of(self.env.observation_space, seen.observation)
        if seen.mask is None:
            return observation, {}
        return observation, {"action_mask": programs.mask_of(self.env.action_space, np.asarray(seen.mask))}
