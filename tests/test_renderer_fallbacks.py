"""What draws a MuJoCo model where something fails: each renderer is followed by the next, where it draws."""

import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pictures import find_gl, load, scene

import lerax.render
from lerax.render import HeadlessMujocoRenderer, gl, headless_renderer, mujoco_renderer, trial
from lerax.render.software import Software

ROOT = str(Path(lerax.render.__file__).parents[2])
BALL = scene('<geom size=".5" material="red"/>')

# PyOpenGL's loader finds no library whose name is in HIDDEN, in this process and in those that it starts.
HIDE = """
import ctypes, os
load = ctypes.CDLL.__init__
def init(self, name, *rest, **options):
    if any(hidden in str(name) for hidden in os.environ["HIDDEN"].split()):
        raise OSError(f"{name}: cannot open shared object file")
    load(self, name, *rest, **options)
ctypes.CDLL.__init__ = init
"""
DRAW = f"""
from lerax.render import HeadlessMujocoRenderer, gl
mujoco = gl.import_mujoco()
model = mujoco.MjModel.from_xml_string('''{BALL}''')
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
for _ in range(2):
    with HeadlessMujocoRenderer(model, 64, 48) as renderer:
        renderer.render_data(data)
        assert renderer.as_array()[24, 32, 0] > 200
print(renderer.drawn_with)
"""


@pytest.fixture
def ball(monkeypatch):
    """A model and its data, where OpenGL was never tried and nothing is asked for."""
    mujoco_renderer._warn_once.cache_clear()
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    return load(BALL)


@pytest.mark.parametrize(
    ("asked", "hidden", "draws"), [("osmesa", "OSMesa", "egl"), ("egl", "EGL", "osmesa")]
)
def test_an_opengl_whose_library_is_missing_does_not_stand_in_the_others_way(tmp_path, asked, hidden, draws):
    """MuJoCo's import binds PyOpenGL to what is asked for. A relative: EGL asked for where OSMesa works."""
    if gl._try_out(draws, False) is not None:
        pytest.skip(f"{draws} does not work here")
    (tmp_path / "sitecustomize.py").write_text(HIDE)
    variables = {name: value for name, value in os.environ.items() if name != "DISPLAY"} | {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), ROOT, *sys.path]),
        "MUJOCO_GL": asked,
        "HIDDEN": hidden,
    }
    done = subprocess.run([sys.executable, "-c", DRAW], env=variables, capture_output=True, text=True)
    assert done.stdout.strip() == draws, done.stderr
    assert done.stderr.count("Warning:") == 1 and f"using {draws}" in done.stderr
    assert f"MUJOCO_GL={asked} does not work here ({asked}: " in done.stderr


def drawn(model, data, **options):
    """A picture, and what drew it."""
    with HeadlessMujocoRenderer(model, 64, 48, **options) as renderer:
        renderer.render_data(data)
        return renderer.as_array(), renderer.drawn_with


@pytest.mark.parametrize("asked", ["", "egl", "osmesa"])
def test_what_works_elsewhere_but_not_here_is_followed_by_software(ball, monkeypatch, asked):
    """One warning says so, for all renderers of the process."""
    monkeypatch.setenv("MUJOCO_GL", asked)
    monkeypatch.setattr(gl, "_try_out", lambda *_: None)

    def bound(name):
        raise AttributeError(f"{name}: PyOpenGL is bound to something else")

    monkeypatch.setattr(gl, "gl_context", bound)
    first = f"MUJOCO_GL={asked}" if asked else "OpenGL"
    text = rf"{first} does not work here \({asked or 'egl'}: .* bound to .*using the software renderer"
    with pytest.warns(RuntimeWarning, match=text) as said:
        pictures = [drawn(*ball) for _ in range(2)]
    assert len(said) == 1
    assert [name for _, name in pictures] == ["software"] * 2 and pictures[0][0].max() == 255


class Dying:
    """Stands for an OpenGL whose context is lost after a few pictures."""

    drew: list[str] = []

    def __init__(self, name, *what):
        self.name, self.left = name, 2
        self.artist = Software(*what)

    def draw(self, scene):
        with mujoco_renderer._saying("it failed while it drew"):
            self.left -= 1
            if self.left < 0:
                raise KeyError("EGL_CONTEXT_LOST")
        self.drew.append(self.name)
        return self.artist.draw(scene)

    def close(self):
        pass


def test_a_renderer_that_dies_in_the_middle_of_a_clip_is_followed_by_the_next(ball, monkeypatch):
    """A relative: what failed at the start is followed, too, when it fails later; no frame is missing."""
    monkeypatch.setattr(Dying, "drew", [])
    monkeypatch.setattr(gl, "_try_out", lambda *_: None)
    monkeypatch.setattr(mujoco_renderer, "_OpenGL", Dying)
    model, data = ball
    monkeypatch.setenv("MUJOCO_GL", "off")
    expected, _ = drawn(model, data)
    monkeypatch.delenv("MUJOCO_GL")
    with HeadlessMujocoRenderer(model, 64, 48) as renderer:
        with pytest.warns(RuntimeWarning, match="OpenGL does not work here .*CONTEXT_LOST") as said:
            for _ in range(7):
                renderer.render_data(data)
                np.testing.assert_array_equal(renderer.as_array(), expected)
        assert renderer.drawn_with == "software"
    assert Dying.drew == ["egl"] * 2 + ["osmesa"] * 2
    assert ["osmesa" in str(warning.message) for warning in said] == [True, True]
    assert "using the software renderer" in str(said[-1].message)


def test_after_opengl_has_failed_any_thread_may_draw(ball, monkeypatch):
    monkeypatch.setattr(gl, "_try_out", lambda *_: None)
    monkeypatch.setattr(gl, "gl_context", lambda name: 1 / 0)
    model, data = ball
    got = []
    with (
        pytest.warns(RuntimeWarning, match="division by zero"),
        HeadlessMujocoRenderer(model, 64, 48) as renderer,
    ):
        thread = threading.Thread(target=lambda: got.append(renderer.render_data(data)))
        thread.start()
        thread.join()
    assert got == [None]


def test_an_opengl_that_hangs_is_left(monkeypatch, tmp_path):
    """A relative: what never answers counts as what does not work."""
    hanging = tmp_path / "python"
    hanging.write_text("#!/bin/sh\nexec sleep 1000\n")
    hanging.chmod(0o755)
    gl._try_out.cache_clear()
    monkeypatch.setattr(gl, "TRIAL_SECONDS", 0.2)
    monkeypatch.setattr(gl.sys, "executable", str(hanging))
    assert gl._try_out("egl", False) == "it does not answer within 0.2 s"
    gl._try_out.cache_clear()


@pytest.mark.parametrize(
    ("gl_seconds", "asked", "fastest", "draws"),
    [
        (0.3, "", True, "software"),
        (0.001, "", True, "egl"),
        (0.3, "", False, "egl"),
        (0.3, "egl", True, "egl"),
        (0.3, "osmesa", True, "osmesa"),
        (0.001, "off", True, "software"),
    ],
)
def test_the_fastest_draws_if_asked_for_unless_the_user_has_chosen(
    ball, monkeypatch, gl_seconds, asked, fastest, draws
):
    """A choice is no failure: no warning."""
    monkeypatch.setenv("MUJOCO_GL", asked)
    monkeypatch.setattr(trial.os, "nice", lambda niceness: None)
    monkeypatch.setattr(trial, "draws_with", lambda name: True)
    monkeypatch.setattr(trial, "frame_seconds", lambda name: 0.02 if name == "software" else gl_seconds)
    monkeypatch.setattr(gl, "_try_out", lambda name, fastest: trial.speaks_against(name, fastest=fastest))
    monkeypatch.setattr(mujoco_renderer, "_OpenGL", Dying)
    model, data = ball
    env = SimpleNamespace(mujoco_model=model)
    with (
        warnings.catch_warnings(),
        headless_renderer(SimpleNamespace(unwrapped=env), fastest=fastest) as renderer,
    ):
        warnings.simplefilter("error")
        assert renderer.drawn_with == draws


def test_without_the_software_renderer_opengl_draws_or_a_line_says_why_nothing_does(ball, monkeypatch):
    monkeypatch.setitem(sys.modules, "lerax.render.software", None)  # as if it were not there
    monkeypatch.setattr(gl, "_try_out", lambda *_: None)
    monkeypatch.setattr(trial, "draws_with", lambda name: True)
    monkeypatch.setattr(mujoco_renderer, "_OpenGL", Dying)
    assert drawn(*ball)[1] == "egl"
    assert trial.speaks_against("egl", fastest=False) is None
    monkeypatch.setenv("MUJOCO_GL", "off")
    with pytest.raises(lerax.render.RenderError, match="^nothing draws .* .software: .* is not installed.$"):
        drawn(*ball)


@pytest.mark.skipif(find_gl()[0] != "egl", reason="no EGL here")
def test_kinds_are_timed_in_a_process_of_their_own(monkeypatch):
    """The verdict is that of timings made here; both kinds are alike only by chance."""
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    verdict = gl._try_out("egl", True)
    assert verdict is None or "processor time" in verdict
    slower = trial.frame_seconds("egl") / trial.frame_seconds("software")
    assert 0.5 < slower < 2 or (slower > 1) == (verdict is not None)
