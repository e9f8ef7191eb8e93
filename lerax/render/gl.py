"""Which OpenGL works here without a display, asked where a wrong answer does no harm."""

import contextlib
import functools
import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from types import ModuleType

from lerax.processes import python

OFF = ("software", "disable", "disabled", "off", "false", "0")
PACKAGES = "apt-get install libegl1 libopengl0 libgl1"
TRIAL_SECONDS = 60  # that a kind has to show that it draws


def import_mujoco() -> ModuleType:
    """Imports mujoco, which by itself fails where `MUJOCO_GL` names something that is not there.

    Raises:
        ImportError: It is not installed.
    """
    with environment(PYOPENGL_PLATFORM=os.environ.get("PYOPENGL_PLATFORM")):  # which the import may set
        try:
            with _bound_to_nothing_if_it_fails():
                import mujoco
        except ImportError:
            raise
        except Exception:
            with environment(MUJOCO_GL="disable"):
                import mujoco
    return mujoco


def gl_context(name: str) -> type:
    """The class of MuJoCo's contexts for `egl`, `osmesa` or `glfw`, whatever `MUJOCO_GL` says.

    Raises:
        Exception: Of any kind: it cannot be loaded.
    """
    import_mujoco()
    platform = None if name == "glfw" else name
    with _bound_to_nothing_if_it_fails(), environment(PYOPENGL_PLATFORM=platform):
        try:
            return importlib.import_module(f"mujoco.{name}").GLContext
        except AttributeError as error:  # how PyOpenGL says it
            raise ImportError("its library is not there") from error


@contextlib.contextmanager
def _bound_to_nothing_if_it_fails() -> Iterator[None]:
    """Forgets PyOpenGL if an import fails that loaded it: it stays with the library it was loaded for."""
    before = set(sys.modules)
    try:
        yield
    except Exception:
        for name in set(sys.modules) - before:
            if name.startswith(("OpenGL", "mujoco.egl", "mujoco.osmesa")):
                del sys.modules[name]
        raise


def wanted() -> str:
    """What `MUJOCO_GL` says; empty if it says nothing, or that OpenGL is not wanted."""
    asked = _asked()
    return "" if asked in OFF else asked


def has_software() -> bool:
    """Whether the software renderer is there: without its folder OpenGL alone draws."""
    return find_spec("lerax.render.software") is not None


def kinds(fastest: bool = False) -> Iterator[tuple[str, str | None]]:
    """What could draw without a display, in the order in which to try it: the last one is `software`.

    Each is tried once, when its turn comes, in a process of its own: what happens there does no harm here,
    but it is no promise either. First comes what `MUJOCO_GL` names, then EGL, then OSMesa; none of them if it
    is `software` or `off`.

    Args:
        fastest: Leave out what takes more processor time than `software`, unless `MUJOCO_GL` names it.

    Yields:
        Its name, and what speaks against it, if anything does.
    """
    asked = _asked()
    if asked not in OFF:
        others = ("egl",) if fastest else ("egl", "osmesa")  # OSMesa never has a graphics card
        for name in dict.fromkeys(name for name in (asked, *others) if name):
            known = name in ("egl", "osmesa", "glfw")
            yield name, _try_out(name, fastest and name != asked) if known else "there is no such thing"
    yield "software", None if has_software() else "lerax.render.software is not installed"


def _asked() -> str:
    return os.environ.get("MUJOCO_GL", "").strip().lower()


@functools.cache
def _try_out(name: str, fastest: bool) -> str | None:
    """What a process of its own has against a kind of OpenGL."""
    command, child = python("-m", "lerax.render.trial", name, *(["fastest"] if fastest else []))
    child.pop("PYOPENGL_PLATFORM", None)
    child["MUJOCO_GL"] = name
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    how = {"text": True, "errors": "replace", "timeout": TRIAL_SECONDS}
    try:
        # In a session of its own: an interrupt from the keyboard must not look like a fault of OpenGL.
        done = subprocess.run(command, env=child, start_new_session=True, **streams, **how)
    except subprocess.TimeoutExpired:
        return f"it does not answer within {TRIAL_SECONDS} s"
    except OSError as error:
        return str(error)
    lines = [line for line in done.stderr.splitlines() if line[:1].strip() and "ignored" not in line]
    return None if done.returncode == 0 else (lines[-1] if lines else f"exit status {done.returncode}")


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
