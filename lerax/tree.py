"""Loops and selections over modules that mix arrays with static parts, and packing of many small arrays."""

import functools
import math
import os
import re
from collections.abc import Callable, Hashable
from typing import Any, ParamSpec, TypeVar

import equinox as eqx
import jax
import numpy as np
from jax import core, lax
from jax import numpy as jnp
from jax import random as jr
from jax.custom_batching import custom_vmap
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, ArrayLike, Bool, Float, Key, PRNGKeyArray, PyTree

from .errors import SettingTypeError
from .settings import data_of

P = ParamSpec("P")
R = TypeVar("R")

LEVEL = "xla_backend_optimization_level"


def is_traced(*trees: PyTree) -> bool:
    """Whether a JAX transformation is tracing the caller or any of `trees`."""
    probe = jax.device_put(np.float32(0))  # under jit even this is a tracer; elsewhere it compiles nothing
    return any(isinstance(leaf, core.Tracer) for leaf in jax.tree.leaves((probe, trees)))


def typed_key(key: PRNGKeyArray) -> Key[Array, ""]:
    """A new-style PRNG key from either style.

    Raises:
        TypeError: It is not one PRNG key.
    """
    given: Any = key  # which may be anything
    if hasattr(given, "dtype"):
        if given.shape == () and jnp.issubdtype(given.dtype, jax.dtypes.prng_key):
            return given
        if given.ndim == 1 and given.dtype == jnp.uint32:
            return jr.wrap_key_data(given)
    hint = "write for example jax.random.key(0)"
    raise SettingTypeError("key", key, wrong="not one PRNG key", hint=hint, said=text(key))


def settings_as_data(tree: PyTree) -> PyTree:
    """The same tree, in whose modules the settings that are data are arrays of 32 bits."""
    if isinstance(tree, eqx.Module):
        data, parts = data_of(type(tree)), vars(tree)
        changed = {
            name: jax.tree.map(_as_float32, value) if name in data else settings_as_data(value)
            for name, value in parts.items()
        }
        if all(changed[name] is value for name, value in parts.items()):
            return tree
        return with_fields(tree, changed)
    if isinstance(tree, tuple | list) and any(isinstance(part, eqx.Module) for part in tree):
        parts = [settings_as_data(part) for part in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    return tree


def with_fields(module: R, values: dict[str, Any]) -> R:
    """A copy of a module with other fields, unchecked: what is traced cannot be checked again."""
    copy = object.__new__(type(module))
    for name, value in (vars(module) | values).items():
        object.__setattr__(copy, name, value)
    return copy


def _as_float32(value: Any) -> Any:
    return jnp.asarray(value, jnp.float32) if isinstance(value, float) else value


def compiled(function: Callable[P, R], **options: Any) -> Callable[P, R]:
    """`equinox.filter_jit`, for which the modules' settings that are data are arrays.

    On a CPU LLVM optimizes less: compiling takes a third less time, and what comes out is as fast. A level
    that XLA_FLAGS names wins.

    Args:
        function: What is to be compiled.
        options: Those of `equinox.filter_jit`.
    """
    jit: Any = eqx.filter_jit
    plain, quick = jit(function, **options), jit(function, **options, compiler_options={LEVEL: 1})

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        named = {name: settings_as_data(value) for name, value in kwargs.items()}
        program = quick if _alone(args, kwargs) else plain
        return program(*map(settings_as_data, args), **named)

    return call


def compiled_now(function: Callable[..., R], *args: Any, **options: Any) -> Any:
    """The program that `compiled` makes for such arguments, compiled before it is called.

    Args:
        function: What is to be compiled.
        args: The arguments; nothing of them is computed or donated.
        options: Those of `equinox.filter_jit`.

    Returns:
        The program; `compiled` is JAX's object, which knows its memory. It is called with arguments of the
        same form, in which the settings that are data are arrays.
    """
    jit: Any = eqx.filter_jit
    quick = {"compiler_options": {LEVEL: 1}} if _alone(args) else {}
    return jit(function, **options, **quick).lower(*args).compile()


def _alone(*given: PyTree) -> bool:
    """Whether a program may have options of its own: not one that becomes a part of a caller's."""
    return not (
        is_traced(given) or LEVEL in os.environ.get("XLA_FLAGS", "") or jax.default_backend() != "cpu"
    )


def scan(
    step: Callable[[PyTree, PyTree], tuple[PyTree, PyTree]],
    carry: PyTree,
    xs: PyTree = None,
    length: int | None = None,
    *,
    reverse: bool = False,
    unroll: int = 1,
) -> tuple[PyTree, PyTree]:
    """`jax.lax.scan` whose carry may hold static parts, which stay as they are in `carry`."""
    arrays, static = eqx.partition(carry, eqx.is_array)

    def body(arrays: PyTree, x: PyTree) -> tuple[PyTree, PyTree]:
        carry, y = step(eqx.combine(arrays, static), x)
        return eqx.filter(carry, eqx.is_array), y

    arrays, ys = lax.scan(body, arrays, xs, length, reverse=reverse, unroll=unroll)
    return eqx.combine(arrays, static), ys


def cond(
    condition: Bool[Array, ""],
    yes: Callable[[PyTree], tuple[PyTree, PyTree]],
    no: Callable[[PyTree], tuple[PyTree, PyTree]],
    carry: PyTree,
) -> tuple[PyTree, PyTree]:
    """`jax.lax.cond` whose carry may hold static parts, which stay as they are in `carry`.

    Either function gives the carry after it, and something more.
    """
    arrays, static = eqx.partition(carry, eqx.is_array)

    def of_arrays(function: Callable[[PyTree], tuple[PyTree, PyTree]]) -> Callable[[PyTree], Any]:
        def call(arrays: PyTree) -> tuple[PyTree, PyTree]:
            carry, more = function(eqx.combine(arrays, static))
            return eqx.filter(carry, eqx.is_array), more

        return call

    arrays, more = lax.cond(condition, of_arrays(yes), of_arrays(no), arrays)
    return eqx.combine(arrays, static), more


def where(condition: Bool[ArrayLike, "..."], yes: PyTree, no: PyTree) -> PyTree:
    """Selects between two trees, leaf by leaf; static parts are taken from `yes`."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b) if eqx.is_array(a) else a, yes, no)


def with_lanes(size: int, mapped: PyTree, given: PyTree) -> PyTree:
    """What the rule of a `custom_vmap` is given, every leaf with the axis of lanes in front.

    Args:
        size: How many lanes there are.
        mapped: Which leaves have the axis already; the others are the same in all lanes.
        given: The leaves.
    """
    widen = lambda x, has_axis: x if has_axis else jnp.broadcast_to(x, (size, *x.shape))
    return jax.tree.map(widen, given, mapped)


def map_where(condition: Bool[Array, ""], function: Callable[[PyTree], PyTree], tree: PyTree) -> PyTree:
    """`function(tree)` where the condition holds, and the tree itself elsewhere; all leaves are arrays.

    Under `jax.vmap` the function is computed only if the condition holds in one lane at least, where
    `lax.cond` would compute it always.
    """

    @custom_vmap
    def chosen(condition: Array, tree: PyTree) -> PyTree:
        mapped, pick = function, where
        for _ in range(condition.ndim):
            mapped, pick = jax.vmap(mapped), jax.vmap(pick)
        return lax.cond(
            condition.any(), lambda tree: pick(condition, mapped(tree), tree), lambda tree: tree, tree
        )

    @chosen.def_vmap
    def _(size: int, mapped: list, *given: PyTree) -> tuple[PyTree, PyTree]:
        condition, tree = with_lanes(size, tuple(mapped), given)  # the same function sees one axis more
        return chosen(condition, tree), jax.tree.map(lambda _: True, tree)

    return chosen(condition, tree)


def copy_arrays(tree: PyTree) -> PyTree:
    """A copy whose arrays may be donated without touching those of the caller."""
    return jax.tree.map(lambda leaf: jnp.array(leaf) if eqx.is_array(leaf) else leaf, tree)


def without_keys(tree: PyTree) -> PyTree:
    """The same arrays, PRNG keys as their plain numbers: what no random number is drawn with any more."""
    is_key = lambda leaf: eqx.is_array(leaf) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.tree.map(lambda leaf: jr.key_data(leaf) if is_key(leaf) else leaf, tree)


def on_host(tree: PyTree) -> PyTree:
    """The tree with NumPy's arrays in place of JAX's, fetched at once."""
    arrays, static = eqx.partition(without_keys(tree), eqx.is_array)
    return eqx.combine(jax.device_get(arrays), static)


class HostCopy:
    """A copy of a tree of JAX's arrays in NumPy's: a tenth of the time that a copy in JAX's takes.

    Args:
        tree: The tree; its arrays may be donated afterwards.

    Attributes:
        leaves: The copies.
    """

    def __init__(self, tree: PyTree):
        arrays, self._static = eqx.partition(tree, eqx.is_array)
        arrays, self._structure = jax.tree.flatten(arrays)
        is_key = lambda leaf: jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        self.leaves = [jnp.copy(leaf) if is_key(leaf) else np.array(leaf) for leaf in arrays]

    def restored(self) -> PyTree:
        """The tree as it was."""
        arrays = [jnp.asarray(leaf) for leaf in self.leaves]
        return eqx.combine(jax.tree.unflatten(self._structure, arrays), self._static)


def strongly_typed(tree: PyTree) -> PyTree:
    """The same arrays without JAX's weak types, which would make equal states compile twice."""
    return jax.tree.map(
        lambda leaf: lax.convert_element_type(leaf, leaf.dtype) if eqx.is_array(leaf) else leaf, tree
    )


def floats(values: ArrayLike) -> Array:
    """An array of floating-point numbers: whole ones, which someone else gives, become such."""
    array = jnp.asarray(values)
    return array if jnp.issubdtype(array.dtype, jnp.floating) else array.astype(jnp.float32)


def narrow(tree: PyTree) -> PyTree:
    """The same numbers as arrays of 32 bits; booleans, keys and what has fewer bits are as they were."""

    def one(leaf: Any) -> Array:
        array = jnp.asarray(leaf)
        for kind, dtype in ((jnp.floating, jnp.float32), (jnp.signedinteger, jnp.int32)):
            if jnp.issubdtype(array.dtype, kind):
                return array.astype(dtype)
        return array

    return jax.tree.map(one, tree)


def numbers_as_arrays(tree: PyTree) -> PyTree:
    """The same tree, whose Python numbers are arrays: what a loop carries would otherwise never change."""
    is_number = lambda leaf: isinstance(leaf, bool | int | float | complex)
    return jax.tree.map(lambda leaf: jnp.asarray(leaf) if is_number(leaf) else leaf, tree)


def dtype_of(leaf: Any) -> Any:
    """The dtype of an array, a PRNG key's too, or the one that a number would have as an array."""
    return leaf.dtype if eqx.is_array(leaf) else jnp.result_type(leaf)


def text(tree: PyTree) -> str:
    """A tree in one line of at most 200 characters, its arrays by dtype and shape."""
    line = re.sub(r"\bweak_(?=\w+\[)", "", " ".join(eqx.tree_pformat(tree).split()))
    return line if len(line) <= 200 else line[:197] + "..."


def form(tree: PyTree) -> Hashable:
    """Structure, shapes and dtypes of a tree: what decides on the program that takes it."""
    leaves, structure = jax.tree.flatten(tree)
    return structure, tuple((jnp.shape(leaf), dtype_of(leaf)) for leaf in leaves)


def difference(one: PyTree, other: PyTree) -> tuple[str, str] | None:
    """Where two trees first differ in structure, shape or dtype, as a text of either; None for nowhere."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(one)
    others, expected = jax.tree.flatten(other)
    if structure != expected:
        return text(one), text(other)
    for (path, leaf), second in zip(leaves, others, strict=True):
        if not (eqx.is_array_like(leaf) or eqx.is_array_like(second)):
            continue
        name = f"{jax.tree_util.keystr(path)}: " if path else ""
        if (jnp.shape(leaf), dtype_of(leaf)) != (jnp.shape(second), dtype_of(second)):
            return f"{name}{text(leaf)}", f"{name}{text(second)}"
    return None


class Packing:
    """Lays the leaves of a tree side by side in one array per dtype, and takes them apart again.

    Gathering or fetching one wide array is many times cheaper than twenty narrow ones.

    Args:
        like: The tree to be packed, as arrays or shapes. Its leaves share their leading axes.
        batch_axes: How many leading axes the leaves share.
    """

    def __init__(self, like: PyTree, batch_axes: int = 0):
        leaves, self.structure = jax.tree.flatten(like)
        self.shapes = [tuple(leaf.shape[batch_axes:]) for leaf in leaves]
        self.dtypes = [jnp.dtype(leaf.dtype).name for leaf in leaves]  # NumPy makes a name anew each time
        self.batch_axes = batch_axes

    def _parts(self) -> Hashable:
        return self.structure, tuple(self.shapes), tuple(self.dtypes), self.batch_axes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Packing) and self._parts() == other._parts()

    def __hash__(self) -> int:
        return hash(self._parts())

    @property
    def widths(self) -> dict[str, int]:
        """How wide the arrays are, by dtype."""
        widths: dict[str, int] = {}
        for shape, dtype in zip(self.shapes, self.dtypes, strict=True):
            widths[dtype] = widths.get(dtype, 0) + math.prod(shape)
        return widths

    def pack(self, tree: PyTree) -> dict[str, Array]:
        """One array `[*batch, width]` per dtype."""
        columns: dict[str, list[Array]] = {}
        for leaf, dtype in zip(jax.tree.leaves(tree), self.dtypes, strict=True):
            wide = jnp.reshape(leaf, (*jnp.shape(leaf)[: self.batch_axes], -1))
            columns.setdefault(dtype, []).append(wide.astype(dtype))
        return {name: jnp.concatenate(parts, axis=-1) for name, parts in columns.items()}

    def unpack(self, packed: dict[str, Any]) -> PyTree:
        """The tree again, from arrays with any leading axes; works on NumPy arrays too."""
        offsets = dict.fromkeys(packed, 0)
        leaves = []
        for shape, dtype in zip(self.shapes, self.dtypes, strict=True):
            array, start = packed[dtype], offsets[dtype]
            size = math.prod(shape)
            offsets[dtype] = start + size
            leaves.append(array[..., start : start + size].reshape(*array.shape[:-1], *shape))
        return jax.tree.unflatten(self.structure, leaves)


class Untrained(eqx.Module):
    """A part of a module that gradients never change, such as running statistics."""


def trainable(module: PyTree) -> PyTree:
    """Which leaves of a module gradients change: its floating arrays, but those of an `Untrained` part."""
    is_part = lambda part: isinstance(part, Untrained)
    of = lambda part: jax.tree.map(lambda leaf: eqx.is_inexact_array(leaf) and not is_part(part), part)
    return jax.tree.map(of, module, is_leaf=is_part)


def ravel(
    module: PyTree, which: PyTree = eqx.is_inexact_array
) -> tuple[Float[Array, " parameters"], Callable[[Array], PyTree]]:
    """Floating arrays of a module in one vector, and the way back to the module.

    Args:
        module: The module.
        which: Which of its arrays, as `equinox.partition` takes it; by default all.
    """
    chosen, rest = eqx.partition(module, which)
    vector, unravel = ravel_pytree(chosen)
    return vector, lambda vector: eqx.combine(unravel(vector), rest)
