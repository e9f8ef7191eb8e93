"""Which OpenGL works here without a display, asked where a wrong answer does no harm."""

import contextlib
import functools
import importlib
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from types import ModuleType

OFF = ("software", "disable", "disabled", "off", "false", "0")
PACKAGES = "apt-get install libegl1 libopengl0 libgl1"
PROBE_SECONDS = 60

PROBE = """
import sys
from lerax.render.mujoco_renderer import draws_with
sys.exit(0 if draws_with(sys.argv[1]) else "it draws black pictures")
"""


def import_mujoco() -> ModuleType:
    """Imports mujoco, which by itself fails where `MUJOCO_GL` names something that is not there.

    Raises:
        ImportError: It is not installed.
    """
    with environment(PYOPENGL_PLATFORM=os.environ.get("PYOPENGL_PLATFORM")):  # which the import may set
        try:
            import mujoco
        except ImportError:
            raise
        except Exception:
            with environment(MUJOCO_GL="disable"):
                import mujoco
    return mujoco


def gl_context(name: str) -> type:
    """The class of MuJoCo's contexts for `egl`, `osmesa` or `glfw`, whatever `MUJOCO_GL` says."""
    import_mujoco()
    with environment(PYOPENGL_PLATFORM=None if name == "glfw" else name):
        return importlib.import_module(f"mujoco.{name}").GLContext


def find_gl() -> tuple[str | None, str]:
    """Finds an OpenGL that draws without a display: what `MUJOCO_GL` names, else EGL, else OSMesa.

    Each is tried once in a process of its own; none is if `MUJOCO_GL` is `software` or `off`. Warns if
    `MUJOCO_GL` names one that does not work.

    Returns:
        Its name, or None, and why the others do not work.
    """
    return _find_gl(os.environ.get("MUJOCO_GL", "").strip().lower())


@functools.cache
def _find_gl(asked: str) -> tuple[str | None, str]:
    if asked in OFF:
        return None, f"MUJOCO_GL is {asked!r}"
    found, reasons = None, []
    for name in dict.fromkeys(name for name in (asked, "egl", "osmesa") if name):
        reason = _probe(name) if name in ("egl", "osmesa", "glfw") else "there is no such thing"
        if reason is None:
            found = name
            break
        reasons.append(f"{name}: {reason}")
    if asked and asked != found:
        instead = found or f"the software renderer; for OpenGL: {PACKAGES}"
        warnings.warn(f"MUJOCO_GL={asked} does not work ({reasons[0]}); using {instead}", stacklevel=3)
    return found, "; ".join(reasons)


def _probe(name: str) -> str | None:
    """Draws a picture in another process. Returns None, or why it did not work."""
    child = {key: value for key, value in os.environ.items() if key != "PYOPENGL_PLATFORM"}
    child |= {"MUJOCO_GL": name, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    command = [sys.executable, "-P", "-c", PROBE, name]
    try:
        done = subprocess.run(
            command, env=child, capture_output=True, text=True, errors="replace", timeout=PROBE_SECONDS
        )
    except (subprocess.TimeoutExpired, OSError) as error:
        return str(error)
    said = [line for line in done.stderr.splitlines() if line[:1].strip() and "ignored" not in line]
    return None if done.returncode == 0 else (said[-1] if said else f"exit status {done.returncode}")


@contextlib.contextmanager
def environment(**changes: str | None) -> Iterator[None]:
    """Changes environment variables for a while; None takes one away."""
    before = {name: os.environ.get(name) for name in changes}
    try:
        _set(changes)
        yield
    finally:
        _set(before)


def _set(values: dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
