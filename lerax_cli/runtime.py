"""Process-wide settings of JAX: only the command touches them."""

import gc
import os
from importlib.util import find_spec
from typing import Any

from .compile_cache import keep_programs
from .report import Failure


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
    if device == "cpu" or find_spec("jax_plugins") is None:
        compile_quickly()
    import jax

    keep_programs(warn)
    try:
        found = jax.devices("gpu") if device == "gpu" else jax.devices()
    except RuntimeError as error:
        if device == "gpu":
            names = ", ".join(str(d) for d in jax.devices())
            raise Failure("--device", f"no GPU that JAX can use; found: {names}") from None
        raise Failure("JAX", f"no device ({' '.join(str(error).split())})") from None
    if device == "gpu":
        jax.config.update("jax_default_device", found[0])
    return found[0]


def compile_quickly() -> None:
    """Lets LLVM optimize less: compiling on a CPU takes a third less time, and the programs are as fast."""
    flag, flags = "--xla_backend_optimization_level", os.environ.get("XLA_FLAGS", "")
    if flag not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {flag}=1".strip()
