"""Many environments as a `gymnasium.vector.VectorEnv`: https://gymnasium.farama.org/api/vector/."""

from collections.abc import Sequence
from typing import Any

import gymnasium
import jax
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils.seeding import np_random
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from jaxtyping import Bool, Float, PyTree, Shaped

from lerax import tree
from lerax.errors import SettingError
from lerax.settings import check_count
from lerax.space import MultiDiscrete, to_gymnasium

from ..base_env import AbstractEnvLike, unstack
from ..step import check_alive
from . import programs
from .programs import Live, Seen

MODES = ", ".join(mode.value for mode in AutoresetMode)


class GymnasiumVectorEnv(VectorEnv):
    """Environments that keep their states and are stepped from outside; `to_gymnasium_vector` makes it.

    Args:
        env: The environment.
        num_envs: How many.
        autoreset_mode: One of Gymnasium's modes, or its name.
        render_mode: "rgb_array", or None.

    Attributes:
        env: The environment.
        autoreset_mode: When the next episode begins.
    """

    def __init__(
        self,
        env: AbstractEnvLike,
        num_envs: int,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
    ):
        played = env if render_mode is None else env.to_be_drawn()
        self._programs, self._arrays = programs.programs_of(played, many=True)
        self._played, self._let_go = played, lambda: None
        self.num_envs = check_count("num_envs", num_envs, 8)
        try:
            self.autoreset_mode = AutoresetMode(autoreset_mode)
        except ValueError:
            raise SettingError("autoreset_mode", autoreset_mode, MODES) from None
        self.env, self.render_mode = env, render_mode
        self.single_observation_space = to_gymnasium(env.observation_space)
        self.single_action_space = to_gymnasium(env.action_space)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.metadata = {
            "render_modes": list(programs.RENDER_MODES),
            "render_fps": env.render_fps,
            "autoreset_mode": self.autoreset_mode,
        }
        self._renderer, self._on_host = programs.renderer_of(env, render_mode), tree.on_host(env)
        self._generators = [np_random()[0] for _ in range(num_envs)]
        self._everywhere = np.ones(num_envs, bool)
        self._ended = ~self._everywhere
        self._live: Live | None = None
        self._now: Seen | None = None  # with NumPy's arrays

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[PyTree, dict[str, Any]]:
        """Begins an episode in all environments, or in some of them.

        Args:
            seed: That of the first environment, the others have those after it; or one for each, None for
                going on with its random numbers.
            options: `reset_mask`, booleans `[env]`, says in which; the others stay as they are.

        Returns:
            The observations of all, and the infos.

        Raises:
            SettingError: There are not as many seeds as environments, or the mask is none.
            ResetNeeded: Some are to begin, and not all have before.
            HostedEnvError: One is outside of JAX, and has failed.
        """
        seeds = list(range(seed, seed + self.num_envs)) if isinstance(seed, int | np.integer) else seed
        seeds = [None] * self.num_envs if seeds is None else list(seeds)
        if len(seeds) != self.num_envs:
            raise SettingError("seed", seed, f"one seed, or {self.num_envs}")
        given = (options or {}).get("reset_mask")
        where = self._everywhere if given is None else self._checked(given)
        for i in np.flatnonzero(where):
            if seeds[i] is not None:
                self._generators[i] = np_random(seeds[i])[0]
        if given is None and not programs.is_there(self._played, self._live):
            self._live = None
        self._begin(where)
        return self._seen()

    def step(
        self, actions: Any
    ) -> tuple[
        PyTree,
        Float[np.ndarray, " env"],
        Bool[np.ndarray, " env"],
        Bool[np.ndarray, " env"],
        dict[str, Any],
    ]:
        """Takes a step in all environments.

        Args:
            actions: Their actions, `[env, ...]`; the bounds of a box are not held.

        Returns:
            The observations after it, the rewards, whether tasks are over, whether times are up, and the
            infos.

        Raises:
            ResetNeeded: No episode has begun, or one is over and none begins by itself.
            SettingError: There are no such actions.
            HostedEnvError: One is outside of JAX, and has failed.
        """
        mode, over = self.autoreset_mode, self._ended
        if self._live is None or (mode is AutoresetMode.DISABLED and over.any()):
            raise ResetNeeded(f"{self.env.name}: not all episodes have begun; call reset() first")
        actions = programs.action_of(self.env.action_space, actions, (self.num_envs,))
        self._live, *result = self._programs.step(self._arrays, self._live, actions)
        self._now, judged = jax.device_get(result)
        check_alive(self._played, self._live.state)
        rewards = np.array(judged.reward, np.float64)
        terminal, truncated = np.array(judged.terminal), np.array(judged.truncated)
        last: dict[str, Any] = {}
        if mode is AutoresetMode.NEXT_STEP and over.any():
            rewards[over], terminal[over], truncated[over] = 0, False, False
            self._begin(over)
        self._ended = terminal | truncated
        if mode is AutoresetMode.SAME_STEP and self._ended.any():
            last = self._last(self._ended)
            self._begin(self._ended)
        observations, infos = self._seen()
        return observations, rewards, terminal, truncated, last | infos

    def render(self) -> tuple[Shaped[np.ndarray, "height width 3"], ...] | None:  # pyright: ignore
        """A picture of the present state of each, uint8; None, with a warning, without a render mode.

        Raises:
            ResetNeeded: No episode has begun.
            RenderError: They cannot be drawn here.
        """
        if self._renderer is None:
            gymnasium.logger.warn(f'{self.env.name}: render() needs render_mode="rgb_array"')
            return None
        if self._live is None:
            raise ResetNeeded(f"{self.env.name}: no episode has begun; call reset() first")
        states = list(unstack(tree.on_host(self._live.state)))
        return programs.pictures(self._on_host, self._renderer, states)

    def close_extras(self, **kwargs: Any) -> None:
        """Closes what draws, and what is outside of JAX."""
        if self._renderer is not None:
            self._renderer.close()
        if programs.is_hosted(self._played):
            self._let_go()
            self._live = None

    def _checked(self, where: Any) -> Bool[np.ndarray, " env"]:
        """The `reset_mask` of the options."""
        mask = np.asarray(where)
        if mask.shape != (self.num_envs,) or mask.dtype != bool or not mask.any():
            raise SettingError("reset_mask", where, f"{self.num_envs} booleans, one at least True")
        if self._live is None:
            raise ResetNeeded(f"{self.env.name}: no episode has begun; call reset() without a mask first")
        return mask

    def _begin(self, where: Bool[np.ndarray, " env"]) -> None:
        """Begins an episode in some environments; in all where none has begun."""
        words = np.zeros((self.num_envs, 2), np.uint32)
        for i in np.flatnonzero(where):
            words[i] = programs.words_of(self._generators[i])
        if self._live is None or self._now is None:
            self._let_go()
            self._live, seen = self._programs.begin(self._arrays, words)
            self._let_go = programs.keep(self, self._played, self._live)
            self._now = jax.device_get(seen)
        else:
            self._live, seen = self._programs.begin_where(self._arrays, self._live, words, where)
            pick = lambda new, old: np.where(where.reshape(-1, *[1] * (new.ndim - 1)), new, old)
            self._now = jax.tree.map(pick, jax.device_get(seen), self._now)
        check_alive(self._played, self._live.state)
        self._ended = self._ended & ~where

    def _seen(self) -> tuple[PyTree, dict[str, Any]]:
        """The present observations and infos."""
        assert self._now is not None
        observations = programs.observation_of(self.env.observation_space, self._now.observation)
        return observations, self._infos(self._everywhere)

    def _infos(self, where: Bool[np.ndarray, " env"]) -> dict[str, Any]:
        """The infos of some environments, in Gymnasium's form: zeros for the others, and which are meant."""
        assert self._now is not None
        if self._now.mask is None:
            return {}
        space, masks = self.env.action_space, np.asarray(self._now.mask)
        if isinstance(space, MultiDiscrete):  # a tuple for each, as the space draws with
            shown = np.full(self.num_envs, None, object)
            for i in np.flatnonzero(where):
                shown[i] = programs.mask_of(space, masks[i])
        else:
            shown = programs.mask_of(space, masks) * where.reshape(-1, *[1] * (masks.ndim - 1))
        return {"action_mask": shown, "_action_mask": where.copy()}

    def _last(self, where: Bool[np.ndarray, " env"]) -> dict[str, Any]:
        """The infos about episodes that have just ended."""
        observations, _ = self._seen()
        final = np.full(self.num_envs, None, object)
        for i in np.flatnonzero(where):
            final[i] = jax.tree.map(lambda x, i=i: x[i], observations)
        about = {"final_obs": final, "final_info": self._infos(where)}
        return about | {f"_{name}": where.copy() for name in about}
