"""MuJoCo itself: imported safely, its models loaded, its warnings collected."""

import collections
import importlib.util
import re
import warnings
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import numpy as np

from lerax.errors import LeraxWarning, SettingError
from lerax.render.gl import import_mujoco
from lerax.render.mujoco_types import MjModel, MjvCamera

# What MuJoCo says of some of Gymnasium's model files, once for each model loaded.
DEPRECATED = "is deprecated"

_said: collections.deque[str] = collections.deque()
_warned: set[str] = set()


def engine() -> ModuleType:
    """The mujoco package, whose warnings go to `tell_warnings` instead of into a MUJOCO_LOG.TXT.

    Raises:
        ImportError: It is not installed.
    """
    mujoco = import_mujoco()
    if mujoco.get_mju_user_warning() is None:
        mujoco.set_mju_user_warning(_said.append)
    return mujoco


def gave_up(reason: str) -> None:
    """Has `tell_warnings` say that the engine could not go on with a simulation."""
    _said.append(f"the engine gave up, and the episode ends ({' '.join(reason.split())})")


def tell_warnings(model: str) -> None:
    """Warns of what the engine complained about since the last call, once of each kind and model."""
    while _said:
        try:
            text = _said.popleft()
        except IndexError:  # other engines' threads take from it, too
            return
        kind = f"{model}: {re.sub('[0-9.]+', '', text)}"
        if DEPRECATED not in text and kind not in _warned:
            _warned.add(kind)
            warnings.warn(f"{model}: MuJoCo: {text}", LeraxWarning, stacklevel=2)


def load_model(file: str) -> MjModel:
    """A `mujoco.MjModel` from a file of MJCF.

    Args:
        file: A path; a bare name is one of the models that come with Gymnasium.

    Raises:
        FileNotFoundError: There is no such file.
        SettingError: It holds no valid model.
    """
    path = Path(file).expanduser()
    if path == Path(path.name) and not path.is_file():
        path = _assets() / file
    if not path.is_file():
        known = ", ".join(sorted(model.name for model in _assets().glob("*.xml")))
        raise FileNotFoundError(f"xml_file: not found (got {file!r}); give a path or one of: {known}")
    mujoco = engine()
    try:
        model = mujoco.MjModel.from_xml_path(str(path))
    except ValueError as error:
        reason = " ".join(str(error).split())
        wrong = f"{path} is no valid model"
        raise SettingError("xml_file", file, wrong=wrong, said=reason) from None
    tell_warnings(path.name)
    return model


def check_joints(model: MjModel, file: str, usual: str, count: int) -> None:
    """Holds a task's model against its usual one, whose first joints the task reads by their place.

    A task of one's own may have a usual model that is not there.

    Args:
        model: The `mujoco.MjModel`.
        file: Its file.
        usual: The file of the usual one.
        count: How many joints are read; 0 for those of the usual one's first body.

    Raises:
        SettingError: It has other joints there.
    """
    try:
        wanted = load_model(usual)
    except FileNotFoundError:
        return
    count = count or int(wanted.body_jntnum[1])
    names, found = _joints(wanted)[:count], _joints(model)[:count]
    if names != found:
        allowed = f"models whose first joints are, as in {usual}, {', '.join(names)}"
        said = f"{file!r}: {', '.join(found) or 'none'}"
        raise SettingError("xml_file", file, allowed, wrong="a model for another task", said=said)


def _joints(model: MjModel) -> list[str]:
    """The joints of a model in words; of one that slides it matters where to."""
    axes = np.abs(model.jnt_axis).argmax(axis=1).tolist()
    words = [("free", "ball", f"slide {'xyz'[axis]}", "hinge") for axis in axes]
    return [word[kind] for word, kind in zip(words, model.jnt_type.tolist(), strict=True)]


def free_camera(model: MjModel, config: Iterable[tuple[str, object]]) -> MjvCamera:
    """A `mujoco.MjvCamera` as Gymnasium sets it up: it looks at the middle of the model's geoms.

    Args:
        model: The `mujoco.MjModel`.
        config: Attributes that are set otherwise. With a `trackbodyid` above 0 it follows that body.
    """
    mujoco = engine()
    data, camera = mujoco.MjData(model), mujoco.MjvCamera()
    mujoco.mj_forward(model, data)
    camera.lookat[:] = np.median(data.geom_xpos, axis=0) if model.ngeom else 0
    camera.distance = model.stat.extent
    set_up(camera, config)
    if camera.trackbodyid > 0:
        camera.type = mujoco.mjtCamera.mjCAMERA_TRACKING.value
    return camera


def set_up(camera: MjvCamera, config: Iterable[tuple[str, object]]) -> None:
    """Sets attributes of a `mujoco.MjvCamera`.

    Raises:
        SettingError: It has no such attribute, or takes no such value.
    """
    for name, value in config:
        if name.startswith("_") or not hasattr(camera, name):
            known = ", ".join(word for word in dir(camera) if not word.startswith("_"))
            wrong = f"a mujoco.MjvCamera has no {name!r}"
            raise SettingError("default_camera_config", {name: value}, known, wrong=wrong)
        try:
            setattr(camera, name, value)
        except (TypeError, ValueError):
            wrong = f"not a value for {name}"
            raise SettingError("default_camera_config", value, wrong=wrong) from None


def model_bytes(model: MjModel) -> bytes:
    """All of a model."""
    mujoco = engine()
    buffer = np.empty(mujoco.mj_sizeModel(model), np.uint8)
    mujoco.mj_saveModel(model, None, buffer)
    return buffer.tobytes()


def _assets() -> Path:
    """Where Gymnasium keeps its models; found without importing it."""
    found = importlib.util.find_spec("gymnasium")
    if found is None or not found.submodule_search_locations:
        raise FileNotFoundError("xml_file: MuJoCo's tasks need Gymnasium's models: pip install gymnasium")
    return Path(found.submodule_search_locations[0]) / "envs" / "mujoco" / "assets"
