"""What `lerax doctor` tries, each in a process of its own: `python -m lerax_cli.checks NAME`.

A check does once what its name says. It prints what it found; an exception says why it failed.
"""

import functools
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from lerax import registry

from . import compile_cache, runtime
from .declared import TABLES
from .report import Failure

PICTURES = "pictures of MuJoCo models"
LEAST_BYTES = 100 * 2**20
NEEDED_BACKENDS = ("tensorboard", "console")


class Check(NamedTuple):
    """Something that is tried.

    Attributes:
        try_it: Does it, and returns what it found.
        mend: The command that mends it.
        needed: Whether lerax needs it.
        purpose: What it is for, where one of several checks that have the same is enough.
    """

    try_it: Callable[[], str]
    mend: str
    needed: bool = True
    purpose: str = ""


def all_checks() -> dict[str, Check]:
    """The checks by name, in the order in which they are shown."""
    from lerax.render.gl import PACKAGES, has_software

    mujoco = "pip install --force-reinstall mujoco"
    checks = {
        "jax": Check(_jax, "pip install --upgrade jax"),
        "cache": Check(_cache, "export JAX_COMPILATION_CACHE_DIR=FOLDER", needed=False),
        "disk": Check(_disk, "cd FOLDER"),
        "physics": Check(_physics, f"{mujoco} gymnasium"),
        "pygame": Check(_pygame, "pip install --force-reinstall pygame"),
        "egl": Check(lambda: _pictures("egl"), PACKAGES, purpose=PICTURES),
        "osmesa": Check(lambda: _pictures("osmesa"), "apt-get install libosmesa6", purpose=PICTURES),
        "software": Check(lambda: _pictures("software"), mujoco, purpose=PICTURES),
        "mp4": Check(lambda: _video("mp4"), "pip install --force-reinstall imageio-ffmpeg"),
        "gif": Check(lambda: _video("gif"), "pip install --force-reinstall imageio pillow"),
    }
    if not has_software():
        del checks["software"]
    for name, entry in registry.BACKENDS.items():
        mend = f"pip install --force-reinstall {entry.package or 'lerax'}"
        checks[name] = Check(lambda name=name: _backend(name), mend, name in NEEDED_BACKENDS)
    for table, kind in {"": registry.BACKEND, **TABLES}.items():
        for name, entry in kind.plugins().items():
            try_it = functools.partial(_plugin, kind, entry)
            checks[f"{table}.{name}".lstrip(".")] = Check(try_it, entry.writes, needed=False)
    return checks


def main() -> None:
    """Runs the check that the command line names."""
    from .slurm_checks import slurm_checks  # which takes `Check` from here

    try:
        print((all_checks() | slurm_checks())[sys.argv[1]].try_it())
    except Failure as error:
        sys.exit(str(error))
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        said = str(error) or f"without a word, in line {place.lineno} of {place.filename}"
        sys.exit(" ".join(f"{type(error).__name__}: {said}".split()))


def _jax() -> str:
    import jax
    from jax import numpy as jnp

    devices = runtime.find_devices("auto")
    if float(jnp.arange(4.0).sum()) != 6:
        raise ArithmeticError("it computes wrong sums")
    return f"jax {jax.__version__} on {', '.join(str(device) for device in devices)}"


def _cache() -> str:
    warnings: list[str] = []
    runtime.prepare("cpu", warnings.append)
    import jax
    from jax import numpy as jnp

    if warnings:
        raise OSError(warnings[0])
    events: list[str] = []
    jax.monitoring.register_event_listener(lambda event, **_: events.append(event))
    for _ in range(2):
        jax.jit(lambda x: jnp.sin(x) * 3)(1.0)
        jax.clear_caches()
    if not any(event.endswith("cache_hits") for event in events):
        raise OSError("what was compiled did not come back from it")
    return f"programs are kept in {compile_cache.cache_folder(warnings.append)}"


def _disk() -> str:
    free = shutil.disk_usage(".").free
    with tempfile.NamedTemporaryFile(dir=".", prefix=".lerax-doctor-") as file:
        file.write(bytes(2**20))
        file.flush()
        os.fsync(file.fileno())
    if free < LEAST_BYTES:
        raise OSError(f"only {free / 2**20:.0f} MiB are free in {os.getcwd()}")
    return f"{free / 2**30:.1f} GiB are free in {os.getcwd()}"


def _physics() -> str:
    import jax
    from jax import numpy as jnp
    from jax import random as jr

    from lerax.env.mujoco import InvertedPendulum

    runtime.find_devices("auto")
    env = InvertedPendulum()
    step = jax.jit(lambda state: env.transition(state, jnp.ones(1)))
    before = env.initial(key=jr.key(0))
    after = step(before)
    if not float(env.observation(after)[2]) > float(env.observation(before)[2]):
        raise RuntimeError("a cart that is pushed does not move")
    import mujoco

    return f"mujoco {mujoco.__version__} steps in a compiled program"


def _pygame() -> str:
    from lerax.render import RED, HeadlessPygameRenderer
    from lerax.render.pygame_renderer import import_pygame

    with HeadlessPygameRenderer(64, 48) as renderer:
        renderer.clear()
        renderer.draw_circle((32, 24), 10, RED)
        renderer.draw()
        _must_be_red(renderer.as_array()[24, 32])
    return f"pygame {import_pygame().version.ver} draws off screen"


def _pictures(name: str) -> str:
    os.environ["MUJOCO_GL"] = name
    from lerax.render.trial import draws_with

    if not draws_with(name):
        raise RuntimeError("it draws black pictures")
    return "draws without OpenGL" if name == "software" else "OpenGL draws off screen"


def _video(ending: str) -> str:
    import numpy as np

    from lerax.render import write_video

    frames = np.zeros((10, 48, 64, 3), np.uint8)
    frames[:, 10:20, 10:30] = 255
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"clip.{ending}"
        facts = write_video(path, frames, 25)
        return f"{facts.frames} frames became {path.stat().st_size:,} bytes"


def _backend(name: str) -> str:
    os.environ["WANDB_MODE"] = "offline"  # nothing is sent for a trial
    backend_class = registry.load_backend(name)
    with tempfile.TemporaryDirectory() as folder:
        shown = Path(folder) / "shown"
        with shown.open("w") as stream:
            options = {"progress": "plain", "stream": stream} if name == "console" else {"log_dir": folder}
            backend: Any = backend_class(**options)
            backend.open("trial")
            backend.on_training_start(10, 1)
            backend.log_scalars({"trial/value": 1.0}, 10)
            backend.close()
        written = [path for path in Path(folder).rglob("*") if path.is_file() and path.stat().st_size]
        if not written:
            raise OSError("nothing was written")
        return f"{sum(path.stat().st_size for path in written):,} bytes were written"


def _plugin(kind: registry.Kind, entry: registry.Entry) -> str:
    """Only imports it: what another package's code does with a trial is not known."""
    return f"{kind.load(entry).__name__} can be imported"


def _must_be_red(pixel: Any) -> None:
    if not (pixel[0] > 40 and pixel[0] > 2 * pixel[1]):
        raise RuntimeError(f"a red ball looks otherwise (got {pixel})")


if __name__ == "__main__":
    main()
