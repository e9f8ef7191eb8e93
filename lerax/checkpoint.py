"""Modules on disk: complete and verified, or not there at all.

`lerax/archive/` says what a file looks like. Nothing in it is ever executed.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import PyTree

from . import archive
from .archive import MAGIC as MAGIC
from .archive import Archive, CheckpointError, Entry, Segments
from .archive.writing import Write
from .errors import SettingTypeError
from .files import write_atomically
from .settings import check_instance


class MisfitError(CheckpointError):
    """A file is whole, and its arrays are others than those of what it is to be loaded into."""


Form = tuple[str, tuple[int, ...]]
"""The dtype and the shape of a leaf."""


def save(
    path: str | Path,
    module: PyTree,
    metadata: dict[str, Any] | None = None,
    *,
    segments: Segments | None = None,
    write: Write = write_atomically,
) -> None:
    """Saves the arrays of a module, JAX's and NumPy's.

    Args:
        path: The file.
        module: Any tree; only its arrays are saved.
        metadata: Anything that JSON can hold.
        segments: Takes large arrays, in the folder `segments` beside the file; without it the file holds all.
        write: Writes the file.

    Raises:
        TypeError: An array holds Python objects, or the metadata something that JSON cannot hold.
        OSError: The file cannot be written; what was there before is still there.
    """
    archive.write(Path(path), arrays_of(module), metadata or {}, segments=segments, write=write)


def arrays_of(
    module: PyTree, copy: Callable[[str, memoryview], memoryview] | None = None
) -> list[tuple[Entry, memoryview]]:
    """The arrays of a module as bytes, with what is to be said of them.

    Args:
        module: Any tree.
        copy: Makes of a name and bytes those that stay, whatever becomes of the module's; without it there is
            no copy where that is possible.

    Raises:
        TypeError: An array holds Python objects.
    """
    found = []
    for name, leaf in _named_arrays(module):
        if _is_form(leaf) or _plain(leaf).dtype.hasobject:
            got = "the form of an array" if _is_form(leaf) else "an array of Python objects"
            raise SettingTypeError(name, leaf, wrong="cannot be saved", hint="use numbers", said=got)
        values = _bytes(np.asarray(_plain(leaf), order="C"))
        entry = Entry(name, str(leaf.dtype), tuple(leaf.shape))
        found.append((entry, copy(name, values) if copy else values))
    return found


def _bytes(values: np.ndarray) -> memoryview:
    """The memory of a contiguous array."""
    return values.reshape(-1).view(np.uint8).data if values.nbytes else memoryview(b"")


def load(path: str | Path, like: PyTree) -> PyTree:
    """Loads what `save` wrote into a module of the same form.

    Args:
        path: The file.
        like: A module whose arrays, or `jax.ShapeDtypeStruct`s, are to be replaced; they are matched by name.
            For a state of a training: the `template` of its algorithm.

    Raises:
        CheckpointError: The file is damaged.
        MisfitError: Its leaves differ from those of `like`; it is a CheckpointError, too.
        OSError: The file cannot be read.
        TypeError: `like` is a class.
    """
    check_instance("like", like, object, "MLPActorCriticPolicy(env, key=key)")
    return load_with_metadata(path, like)[0]


def load_with_metadata(path: str | Path, like: PyTree) -> tuple[PyTree, dict[str, Any]]:
    """As `load`, with what was saved beside the module."""
    named = dict(_named_arrays(like))
    wanted = {name: (str(leaf.dtype), tuple(leaf.shape)) for name, leaf in named.items()}
    with Archive(path) as file:
        _check_fit(path, {entry.name: (entry.dtype, entry.shape) for entry in file.entries}, wanted)
        plain = {name: _plain(leaf) for name, leaf in named.items()}
        file.fit({name: leaf.size * leaf.dtype.itemsize for name, leaf in plain.items()})
        values = {name: np.empty(leaf.shape, leaf.dtype) for name, leaf in plain.items()}
        file.read({name: _bytes(array) for name, array in values.items()})
    arrays = (_as(named[name], values[name]) for name in named)
    loaded = jax.tree.map(lambda leaf: next(arrays) if _is_array(leaf) else leaf, like)
    return loaded, file.metadata


def _check_fit(path: str | Path, found: dict[str, Form], wanted: dict[str, Form]) -> None:
    """Refuses leaves that differ from those wanted, and says in which way `like` is another one."""
    strange = bool(found and wanted) and not found.keys() & wanted.keys()
    telling = lambda name: (".policy" not in name, "callback_" in name, name)  # what others follow from first
    for name in sorted(found.keys() | wanted.keys(), key=telling):
        if _same(found.get(name), wanted.get(name)):
            continue
        expected, got = wanted.get(name, "nothing"), found.get(name, "nothing")
        hint = ""
        if strange:
            hint = "; the file is of another kind of object: give one of the kind that was saved"
        elif name in found and name in wanted:
            hint = "; make it with the settings that were saved"
        elif "callback_" in name:
            hint = "; give `template` the callbacks of the run"
        raise MisfitError(path, f"{name} does not fit (expected {expected}, got {got}){hint}")


def _same(found: Form | None, wanted: Form | None) -> bool:
    """Whether two forms are of the same values: replay buffers had time and environments in one axis once."""
    if found is None or wanted is None or found == wanted:
        return found == wanted
    (dtype, shape), (other, apart) = found, wanted
    return dtype == other and len(apart) == 3 and shape == (apart[0] * apart[1], apart[2])


def read_metadata(path: str | Path) -> dict[str, Any]:
    """The metadata that was saved with a file; of one with segments, no more than its header is verified.

    Raises:
        CheckpointError: The file is damaged.
        OSError: The file cannot be read.
    """
    with Archive(path) as file:
        return file.metadata


def check(path: str | Path) -> dict[str, Any]:
    """Verifies a file and its segments.

    Returns:
        The metadata that was saved with it.

    Raises:
        CheckpointError: The file or a segment is damaged, or a segment is missing.
        OSError: The file cannot be read.
    """
    with Archive(path) as file:
        file.read()
        return file.metadata


def _plain(leaf: Any) -> Any:
    """The numbers of a PRNG key, or their form; anything else as it is."""
    if not _is_key(leaf):
        return leaf
    return jax.eval_shape(jr.key_data, leaf) if _is_form(leaf) else jr.key_data(leaf)


def _as(leaf: Any, values: np.ndarray) -> Any:
    """Values from a file as what `leaf` is: a PRNG key, a NumPy array or scalar, or a JAX array."""
    if isinstance(leaf, np.ndarray):
        return values
    if isinstance(leaf, np.generic):
        return values[()]
    sharding = leaf.sharding if _is_form(leaf) else None
    if sharding is None:
        numbers = jnp.asarray(values)
    else:  # each device gets its own part
        numbers = jax.make_array_from_callback(values.shape, sharding, lambda part: values[part])
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
