"""The model that a task's settings stand for, and its physics; each is made once."""

from collections.abc import Hashable
from typing import TYPE_CHECKING, NamedTuple

import jax
from jax import numpy as jnp

from lerax.errors import SettingError
from lerax.render.mujoco_types import MjModel
from lerax.settings import data_of

from .data import Data
from .model import load_model
from .physics import Physics, make_physics

if TYPE_CHECKING:
    from .base import AbstractMujocoEnv


class Loaded(NamedTuple):
    """What the arguments of an environment stand for.

    Attributes:
        model: Its `mujoco.MjModel`.
        physics: What simulates it.
        observation_size: Numbers in an observation.
    """

    model: MjModel
    physics: Physics
    observation_size: int


_known: dict[Hashable, Loaded] = {}


def loaded(env: "AbstractMujocoEnv", model: MjModel | None = None) -> Loaded:
    """The model of an environment, and its physics; `model` if it has none yet."""
    static = {name: value for name, value in vars(env).items() if name not in data_of(type(env))}
    key = (type(env), tuple(static.items()))
    if key not in _known:
        model = load_model(env.xml_file) if model is None else model
        physics = make_physics(env.physics, _without_data(env), model, env.threads, key)
        shown = lambda fields: env.observe(Data(model, env.frame_skip, fields))
        fields = {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, shape in physics.shapes.items()}
        shape = jax.eval_shape(shown, fields).shape
        if len(shape) != 1:
            said = f"the shape {shape}"
            raise SettingError(env.name, shape, wrong="observe must return a vector", said=said)
        _known[key] = Loaded(model, physics, shape[0])
    return _known[key]


def _without_data(env: "AbstractMujocoEnv") -> "AbstractMujocoEnv":
    """The task as the host knows it, shared by all whose settings differ in data alone: these are None."""
    return jax.tree.map(lambda leaf: None, env)
