"""What all MuJoCo tasks share: a model that MuJoCo's own engine or MJX simulates, as an environment."""

import dataclasses
import hashlib
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import equinox as eqx
import numpy as np
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Int, Key

from lerax import tree
from lerax.env.timed import AbstractTimedEnv, AbstractTimedState, time_limit
from lerax.errors import SettingTypeError
from lerax.render import HeadlessMujocoRenderer
from lerax.render.mujoco_renderer import draw_data
from lerax.render.mujoco_types import MjData, MjModel, MjvCamera
from lerax.settings import REQUIRED, check_settings, data_of, setting, settings_of
from lerax.space import Box

from .data import Data, Judged, Tracked
from .loaded import loaded
from .model import check_joints, engine, free_camera, load_model, model_bytes, set_up
from .physics import Row

PHYSICS = ("native", "mjx")


def wobble(
    model: MjModel, scale: float | Float[Array, ""], *, key: Key[Array, ""], normal_velocity: bool = False
) -> tuple[Float[Array, " nq"], Float[Array, " nv"]]:
    """The beginning that most tasks share: positions and velocities a little off, uniformly.

    Args:
        model: The `mujoco.MjModel`.
        scale: How far off at most.
        key: PRNG key.
        normal_velocity: Draw velocities from a normal distribution of this scale instead.
    """
    position_key, velocity_key = jr.split(key)
    uniform = lambda key, size: jr.uniform(key, (size,), jnp.float32, minval=-scale, maxval=scale)
    normal = lambda key, size: scale * jr.normal(key, (size,), jnp.float32)
    return uniform(position_key, model.nq), (normal if normal_velocity else uniform)(velocity_key, model.nv)


class MujocoState(AbstractTimedState):
    """A simulation, what the task says of it, and the steps taken.

    Attributes:
        row: The simulation: words of float64 numbers (`lerax.env.mujoco.native`), or float32 numbers for MJX.
        outcome: Observation, reward of the step that led here, and whether the task ended.
        steps: Steps of the episode.
    """

    row: Row
    outcome: Float[Array, " size"]
    steps: Int[Array, ""]


class AbstractMujocoEnv(AbstractTimedEnv[MujocoState]):
    """A task whose physics MuJoCo's own engine computes, on the host, inside compiled programs; or MJX.

    A task says which `fields` of the simulation it reads, beside `qpos` and `qvel`, what is seen of them and
    what they are worth: `offsets`, `observe` and `judge` are JAX, on one simulation in float32. `track` names
    what has to be compared with the step before, which needs the engine's double precision. All attributes
    are static: they are part of compiled programs.

    Attributes:
        xml_file: The model: a path, or the name of one that comes with Gymnasium.
        frame_skip: Steps of the engine in one step of the environment.
        default_camera_config: What a `mujoco.MjvCamera` is set to where the model has no camera: `distance`,
            `lookat`, `elevation`, `azimuth`, `trackbodyid`.
        max_episode_steps: Steps after which an episode is truncated; None for no limit.
        threads: Threads that simulate natively; 0 for one per core that the process may use.
        physics: `native`, or `mjx`: MuJoCo written in JAX, in float32, for accelerators.
        fields: Names of arrays of `mujoco.MjData` that the task reads.
        joints: How many of the model's first joints the task reads by their place, and every other model must
            have, too; 0 for those of its first body.

    Raises:
        FileNotFoundError: There is no such model.
        ImportError: MJX is asked for and not installed.
        SettingError: The model is not valid or not for this task, MJX cannot simulate it, or a number is out
            of range.
        SettingTypeError: An attribute is not static, or is an array or a list.
    """

    xml_file: eqx.AbstractVar[str]
    frame_skip: eqx.AbstractVar[int]
    default_camera_config: eqx.AbstractVar[tuple]
    max_episode_steps: int | None = time_limit(1000, kw_only=True)
    threads: int = setting(
        0, "Threads that simulate natively; 0 for one per core.", at_least=0, at_most=1024, kw_only=True
    )
    physics: str = setting(
        "native", "MuJoCo's own engine, or MJX for accelerators.", choices=PHYSICS, kw_only=True
    )
    fields: ClassVar[tuple[str, ...]] = ()
    joints: ClassVar[int] = 0
    _model_digest: str = eqx.field(default="", init=False, repr=False, static=True)

    def __check_init__(self):
        check_settings(self)
        for field in dataclasses.fields(self):
            given = getattr(self, field.name)
            if not field.metadata.get("static", False) and field.name not in data_of(type(self)):
                hint = "declare it with lerax.settings.setting"
                raise SettingTypeError(field.name, given, "static", hint=hint)
            if not _can_be_hashed(given):
                raise SettingTypeError(field.name, given, "a number, text or a tuple of these")
        set_up(engine().MjvCamera(), self.default_camera_config)
        model = load_model(self.xml_file)
        declared = settings_of(type(self)).get("xml_file")
        if declared is not None and declared.default not in ("", REQUIRED, self.xml_file):
            check_joints(model, self.xml_file, declared.default, self.joints)
        digest = hashlib.sha256(model_bytes(model)).hexdigest()
        object.__setattr__(self, "_model_digest", digest)  # what else is known of it may be of another model
        loaded(self, model)

    @abstractmethod
    def observe(self, data: Data) -> Float[Array, " size"]:
        """The observation of a simulation."""

    @abstractmethod
    def judge(self, data: Data, action: Float[Array, " nu"], moved: Float[Array, " tracked"]) -> Judged:
        """The reward of a step, and whether the task is over.

        Args:
            data: The simulation after the step.
            action: The action.
            moved: By how much the step has changed what `track` names.
        """

    def track(self, data: Data) -> Tracked:
        """Numbers of which the difference between two steps matters, such as a position; by default none.

        Natively `data` is of many simulations here: NumPy's arrays with a leading axis. So this takes parts,
        by indices from the right, and does sums; it calls no function of JAX or NumPy.
        """
        return data.qpos[..., :0]

    @abstractmethod
    def offsets(self, *, key: Key[Array, ""]) -> tuple[Float[Array, " nq"], Float[Array, " nv"]]:
        """How positions and velocities at the beginning of an episode differ from the model's own."""

    @property
    def mujoco_model(self) -> MjModel:
        """The `mujoco.MjModel`; never change it."""
        return loaded(self).model

    @property
    def mujoco_camera(self) -> MjvCamera | None:
        """How the model is looked at: None for the first of its cameras, if it has one, else a camera set up
        after `default_camera_config`.
        """
        return None if self.mujoco_model.ncam else free_camera(self.mujoco_model, self.default_camera_config)

    @property
    def dt(self) -> float:
        """Seconds between two steps."""
        return self._data({}).dt

    @property
    def render_fps(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        return float(round(1 / self.dt))

    if TYPE_CHECKING:  # type checkers would take these properties for arguments
        action_space: ClassVar[Box]
        observation_space: ClassVar[Box]
    else:

        @property
        def action_space(self) -> Box:
            return Box(*self.mujoco_model.actuator_ctrlrange.T)

        @property
        def observation_space(self) -> Box:
            return Box(-jnp.inf, jnp.inf, shape=(loaded(self).observation_size,))

    def draw(self, *, key: Key[Array, ""]) -> MujocoState:
        known = loaded(self)
        row = known.physics.displaced(*self.offsets(key=key))
        outcome = jnp.zeros(known.observation_size + 2, jnp.float32)
        return MujocoState(row, outcome, jnp.array(0, jnp.int32))

    def begin(self, state: MujocoState) -> MujocoState:
        return tree.map_where(state.row[-1] != 0, self._begun, state)

    def initial(self, *, key: Key[Array, ""]) -> MujocoState:
        return self._begun(self.draw(key=key))

    def transition(
        self, state: MujocoState, action: Float[Array, " nu"], *, key: Key[Array, ""] | None = None
    ) -> MujocoState:
        action = jnp.asarray(action, jnp.float32)
        row, fields, moved, failed = loaded(self).physics.step(state.row, action)
        reward, terminal = self.judge(self._data(fields), action, moved)
        outcome = self._outcome(fields, (jnp.where(failed, 0, reward), failed | terminal))
        return MujocoState(row, outcome, state.steps + 1)

    def observation(self, state: MujocoState, *, key: Key[Array, ""] | None = None) -> Float[Array, " size"]:
        return state.outcome[:-2]

    def reward(
        self,
        state: MujocoState,
        action: Float[Array, " nu"],
        next_state: MujocoState,
        *,
        key: Key[Array, ""] | None = None,
    ) -> Float[Array, ""]:
        return next_state.outcome[-2]

    def terminal(self, state: MujocoState, *, key: Key[Array, ""] | None = None) -> Bool[Array, ""]:
        return state.outcome[-1] > 0

    def mujoco_data(self, state: MujocoState) -> MjData:
        """A new `mujoco.MjData` in this state, brought up to date with `mj_forward`."""
        return loaded(self).physics.data(np.asarray(state.row))

    def render(self, state: MujocoState, renderer: Any) -> None:
        draw_data(renderer, self.mujoco_data(state), self.name)

    def default_renderer(self) -> HeadlessMujocoRenderer:
        return HeadlessMujocoRenderer(self.mujoco_model, camera=self.mujoco_camera)

    def _begun(self, state: MujocoState) -> MujocoState:
        row, fields = loaded(self).physics.begin(state.row)
        return MujocoState(row, self._outcome(fields, (0.0, False)), state.steps)

    def _data(self, fields: Mapping[str, Array]) -> Data:
        return Data(self.mujoco_model, self.frame_skip, fields)

    def _outcome(self, fields: Mapping[str, Array], judged: Judged) -> Float[Array, " size"]:
        shown = self.observe(self._data(fields))
        end = jnp.stack([jnp.asarray(part, jnp.float32) for part in judged])
        return jnp.concatenate([shown.astype(jnp.float32), end])


def _can_be_hashed(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True
