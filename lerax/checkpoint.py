"""Modules on disk: complete and verified, or not there at all.

A file is one line `lerax-1 <SHA-256 of the rest>`, one line of JSON (the leaves' names, types and shapes,
and metadata), and the leaves' bytes. Nothing in it is ever executed.
"""

import hashlib
import json
import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import PyTree

from .errors import SettingTypeError
from .files import write_atomically
from .settings import check_instance

MAGIC = b"lerax-1 "
LARGEST_HEADER = 2**24  # bytes; a policy's has hundreds

Form = tuple[str, tuple[int, ...]]
"""The dtype and the shape of a leaf."""


class CheckpointError(ValueError):
    """A file is damaged, or does not fit what is to be loaded.

    Attributes:
        path: The file.
        reason: Why it cannot be loaded.
    """

    def __init__(self, path: str | Path, reason: str):
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def save(
    path: str | Path,
    module: PyTree,
    metadata: dict[str, Any] | None = None,
    *,
    write: Callable[[Path, bytes], None] = write_atomically,
) -> None:
    """Saves the arrays of a module, JAX's and NumPy's.

    Args:
        path: The file.
        module: Any tree; only its arrays are saved.
        metadata: Anything that JSON can hold.
        write: Writes the file.

    Raises:
        TypeError: An array holds Python objects, or the metadata something that JSON cannot hold.
        OSError: The file cannot be written; what was there before is still there.
    """
    named = _named_arrays(module)
    for name, leaf in named:
        if _is_form(leaf) or _plain(leaf).dtype.hasobject:
            got = "the form of an array" if _is_form(leaf) else "an array of Python objects"
            raise SettingTypeError(name, leaf, wrong="cannot be saved", hint="use numbers", said=got)
    leaves = [[name, str(leaf.dtype), leaf.shape] for name, leaf in named]
    header = json.dumps({"leaves": leaves, "metadata": metadata or {}}).encode() + b"\n"
    body = header + b"".join(np.asarray(_plain(leaf)).tobytes() for _, leaf in named)
    write(Path(path), MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body)


def load(path: str | Path, like: PyTree) -> PyTree:
    """Loads what `save` wrote into a module of the same form.

    Args:
        path: The file.
        like: A module whose arrays, or `jax.ShapeDtypeStruct`s, are to be replaced; they are matched by name.
            For a state of a training: the `template` of its algorithm.

    Raises:
        CheckpointError: The file is damaged, or its leaves differ from those of `like`.
        OSError: The file cannot be read.
        TypeError: `like` is a class.
    """
    check_instance("like", like, object, "MLPActorCriticPolicy(env, key=key)")
    header, payload = _read(Path(path))
    found = {name: (dtype, shape) for name, dtype, shape in header["leaves"]}
    named = dict(_named_arrays(like))
    wanted = {name: (str(leaf.dtype), tuple(leaf.shape)) for name, leaf in named.items()}
    _check_fit(path, found, wanted)
    size = sum(_plain(leaf).size * _plain(leaf).dtype.itemsize for leaf in named.values())
    if len(payload) != size or len(found) != len(header["leaves"]):
        raise CheckpointError(path, f"damaged (it holds {len(payload)} bytes, its header names {size})")
    arrays, offset = {}, 0
    for name in found:
        plain = _plain(named[name])
        values = np.frombuffer(payload, plain.dtype, plain.size, offset).reshape(plain.shape)
        offset += values.nbytes
        arrays[name] = _as(named[name], values)
    names = iter(named)
    return jax.tree.map(lambda leaf: arrays[next(names)] if _is_array(leaf) else leaf, like)


def _check_fit(path: str | Path, found: dict[str, Form], wanted: dict[str, Form]) -> None:
    """Refuses leaves that differ from those wanted, and says in which way `like` is another one."""
    strange = bool(found and wanted) and not found.keys() & wanted.keys()
    for name in sorted(found.keys() | wanted.keys()):
        if found.get(name) == wanted.get(name):
            continue
        expected, got = wanted.get(name, "nothing"), found.get(name, "nothing")
        hint = ""
        if strange:
            hint = "; the file is of another kind of object: give one of the kind that was saved"
        elif name in found and name in wanted:
            hint = "; make it with the settings that were saved"
        elif "callback_" in name:
            hint = "; give `template` the callbacks of the run"
        raise CheckpointError(path, f"{name} does not fit (expected {expected}, got {got}){hint}")


def read_metadata(path: str | Path) -> dict[str, Any]:
    """The metadata that was saved with a file.

    Raises:
        CheckpointError: The file is damaged.
        OSError: The file cannot be read.
    """
    return _read(Path(path))[0]["metadata"]


def _read(path: Path) -> tuple[dict[str, Any], bytes]:
    if path.exists() and not path.is_file() and not path.is_dir():
        raise CheckpointError(path, "not a file, but a device or a pipe")
    with open(path, "rb") as file:
        first = file.readline(len(MAGIC) + 65)
        if not first.startswith(MAGIC):
            raise CheckpointError(path, "not a file of lerax, or of a newer version")
        body = file.read()
    if MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" != first:
        raise CheckpointError(path, "damaged (its SHA-256 does not match its contents)")
    header, _, payload = body.partition(b"\n")
    return _understood(path, header), payload


def _understood(path: Path, header: bytes) -> dict[str, Any]:
    """The header of a file whose checksum is right, which says nothing of who made it."""
    try:
        if len(header) > LARGEST_HEADER:
            raise ValueError
        content = json.loads(header)
        leaves = [
            (str(name), str(dtype), tuple(map(operator.index, shape)))
            for name, dtype, shape in content["leaves"]
        ]
        metadata = content["metadata"]
        repr(metadata)  # an error may have to show it
    except (ValueError, TypeError, KeyError, RecursionError):
        raise CheckpointError(path, "damaged (it has no header that names its arrays)") from None
    return {"leaves": leaves, "metadata": metadata}


def _plain(leaf: Any) -> Any:
    """The numbers of a PRNG key, or their form; anything else as it is."""
    if not _is_key(leaf):
        return leaf
    return jax.eval_shape(jr.key_data, leaf) if _is_form(leaf) else jr.key_data(leaf)


def _as(leaf: Any, values: np.ndarray) -> Any:
    """Values from a file as what `leaf` is: a PRNG key, a NumPy array or scalar, or a JAX array."""
    if isinstance(leaf, np.ndarray):
        return values.copy()
    if isinstance(leaf, np.generic):
        return values[()]
    numbers = jnp.asarray(values)
    if not _is_key(leaf):
        return numbers
    kinds: list[Any] = []
    jax.eval_shape(lambda key: kinds.append(jr.key_impl(key)), leaf)  # which takes no form itself
    return jr.wrap_key_data(numbers, impl=kinds[0])


def _is_key(leaf: PyTree) -> bool:
    return _is_array(leaf) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _is_form(leaf: object) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct)


def _is_array(leaf: object) -> bool:
    # NumPy's are arrays to some versions of Equinox only.
    return eqx.is_array(leaf) or isinstance(leaf, np.ndarray | np.generic) or _is_form(leaf)


def _named_arrays(module: PyTree) -> list[tuple[str, Any]]:
    leaves = jax.tree_util.tree_flatten_with_path(module)[0]
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in leaves if _is_array(leaf)]
