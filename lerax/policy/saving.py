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
from lerax.settings import from_plain, plain, setting_values, settings_of

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
    declared, saved = settings_of(cls), metadata.get("settings", {})
    if not (isinstance(saved, dict) and saved.keys() <= declared.keys()):
        raise ValueError(f"settings that {cls.__name__} does not have (got {saved})")
    return {name: declared[name].convert(from_plain(declared[name], value)) for name, value in saved.items()}


def deserialize(
    cls: type[Policy], path: str | Path, env: AbstractEnvLike, given: Mapping[str, Any]
) -> Policy:
    """See `AbstractPolicy.deserialize`."""
    metadata = checkpoint.read_metadata(path)
    try:
        saved = settings_in(cls, metadata)
    except ValueError as error:
        raise MisfitError(path, str(error)) from None
    like = blank(cls, env, {**saved, **given})
    form, settings = form_of(like), setting_values(like)
    named = {name: (repr(value), repr(settings[name])) for name, value in saved.items()}
    others = [(name, *two) for name, two in named.items() if two[0] != two[1]]
    if other := next(iter(others), None) or difference(metadata.get("form", form), form):
        hint = "make it with the settings and spaces that were saved"
        raise MisfitError(path, "{0} does not fit (expected {2}, got {1}); {hint}".format(*other, hint=hint))
    return checkpoint.load(path, like)
