"""Process-wide settings of JAX: only the command touches them."""

import gc
import os
import platform
from importlib.metadata import version
from typing import Any

from .compile_cache import keep_programs
from .report import Failure

CUDA = "for NVIDIA's install jax[cuda13]"


def prepare(device: str, warn: Any) -> Any:
    """Imports JAX with a compilation cache on the chosen device, and returns that device.

    Args:
        device: `auto`, `cpu` or `gpu`.
        warn: Takes a line of warning.

    Raises:
        Failure: There is no such device.
    """
    gc.set_threshold(50_000, 20, 20)  # tracing makes many objects and little garbage: 0.2 s less
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # XLA's own notes are not for users
    if device == "cpu":
        os.environ["JAX_PLATFORMS"] = "cpu"
    import jax

    keep_programs(warn)
    found = find_devices(device)[0]
    if device == "gpu":
        jax.config.update("jax_default_device", found)
    return found


def find_devices(device: str) -> list[Any]:
    """The devices that JAX computes on: the CPU, a GPU, or for `auto` what JAX or JAX_PLATFORMS prefers.

    Raises:
        Failure: There are none.
    """
    import jax

    try:
        return jax.devices("gpu") if device == "gpu" else jax.devices()
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


def circumstances(device: Any) -> dict[str, Any]:
    """What numbers depend on beside settings and seed, as checkpoints say it."""
    return {"versions": versions(), "device": str(device), "threads": os.cpu_count()}
