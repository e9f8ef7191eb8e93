"""Process-wide settings of JAX: only the command touches them."""

import contextlib
import gc
import os
import platform
from collections.abc import Callable, Mapping
from importlib.metadata import version
from types import MappingProxyType
from typing import Any

from lerax import cores

from .compile_cache import keep_programs
from .report import BadInput, Failure
from .values import ALL

CUDA = "for NVIDIA's install jax[cuda13]"


def prepare(
    device: str,
    warn: Any,
    *,
    keep: bool = True,
    devices: int | str = 1,
    join: Callable[[], None] = lambda: None,
) -> Any:
    """Imports JAX with a compilation cache on the chosen device, and returns that device.

    Args:
        device: `auto`, `cpu` or `gpu`.
        warn: Takes a line of warning.
        keep: Whether there is a compilation cache.
        devices: How many there are to be; `all` for as many as there can be. A CPU is divided into so many.
        join: Called before anything is computed.

    Raises:
        BadInput: There are not so many.
        Failure: There is no such device.
    """
    gc.set_threshold(50_000, 20, 20)  # tracing makes many objects and little garbage: 0.2 s less
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # XLA's own notes are not for users
    if device == "cpu":
        os.environ["JAX_PLATFORMS"] = "cpu"
    import jax

    if keep:
        keep_programs(warn)
    else:
        jax.config.update("jax_enable_compilation_cache", False)
    if devices != 1:
        with contextlib.suppress(RuntimeError):  # a process that has computed with JAX has what it has
            jax.config.update("jax_num_cpu_devices", cores.share() if devices == ALL else int(devices))
    join()
    found = find_devices(device)
    if devices != ALL and int(devices) > len(found):
        there = f"{len(found)} of {found[0].device_kind}"
        raise BadInput(
            "--devices", f"more than there are (got {devices}); found: {there}; give fewer, or all"
        )
    if device == "gpu":
        jax.config.update("jax_default_device", found[0])
    return found[0]


def find_devices(device: str) -> list[Any]:
    """The devices here that JAX computes on: the CPU, GPUs, or for `auto` what JAX or JAX_PLATFORMS prefers.

    Raises:
        Failure: There are none.
    """
    import jax

    try:
        return jax.local_devices(backend="gpu" if device == "gpu" else None)
    except (RuntimeError, AssertionError) as error:  # the latter without a word, for CUDA that is missing
        why, asked = " ".join(str(error).split()), os.environ.get("JAX_PLATFORMS")
        if not asked and device != "gpu":
            raise Failure("JAX", f"no device ({why}); --device cpu goes without") from None
    jax.config.update("jax_platforms", None)
    names = ", ".join(str(d) for d in jax.devices())
    if device == "gpu":
        raise Failure("--device", f"no GPU that JAX can use; found: {names}; {CUDA}, or leave the option out")
    raise Failure("JAX_PLATFORMS", f"not here (got {asked!r}); found: {names}; unset it, or {CUDA}")


def versions() -> dict[str, str]:
    """The versions that numbers depend on."""
    packages = ("lerax", "jax", "equinox", "optax")
    return {"python": platform.python_version()} | {package: version(package) for package in packages}


def circumstances(device: Any, layout: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    """What numbers depend on beside settings and seed, as checkpoints say it."""
    return {"versions": versions(), "device": str(device), "threads": os.cpu_count(), **layout}
