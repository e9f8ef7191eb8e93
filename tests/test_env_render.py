"""How environments are drawn."""

import threading
from typing import ClassVar

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr
from jax.extend.core import Primitive
from toys import frame, where

from lerax.env.base_env import unstack
from lerax.env.classic_control import CartPole, CartPoleState
from lerax.render import HeadlessPygameRenderer, RenderError, headless_renderer


def on_device(position=0.0, angle=0.0, steps=0):
    y = jnp.stack([jnp.asarray(value, jnp.float32) for value in (position, 0.0, angle, 0.0)])
    return CartPoleState(y, jnp.asarray(steps))


def state(position=0.0, angle=0.0):
    """A state of NumPy arrays."""
    return jax.device_get(on_device(position, angle))


def stacked(count):
    return jax.vmap(on_device)(jnp.linspace(-1, 1, count), jnp.linspace(-0.2, 0.2, count), jnp.arange(count))


class Recorder(HeadlessPygameRenderer):
    """Keeps the frames that are presented, and is closed by its user after so many."""

    frames: ClassVar[list] = []
    limit: ClassVar[int] = 1000

    def draw(self):
        super().draw()
        self.frames.append(self.as_array())

    def is_open(self):
        return super().is_open() and len(self.frames) < self.limit


@pytest.fixture
def recorder():
    Recorder.frames, Recorder.limit = [], 1000
    return Recorder(64, 48, transform=CartPole().default_renderer().transform)


@pytest.mark.parametrize("size", [(640, 480), (639, 481), (200, 300)])
def test_cart_and_pole_are_where_the_state_says(env, size):
    scale = headless_renderer(env, *size).transform.scale_length(1)
    cart, pole = (55, 71, 79), (217, 140, 74)
    middle, right = frame(env, state(), *size), frame(env, state(1.0), *size)
    assert where(right, cart)[0] - where(middle, cart)[0] == pytest.approx(scale, abs=1.5)
    assert where(middle, cart)[0] == pytest.approx(size[0] / 2, abs=1.5)
    assert where(middle, pole)[1] < where(middle, cart)[1] - 0.3 * scale
    tilted = frame(env, state(angle=0.2), *size)
    lean = where(tilted, pole)[0] - where(middle, pole)[0]
    assert lean == pytest.approx(0.53 * np.sin(0.2) * scale, abs=2.5)  # the middle of what is seen of it


def test_drawing_computes_nothing_with_jax_on_any_thread(env, monkeypatch):
    host = state(0.3, 0.1)
    expected = frame(env, host)

    def refuse(*_, **__):
        raise AssertionError("a JAX operation")

    monkeypatch.setattr(Primitive, "bind", refuse)
    with pytest.raises(AssertionError, match="a JAX operation"):
        jnp.ones(3) + 1
    got = []
    thread = threading.Thread(target=lambda: got.append(frame(env, host)))
    thread.start()
    thread.join()
    np.testing.assert_array_equal(got[0], expected)


def test_a_state_on_a_device_is_drawn_too(env):
    host = frame(env, state(0.3, 0.1))
    np.testing.assert_array_equal(frame(env, on_device(0.3, 0.1)), host)


def test_stacked_states_are_drawn_one_after_the_other(env, recorder):
    env.render_stacked(stacked(5), recorder)
    assert len(recorder.frames) == 5 and recorder.is_open()
    for i, picture in enumerate(recorder.frames):
        expected = frame(env, jax.tree.map(lambda x, i=i: np.asarray(x[i]), stacked(5)), 64, 48)
        np.testing.assert_array_equal(picture, expected)


def test_unstacking_gives_numpy_states():
    states = list(unstack(stacked(3)))
    assert [int(s.steps) for s in states] == [0, 1, 2]
    assert all(isinstance(leaf, np.ndarray | np.generic) for leaf in jax.tree.leaves(states))


def test_a_sequence_of_states_is_drawn_until_the_window_is_closed(env, recorder):
    Recorder.limit = 3
    env.render_states([state(0.1 * i) for i in range(10)], recorder)
    assert len(recorder.frames) == 3


def test_frames_are_kept_apart_in_time(env, recorder, monkeypatch):
    slept = []
    monkeypatch.setattr("lerax.env.base_env.time.sleep", slept.append)
    env.render_states([state()] * 4, recorder, dt=1000.0)
    assert len(slept) == 4 and all(900 < wait <= 1000 for wait in slept)


def test_the_default_renderer_is_used_and_closed(env, monkeypatch, recorder):
    monkeypatch.setattr(CartPole, "default_renderer", lambda self: recorder)
    env.render_stacked(stacked(4))
    assert len(recorder.frames) == 4 and not recorder.is_open()


def test_the_default_renderer_opens_no_window(env):
    renderer = env.default_renderer()
    assert not renderer.is_open() and (renderer.transform.width, renderer.transform.height) == (640, 480)


def test_cartpole_is_shown_as_fast_as_it_is(env):
    assert env.render_fps == 50


def test_an_env_without_a_drawing_says_so():
    from toys import Target

    with pytest.raises(RenderError, match="cannot be drawn: its `default_renderer` gives NoneType"):
        headless_renderer(type("Blank", (Target,), {"default_renderer": lambda self: None})())
    toy = Target()
    for draw in (
        toy.default_renderer,
        lambda: toy.render_states([toy.initial(key=jr.key(0))]),
        lambda: headless_renderer(toy),
        lambda: toy.render(toy.initial(key=jr.key(0)), None),
    ):
        with pytest.raises(RenderError, match=f"{toy.name} cannot be drawn"):
            draw()
