"""How much memory a training needs, told from shapes alone, and whether there is as much."""

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import numpy as np
from jax import numpy as jnp
from jax import random as jr
from jax.sharding import Mesh
from jaxtyping import PyTree

from lerax.env import AbstractEnvLike
from lerax.network import Network
from lerax.policy import AbstractPolicy

if TYPE_CHECKING:
    from .base_algorithm import AbstractAlgorithm
else:
    AbstractAlgorithm = Any

GIB = 2**30
COPIES = 2  # of what a step changes: before and after it
REPLAYS = 3  # of a replay buffer: what training began with stays, one changes, and a save copies it
SHARE = 0.75  # of what is there, where as many trainings as fit are begun: XLA takes up to 1.3 times as much
SIZES = "buffer_size", "batch_size", "num_envs", "num_steps", "num_epochs"  # settings that decide on memory
GROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
GROUP_FILES = {  # limit and use of a control group: by the controllers that its line in the latter has
    "": ("", ("memory.max", "memory.current", "memory.stat")),
    "memory": ("memory", ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat")),
}


def check(
    algorithm: AbstractAlgorithm,
    env: AbstractEnvLike,
    policy: AbstractPolicy,
    trainings: int = 1,
    mesh: Mesh | None = None,
) -> None:
    """Refuses a training that does not fit into memory, before anything is compiled.

    Args:
        algorithm: The algorithm.
        env: The environment.
        policy: The policy, or its form: a `jax.ShapeDtypeStruct` in place of each array.
        trainings: How many of these there are at a time.
        mesh: The devices that each is divided among; None for one.

    Raises:
        MemoryError: It does not fit; the message names the parts and their sizes, of one device.
    """
    here = algorithm if mesh is None else algorithm.divided(mesh.size)
    parts, there = needed(here, env, policy), available(mesh) // trainings
    total = sum(parts.values())
    if total > there:
        largest = sorted(parts, key=lambda name: -parts[name])
        sizes = ", ".join(f"{name} {_shown(parts[name])}" for name in largest if parts[name] > total / 100)
        lower = ", ".join(name for name in SIZES if hasattr(algorithm, name))
        each = f" to each of {trainings} at a time" if trainings > 1 else ""
        each = f" on each of {mesh.size} devices" if mesh is not None else each
        raise MemoryError(
            f"needs about {_shown(total)} ({sizes}), {_shown(there)} are available{each}; "
            f"lower {lower} or the sizes of the policy"
        )


def room(algorithm: AbstractAlgorithm, env: AbstractEnvLike, policy: AbstractPolicy) -> int:
    """How many such trainings fit into memory at a time, at least one; the arguments are those of `check`."""
    return max(1, int(SHARE * available()) // sum(needed(algorithm, env, policy).values()))


def needed(algorithm: AbstractAlgorithm, env: AbstractEnvLike, policy: AbstractPolicy) -> dict[str, int]:
    """Bytes that a training holds at a time, by what they are for: the large parts, and not more of them.

    XLA's own figures for its programs are 1.0 to 1.3 times as large where one of these parts prevails.
    """
    begin = lambda policy, seed: algorithm.init(env, policy, key=jr.key(seed))
    state = eqx.filter_eval_shape(begin, policy, np.uint32(0))
    parameters, replay = size(state.policy), size(state.learner.replay)
    return {
        "policy": COPIES * parameters,
        "optimizer": size(state.learner) - replay + parameters,  # with the gradient and the change
        "environments": COPIES * size(state.standing),
        "replay buffer": REPLAYS * replay,
        **algorithm.buffers(env, policy),
    }


def size(form: PyTree) -> int:
    """Bytes of all arrays of a tree, which may be given by their forms."""
    return sum(_bytes(leaf) for leaf in jax.tree.leaves(form) if hasattr(leaf, "dtype"))


def layers(module: PyTree) -> list[int]:
    """Bytes of what each layer gives for one sample, a number for each of its columns; more with pictures."""
    columns = [leaf.shape[-1] for leaf in jax.tree.leaves(module) if len(getattr(leaf, "shape", ())) == 2]
    parts = jax.tree.leaves(module, is_leaf=lambda part: isinstance(part, Network))
    pictures = [part.of_pictures for part in parts if isinstance(part, Network)]
    return [4 * count for count in sum(pictures, columns)]


def _bytes(leaf: Any) -> int:
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.eval_shape(jr.key_data, leaf)
    return leaf.size * leaf.dtype.itemsize


def available(mesh: Mesh | None = None) -> int:
    """Bytes that can still be had on the device that JAX computes on, or on each of several.

    Those of a CPU have the machine's memory together.
    """
    chosen = jnp.zeros(()).devices() if mesh is None else mesh.local_devices  # the former where arrays go
    told = [device.memory_stats() or {} for device in chosen]
    limits = [stats["bytes_limit"] - stats.get("bytes_in_use", 0) for stats in told if "bytes_limit" in stats]
    return min(limits) if limits else available_here() // len(chosen)


def available_here() -> int:
    """Bytes that can still be had of the machine's memory."""
    limits = [_machine(), _address_space(), *_groups()]
    return max(0, min(limit for limit in limits if limit is not None))


def _machine() -> int:
    """What the machine has to give, its caches included; all that it has where it does not tell."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _address_space() -> int | None:
    """What `ulimit -v` leaves."""
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    if most == resource.RLIM_INFINITY:
        return None
    return most - int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _groups() -> list[int]:
    """What the control groups of a container or of a job leave, where they have limits."""
    left = []
    for folder, names in _memberships():
        try:
            most, used, stat = ((folder / name).read_text() for name in names)
            caches = sum(
                int(line.split()[1]) for line in stat.splitlines() if line.startswith("inactive_file")
            )
            left.append(int(most) - int(used) + caches)
        except (OSError, ValueError):  # there is none, or it has no limit ("max")
            continue
    return left


def _memberships() -> Iterator[tuple[Path, tuple[str, ...]]]:
    """The control groups that this process is in, and those that these are in, with the names of their files.

    A container shows its own group as the root, and may call it by a name that is not there.
    """
    paths = dict.fromkeys(GROUP_FILES, "/")
    with contextlib.suppress(OSError):
        for line in MEMBERSHIP.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            paths |= {name: path for name in controllers.split(",") if name in GROUP_FILES}
    for name, path in paths.items():
        root, files = GROUP_FILES[name]
        inner = Path(path.lstrip("/"))
        for part in (inner, *inner.parents) if path != "/" else (inner,):
            yield GROUPS / root / part, files


def _shown(count: int) -> str:
    return f"{count / GIB:.1f} GiB" if count < 100 * GIB else f"{count / GIB:,.0f} GiB"
