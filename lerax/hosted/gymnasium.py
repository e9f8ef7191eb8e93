"""Environments that are registered with Gymnasium: https://gymnasium.farama.org/api/registry/."""

import dataclasses
import functools
import importlib
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec, load_env_creator

from lerax.errors import shown
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
    """The arguments that an environment takes by name, with defaults: as it is registered, else its own.

    Raises:
        gymnasium.error.Error: Only vectors of it can be made.
    """
    if spec.entry_point is None:
        raise gymnasium.error.Error(f"{spec.id} is registered for vectors of environments alone")
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
class Actions:
    """Makes actions of a space of their arrays, which are in the order of JAX; it can be pickled."""

    space: gymnasium.Space

    def __call__(self, arrays: list[np.ndarray]) -> list[Any]:
        return _actions(self.space, iter(arrays))


def _actions(space: gymnasium.Space, arrays: Iterator[np.ndarray]) -> list[Any]:
    if isinstance(space, spaces.Dict):
        parts = {name: _actions(space[name], arrays) for name in sorted(space.spaces)}
        rows = zip(*(parts[name] for name in space.spaces), strict=True)
        return [dict(zip(space.spaces, row, strict=True)) for row in rows]
    if isinstance(space, spaces.Tuple):
        return [*zip(*(_actions(part, arrays) for part in space.spaces), strict=True)]
    array = next(arrays)
    if isinstance(space, spaces.Discrete):
        return array.tolist()
    if not isinstance(space, spaces.Box) or space.dtype == array.dtype:
        return list(array.astype(space.dtype))
    whole = np.issubdtype(space.dtype, np.integer)
    exact = (np.rint(array) if whole else array).astype(space.dtype)
    return list(np.clip(exact, space.low, space.high))  # a bound may be between two numbers of 32 bits


@dataclasses.dataclass(frozen=True)
class Observation:
    """Gives the arrays of an observation of a space, in the order of JAX; it can be pickled."""

    space: gymnasium.Space

    def __call__(self, value: Any) -> list[Any]:
        return [*_arrays(self.space, value)]


def _arrays(space: gymnasium.Space, value: Any) -> Iterator[Any]:
    """The arrays of a value.

    Raises:
        ValueError: It is not made like those of the space, or a choice that there is not.
    """
    if isinstance(space, spaces.Dict):
        if not isinstance(value, Mapping) or value.keys() != space.spaces.keys():
            keys = f" of {', '.join(map(str, value))}" if isinstance(value, Mapping) else ""
            given = f"{'a' if keys else 'of type'} {type(value).__name__}{keys}"
            raise ValueError(f"an observation is {given}; its space is a dict of {', '.join(space.spaces)}")
        for name in sorted(space.spaces):
            yield from _arrays(space[name], value[name])
    elif isinstance(space, spaces.Tuple):
        if not isinstance(value, tuple | list) or len(value) != len(space.spaces):
            count = f" of {len(value)}" if isinstance(value, tuple | list) else ""
            given = f"of type {type(value).__name__}{count}"
            raise ValueError(f"an observation is {given}; its space is a tuple of {len(space.spaces)}")
        for part, one in zip(space.spaces, value, strict=True):
            yield from _arrays(part, one)
    else:
        if not isinstance(space, spaces.Box) and not _is_choice(space, value):
            said = shown(value.tolist() if isinstance(value, np.ndarray | np.generic) else value)
            raise ValueError(f"{said} is not in {shown(space)}")
        yield value


def _is_choice(space: gymnasium.Space, value: Any) -> bool:
    """Whether whole numbers are in a space; that they are of its form is seen where they are written."""
    given = np.asarray(value)
    if given.dtype.kind not in "iub" or given.shape != space.shape:
        return True
    if isinstance(space, spaces.Discrete):
        return bool(space.start <= given < space.start + space.n)
    start, count = (space.start, space.nvec) if isinstance(space, spaces.MultiDiscrete) else (0, 2)
    return bool(((given >= start) & (given < start + count)).all())


def facts_of(make: Make) -> tuple[gymnasium.Space, gymnasium.Space, Mapping[str, Any]]:
    """The spaces of observations and of actions of an environment, and its metadata.

    Raises:
        Exception: Whatever its constructor raises.
    """
    env = make()
    try:
        return env.observation_space, env.action_space, env.metadata or {}
    finally:
        env.close()
