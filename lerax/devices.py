"""The devices that one training is divided among: how many there are here, and averages over them.

Inside of a divided iteration (`lerax/algorithm/divided.py`) each device computes with its own environments;
what all of them need alike, such as gradients, is averaged. Elsewhere there is one device, and an average is
what was given: so an algorithm is written once.
"""

from typing import Any

import jax
from jax import lax
from jax import numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding
from jaxtyping import Array, Float, Int, PyTree

from .errors import SettingError

AXIS = "devices"


def count() -> int:
    """How many devices compute what is being traced."""
    mesh = jax.sharding.get_abstract_mesh()
    return mesh.shape[AXIS] if AXIS in mesh.manual_axes else 1


def index() -> Int[Array, ""]:
    """Which of them one is, from 0."""
    return lax.axis_index(AXIS) if count() > 1 else jnp.array(0, jnp.int32)


def mean(tree: PyTree) -> PyTree:
    """The mean over the devices of each floating array."""
    return lax.pmean(tree, AXIS) if count() > 1 else tree


def total(tree: PyTree) -> PyTree:
    """The sum over the devices of each array."""
    return lax.psum(tree, AXIS) if count() > 1 else tree


def moments(
    x: Float[Array, "*batch"], axis: int | None = None, *, around_zero: bool = False
) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    """Mean and variance of the numbers of all devices, each of which has as many; over one axis, or all.

    The devices tell each other theirs (Chan, Golub and LeVeque, 1979): once, where averages would be two.

    Args:
        x: The numbers.
        axis: The axis; None for all.
        around_zero: Whether the mean is at most some hundred deviations from 0. The variance is the mean of
            the squares less the square of the mean then: a fraction of the time, forward and backward.
    """
    average = lambda x: jnp.mean(x, axis, keepdims=True)
    center = average(x)
    if around_zero:
        variance = jnp.maximum(average(x**2) - center**2, 0)
    else:
        variance = average((x - lax.stop_gradient(center)) ** 2)  # whose derivative by the mean is 0
    own = jnp.squeeze(center, axis), jnp.squeeze(variance, axis)
    if count() == 1:
        return own
    means, variances = lax.all_gather(own, AXIS)
    center = jnp.mean(means, 0)
    return center, jnp.mean(variances + (means - center) ** 2, 0)


def mesh_of(devices: int | str | Mesh | None) -> Mesh | None:
    """The mesh of some devices.

    Args:
        devices: How many of those that JAX has in each process, or `all`; a mesh stays what it is, and None
            is None.

    Raises:
        SettingError: There are not so many.
    """
    if devices is None or isinstance(devices, Mesh):
        return devices
    there = jax.local_devices()
    wanted = len(there) if devices == "all" else devices
    if isinstance(wanted, bool) or not isinstance(wanted, int) or not 1 <= wanted <= len(there):
        found = f"{len(there)} of {there[0].device_kind}"
        raise SettingError("devices", devices, f"1 to {len(there)}, or all", hint=f"JAX has {found}")
    own = lambda process: [device for device in jax.devices() if device.process_index == process][:wanted]
    chosen = [device for process in range(jax.process_count()) for device in own(process)]
    return jax.make_mesh((len(chosen),), (AXIS,), axis_types=(AxisType.Auto,), devices=chosen)


def is_shared(mesh: Mesh | None) -> bool:
    """Whether the devices of a mesh belong to several processes."""
    return mesh is not None and mesh.is_multi_process


def found_in(tree: PyTree) -> Mesh | None:
    """The mesh that the arrays of a tree lie on; None where they are on one device."""
    for leaf in jax.tree.leaves(tree):
        sharding: Any = getattr(leaf, "sharding", None)
        if isinstance(sharding, NamedSharding) and AXIS in sharding.mesh.axis_names:
            return sharding.mesh if isinstance(sharding.mesh, Mesh) else None
    return None
