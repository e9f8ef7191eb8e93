"""Environments that are registered with Gymnasium: https://gymnasium.farama.org/api/registry/."""

import dataclasses
import functools
import importlib
import inspect
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec, load_env_creator

from lerax.render.base_renderer import imported
from lerax.render.pygame_renderer import do_without_display

ATARI = "ALE/"  # the namespace of the package ale_py
OWN = ("self", "render_mode")  # arguments that are nobody's to give
ATARI_FRAMES, ATARI_SIZE = 4, 84  # of Mnih et al., 2015, https://www.nature.com/articles/nature14236


def spec_of(id: str) -> EnvSpec:
    """What is registered under an id, which may begin with the module that registers it: `module:id`.

    Raises:
        gymnasium.error.Error: There is none; the message says which come close.
        ImportError: The module cannot be imported.
    """
    if id.startswith(ATARI):
        gymnasium.register_envs(importlib.import_module("ale_py"))
    module, _, name = id.rpartition(":")
    if module:
        importlib.import_module(module)
    return gymnasium.spec(name)


def arguments_of(spec: EnvSpec) -> dict[str, Any]:
    """The arguments that an environment takes by name, with defaults: as it is registered, else its own."""
    assert spec.entry_point is not None
    creator = load_env_creator(spec.entry_point) if isinstance(spec.entry_point, str) else spec.entry_point
    parameters = inspect.signature(creator).parameters.values()
    own = {p.name: p.default for p in parameters if p.default is not p.empty and p.name not in OWN}
    return own | {name: value for name, value in spec.kwargs.items() if name not in OWN}


@dataclasses.dataclass(frozen=True)
class Make:
    """Makes an environment; it can be pickled.

    Attributes:
        id: Its id.
        arguments: Its constructor's arguments by name.
        max_episode_steps: Steps after which an episode is truncated; None for what is registered.
        preprocess: Whether a game of Atari is made as it usually is for training.
        draws: Whether it is to be drawn.
    """

    id: str
    arguments: tuple[tuple[str, Any], ...]
    max_episode_steps: int | None
    preprocess: bool
    draws: bool

    def __call__(self) -> gymnasium.Env:
        spec_of(self.id)  # another process has not imported what registers it
        arguments: dict[str, Any] = dict(self.arguments)
        limit = {} if self.max_episode_steps is None else {"max_episode_steps": self.max_episode_steps}
        if self.preprocess:
            arguments |= {"frameskip": 1}  # frames are skipped by what preprocesses
        if self.draws:
            do_without_display(imported("pygame", "pygame"))
            arguments |= {"render_mode": "rgb_array"}
        env = gymnasium.make(self.id, disable_env_checker=True, **limit, **arguments)
        return preprocessed(env) if self.preprocess else env


def preprocessed(env: gymnasium.Env) -> gymnasium.Env:
    """A game of Atari in grey pictures, `[height, width, frame]`, of four moments, four frames apart.

    As in Machado et al., 2018, https://arxiv.org/abs/1709.06009: lives that are lost end nothing.
    """
    from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation, TransformObservation

    env = FrameStackObservation(AtariPreprocessing(env, screen_size=ATARI_SIZE), ATARI_FRAMES)
    space = spaces.Box(0, 255, (ATARI_SIZE, ATARI_SIZE, ATARI_FRAMES), np.uint8)
    return TransformObservation(env, functools.partial(np.moveaxis, source=0, destination=-1), space)


@dataclasses.dataclass(frozen=True)
class Action:
    """Makes actions of a space of their array; it can be pickled.

    Attributes:
        dtype: Of its numbers; None for plain integers.
    """

    dtype: Any

    def __call__(self, arrays: list[np.ndarray]) -> list[Any]:
        (array,) = arrays
        if self.dtype is None:
            return array.tolist()
        whole = np.issubdtype(self.dtype, np.integer)
        return list((np.rint(array) if whole else array).astype(self.dtype))


def action_of(space: gymnasium.Space) -> Action:
    """What makes actions of a space."""
    return Action(None if isinstance(space, spaces.Discrete) else space.dtype)


def facts_of(make: Make) -> tuple[gymnasium.Space, gymnasium.Space, Mapping[str, Any]]:
    """The spaces of observations and of actions of an environment, and its metadata.

    Raises:
        Exception: Whatever its constructor raises.
    """
    env = make()
    try:
        return env.observation_space, env.action_space, env.metadata
    finally:
        env.close()
