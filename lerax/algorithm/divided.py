"""One training divided among devices: each has its own environments, and what they learn is averaged.

An iteration is mapped over the devices (`jax.shard_map`): environments, and what grows with their number,
such as a replay buffer, are divided, all else each device has whole. They begin so: no device ever has the
parts of the others. The hooks around an iteration see all environments at once.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import numpy as np
from jax import lax
from jax import numpy as jnp
from jax import random as jr
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Key, PyTree

from lerax import cores, devices
from lerax.collect import Standing, begin_all
from lerax.env import AbstractEnvLike
from lerax.learner import Log, Maybe
from lerax.policy import AbstractPolicy

from .state import AlgorithmState

if TYPE_CHECKING:
    from .base_algorithm import AbstractAlgorithm
else:
    AbstractAlgorithm = Any

WHOLE, BY_ENV = PartitionSpec(), PartitionSpec(devices.AXIS)
OF_EACH_ENV = "standing", "callback_step_state"  # what a state has for each environment


def iteration(algorithm: AbstractAlgorithm, state: AlgorithmState, *, key: Key[Array, ""]) -> Any:
    """An iteration of an algorithm, on all devices that training is divided among.

    Args:
        algorithm: The algorithm, as for one device.
        state: The state before it, of all environments.
        key: PRNG key.

    Returns:
        What `AbstractAlgorithm.iteration` does, of all environments: the caller checks what that is.
    """
    if not (count := _around()):
        return algorithm.iteration(state, key=key)
    told = {"callback_state": None, "callback_step_state": None, "callback_names": ()}
    bare = dataclasses.replace(state, **told)
    leaves, static = _flat(bare)
    specs = _specs(algorithm, bare, count)
    given, settings = eqx.partition(algorithm, eqx.is_array)
    others: list[Any] = []  # what an iteration gives that is no array

    def one(given: Any, leaves: list[Array], key: Key[Array, ""]) -> Any:
        here = eqx.combine(given, settings).divided(count)
        after, steps, log = here.iteration(static(leaves), key=jr.fold_in(key, devices.index()))
        arrays, rest = eqx.partition((steps, _averaged(log)), eqx.is_array)
        after, form = _flat(after)
        others[:] = [form, rest]
        return after, *arrays

    out = (specs, PartitionSpec(None, devices.AXIS), WHOLE)
    mapped = jax.shard_map(one, in_specs=(WHOLE, specs, WHOLE), out_specs=out, check_vma=False)
    after, *arrays = mapped(given, leaves, key)
    steps, log = eqx.combine(tuple(arrays), others[1])
    return dataclasses.replace(others[0](after), **{name: getattr(state, name) for name in told}), steps, log


def begun(env: AbstractEnvLike, policy: AbstractPolicy, keys: Key[Array, "env 3"]) -> Standing:
    """What `begin_all` gives, as part of a program on several devices: each begins its own environments."""
    if not _around():
        return begin_all(env, policy, keys)
    given, settings = eqx.partition((env, policy), eqx.is_array)

    def begin(given: Any, keys: Key[Array, "env 3"]) -> Standing:
        env, policy = eqx.combine(given, settings)
        return begin_all(env, policy, keys)

    return jax.shard_map(begin, in_specs=(WHOLE, BY_ENV), out_specs=BY_ENV, check_vma=False)(given, keys)


def spread(algorithm: AbstractAlgorithm, state: AlgorithmState, mesh: Mesh | None) -> AlgorithmState:
    """A state whose arrays lie on the devices of a mesh; the same state for None.

    Args:
        algorithm: The algorithm, of which `check_divided` has said that it can be.
        state: The state, the same in all processes; or a form of it, which `lerax.checkpoint.load` then
            loads one into that lies there.
        mesh: The devices.
    """
    if mesh is None:
        return state
    leaves, static = _flat(state)
    specs = _specs(algorithm, state, mesh.size)
    return static([_put(leaf, NamedSharding(mesh, spec)) for leaf, spec in zip(leaves, specs, strict=True)])


def copied(tree: Any, mesh: Mesh | None) -> Any:
    """A tree of which each device of a mesh has all; the same tree for None."""
    if mesh is None:
        return tree
    sharding = NamedSharding(mesh, WHOLE)
    return jax.tree.map(lambda leaf: _put(leaf, sharding) if eqx.is_array(leaf) else leaf, tree)


def _put(leaf: Any, sharding: NamedSharding) -> Any:
    """An array, or its form, as it lies on several devices; what lies there stays what it is."""
    if isinstance(leaf, jax.ShapeDtypeStruct):
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)
    if isinstance(leaf, jax.Array) and leaf.sharding.is_equivalent_to(sharding, leaf.ndim):
        return leaf
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jr.wrap_key_data(_put(jr.key_data(leaf), sharding), impl=jr.key_impl(leaf))
    values = np.asarray(leaf)
    return jax.make_array_from_callback(values.shape, sharding, lambda part: values[part])


def laid_out(algorithm: AbstractAlgorithm, state: AlgorithmState) -> AlgorithmState:
    """A state as part of a program on several devices: that its arrays lie there as `spread` lays them."""
    if not (count := _around()):
        return state
    leaves, static = _flat(state)
    return static(lax.with_sharding_constraint(leaves, _specs(algorithm, state, count)))


def whole(tree: PyTree) -> PyTree:
    """Arrays as part of a program on several devices: that each of these has all of them."""
    if not _around():
        return tree
    return lax.with_sharding_constraint(tree, jax.tree.map(lambda _: WHOLE, tree))


@contextlib.contextmanager
def among(mesh: Mesh | None) -> Iterator[None]:
    """Programs that are called here are divided among the devices of a mesh, and their cores among these."""
    if mesh is None:
        yield
        return
    with jax.set_mesh(mesh), cores.divided(cores.trainings() * len(mesh.local_devices)):
        yield


def on_one(tree: PyTree) -> PyTree:
    """A state, of which what each device has whole is on one of them, for the host and its programs."""
    if devices.found_in(tree) is None:
        return tree
    one = lambda leaf: leaf.addressable_data(0) if eqx.is_array(leaf) and leaf.is_fully_replicated else leaf
    return jax.tree.map(one, tree)


def within_reach(tree: PyTree) -> PyTree:
    """What a process has itself of arrays that are divided by environments."""
    parts = lambda leaf: [shard.data for shard in leaf.addressable_shards]
    one = lambda leaf: leaf if leaf.is_fully_addressable else np.concatenate(jax.device_get(parts(leaf)))
    return jax.tree.map(one, tree)


def _around() -> int:
    """How many devices the program that is being traced is divided among; 0 where it is not."""
    return jax.sharding.get_abstract_mesh().shape.get(devices.AXIS, 0)


def _flat(state: AlgorithmState) -> tuple[list[Any], Any]:
    """The arrays of a state, or their forms, and what makes a state of such."""
    arrays, static = eqx.partition(state, _has_shape)
    leaves, structure = jax.tree.flatten(arrays)
    return leaves, lambda leaves: eqx.combine(jax.tree.unflatten(structure, leaves), static)


def _averaged(log: Log) -> Log:
    """A log of all devices: of what is not always there, the mean of those that have it."""

    def one(entry: Any) -> Any:
        if not isinstance(entry, Maybe):
            return devices.mean(jnp.asarray(entry, jnp.float32))
        there = devices.total(jnp.asarray(entry.there, jnp.float32))
        value = devices.total(jnp.where(entry.there, entry.value, 0.0))
        return Maybe(value / jnp.maximum(there, 1.0), there > 0)

    return {name: one(entry) for name, entry in log.items()}


def _specs(algorithm: AbstractAlgorithm, state: AlgorithmState, count: int) -> list[PartitionSpec]:
    """How the arrays of a state are divided among so many devices, in their order.

    The environments are, and of the learner whatever is smaller for an algorithm with fewer of them.
    """
    here = algorithm.divided(count)
    part = eqx.filter_eval_shape(here.init_learner, state.env, state.policy, key=state.key)
    specs: list[PartitionSpec] = []
    for name, value in vars(state).items():  # in the order of the fields, as JAX has it
        shapes = _shapes(value)
        if name == "learner":
            specs += [_spec(whole, half) for whole, half in zip(shapes, _shapes(part), strict=True)]
        else:
            specs += [BY_ENV if name in OF_EACH_ENV else WHOLE] * len(shapes)
    return specs


def _shapes(tree: PyTree) -> list[Any]:
    """The arrays of a tree, or their forms."""
    return jax.tree.leaves(eqx.filter(tree, _has_shape))


def _has_shape(leaf: Any) -> bool:
    return eqx.is_array(leaf) or isinstance(leaf, jax.ShapeDtypeStruct)


def _spec(whole: Any, part: Any) -> PartitionSpec:
    """How an array is divided, from its shape and that of one device's part."""
    sizes = zip(whole.shape, part.shape, strict=True)
    return PartitionSpec(*(devices.AXIS if size != smaller else None for size, smaller in sizes))
