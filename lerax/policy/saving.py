"""Policies as files of their own, which say how they were made."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import equinox as eqx
import numpy as np
from jax import random as jr
from jaxtyping import PyTree

from lerax import checkpoint
from lerax.checkpoint import MisfitError
from lerax.env import AbstractEnvLike
from lerax.fingerprint import difference, digest, form_of
from lerax.settings import plain, read_settings, setting_values, settings_of

Policy = TypeVar("Policy", bound=eqx.Module)


def facts_of(policy: PyTree) -> dict[str, Any]:
    """What a policy's file says of how it was made: class, settings, and form with its fingerprint."""
    declared, form = settings_of(type(policy)), form_of(policy)
    settings = {name: plain(declared[name], value) for name, value in setting_values(policy).items()}
    return {"policy": policy.name, "settings": settings, "form": form, "fingerprint": digest(form)}


def blank(cls: type[Policy], env: AbstractEnvLike, settings: Mapping[str, Any]) -> Policy:
    """The form of a policy: to compute initial weights would take longer than all the rest of loading one.

    Args:
        cls: Its class.
        env: The environment to act in.
        settings: Its settings; the others have their defaults.
    """
    keyed = "key" in inspect.signature(cls).parameters
    made: Any = cls
    make = lambda seed: made(env=env, **settings, **({"key": jr.key(seed)} if keyed else {}))
    return eqx.filter_eval_shape(make, np.uint32(0))


def settings_in(cls: type, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a policy's file has.

    Raises:
        ValueError: The class has not all of them, or one is out of range.
    """
    saved = metadata.get("settings", {})
    if not (isinstance(saved, dict) and saved.keys() <= settings_of(cls).keys()):
        raise ValueError(f"settings that {cls.__name__} does not have (got {saved})")
    return read_settings(cls, saved)


def deserialize(
    cls: type[Policy], path: str | Path, env: AbstractEnvLike, given: Mapping[str, Any]
) -> Policy:
    """See `AbstractPolicy.deserialize`."""
    metadata = checkpoint.read_metadata(path)
    form = metadata.get("form", {})
    if form.get("", cls.__qualname__) != cls.__qualname__:
        raise _misfit(path, "class", form[""], cls.__qualname__)
    try:
        saved = settings_in(cls, metadata)
    except ValueError as error:
        raise MisfitError(path, str(error)) from None
    like = blank(cls, env, {**saved, **given})
    for name, value in saved.items():
        if value != setting_values(like)[name]:
            raise _misfit(path, name, repr(value), repr(setting_values(like)[name]))
    if form and (other := difference(form, form_of(like))):
        raise _misfit(path, *other)
    return checkpoint.load(path, like)


def _misfit(path: str | Path, name: str, found: str, wanted: str) -> MisfitError:
    hint = "load it into one of the class, the settings and the spaces that were saved"
    return MisfitError(path, f"{name} does not fit (expected {wanted}, got {found}); {hint}")
