"""Drawing: known shapes at known pixels, on any thread, with and without a display."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import lerax.render
from lerax.render import (
    BLACK,
    BLUE,
    GREEN,
    RED,
    WHITE,
    Color,
    HeadlessPygameRenderer,
    RenderError,
    Transform,
    headless_renderer,
)

ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if name not in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER", "PYGAME_HIDE_SUPPORT_PROMPT")
} | {"PYTHONPATH": str(Path(lerax.render.__file__).parents[2])}


def run(code, **variables):
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, env=ENVIRONMENT | variables, capture_output=True, text=True)


def ink(picture):
    """How much of each pixel is covered with black on white, in [0, 1]."""
    return 1 - picture[..., 0] / 255.0


def centre(picture):
    """x and y, in pixels from the left and from the top, of what is drawn."""
    covered = ink(picture)
    x, y = np.arange(covered.shape[1]) + 0.5, np.arange(covered.shape[0]) + 0.5
    return covered.sum(0) @ x / covered.sum(), covered.sum(1) @ y / covered.sum()


@pytest.fixture
def renderer():
    with HeadlessPygameRenderer(100, 80) as renderer:
        yield renderer


def test_colors_convert_both_ways():
    orange = Color.from_hex("#ff8000")
    assert orange == Color.from_hex("ff8000") == Color.from_rgb255(255, 128, 0)
    assert orange.to_rgb255() == (255, 128, 0) and orange.to_hex() == "#ff8000"
    assert WHITE.to_hex() == "#ffffff" and BLUE.to_rgb255() == (0, 0, 255)


@pytest.mark.parametrize("text", ["#12", "red", "#12345", "#1122334"])
def test_what_is_no_color_is_refused(text):
    with pytest.raises(ValueError, match="colour: not of the form"):
        Color.from_hex(text)
    with pytest.raises(ValueError, match="must be in"):
        Color(1.1, 0, 0)


def test_a_transform_places_points():
    transform = Transform(200, 100, scale=10, offset=(100, 20))
    assert transform.world_to_px((0, 0)) == (100, 80)
    assert transform.world_to_px(np.array([1, 2])) == (110, 60)
    assert Transform(200, 100, 10, (100, 20), y_up=False).world_to_px((1, 2)) == (110, 40)
    assert transform.scale_length(1.5) == 15


@pytest.mark.parametrize("y_up", [True, False])
@pytest.mark.parametrize("size", [(639, 481), (320, 320), (100, 400), (900, 240)])
def test_a_fitted_transform_shows_the_same_part_centred_and_undistorted(size, y_up):
    before = Transform(640, 480, scale=100, offset=(300, 100), y_up=y_up)
    after = before.fit(*size)
    factor = min(size[0] / 640, size[1] / 480)
    for point in [(0, 0), (1.5, -0.5), (-2, 3)]:
        from_middle = np.array(before.world_to_px(point)) - (320, 240)
        expected = from_middle * factor + np.array(size) / 2
        np.testing.assert_allclose(after.world_to_px(point), expected, atol=1e-9)
    assert (after.width, after.height, after.y_up) == (*size, y_up)


@pytest.mark.parametrize("size", [(0, 10), (10, -1), (20_000, 10)])
def test_impossible_sizes_are_refused(size):
    with pytest.raises(ValueError, match="1..16384"):
        HeadlessPygameRenderer(*size)


def test_clear_fills_with_the_background():
    renderer = HeadlessPygameRenderer(7, 5, Color.from_rgb255(1, 2, 3))
    renderer.clear()
    picture = renderer.as_array()
    assert picture.shape == (5, 7, 3) and picture.dtype == np.uint8
    assert (picture == (1, 2, 3)).all()


def test_a_rectangle_covers_its_pixels_and_no_other(renderer):
    renderer.draw_rect((30, 40), 20, 10, RED)
    expected = np.full((80, 100, 3), 255)
    expected[35:45, 20:40] = (255, 0, 0)
    np.testing.assert_array_equal(renderer.as_array(), expected)


def test_half_pixels_are_half_covered(renderer):
    renderer.draw_rect((30.5, 40), 20, 10, BLACK)
    row = ink(renderer.as_array())[40]
    np.testing.assert_allclose(row[[19, 20, 21, 39, 40, 41]], [0, 0.5, 1, 1, 0.5, 0], atol=0.01)


def test_y_grows_upwards_or_downwards():
    for y_up, row in ((True, 59), (False, 20)):
        renderer = HeadlessPygameRenderer(100, 80, transform=Transform(100, 80, y_up=y_up))
        renderer.draw_rect((10.5, 20.5), 1, 1, BLACK)
        assert np.argwhere(ink(renderer.as_array()) > 0.5).tolist() == [[row, 10]]


@pytest.mark.parametrize("radius", [1.5, 6, 25])
@pytest.mark.parametrize("middle", [(50, 40), (47.3, 41.6)])
def test_a_circle_is_round_and_in_its_place(renderer, middle, radius):
    renderer.draw_circle(middle, radius, BLACK)
    covered = ink(renderer.as_array())
    assert covered.sum() == pytest.approx(np.pi * radius**2, rel=0.02 + 0.25 / radius)
    np.testing.assert_allclose(centre(renderer.as_array()), (middle[0], 80 - middle[1]), atol=0.2)
    y, x = np.mgrid[:80, :100] + 0.5
    distance = np.hypot(x - middle[0], y - 80 + middle[1])
    assert (covered[distance < radius - 1] == 1).all() and (covered[distance > radius + 1.2] == 0).all()
    assert ((covered > 0) & (covered < 1)).any(), "the edge is smooth"


def test_an_ellipse_has_its_width_and_height(renderer):
    renderer.draw_ellipse((50, 40), 60, 20, BLACK)
    ys, xs = np.nonzero(ink(renderer.as_array()) > 0.5)
    assert (np.ptp(xs) + 1, np.ptp(ys) + 1) == (60, 20)
    assert len(xs) == pytest.approx(np.pi * 30 * 10, rel=0.03)


def test_a_polygon_need_not_be_convex(renderer):
    renderer.draw_polygon(np.array([(10, 10), (60, 10), (60, 60), (50, 20)]), BLACK)
    covered = ink(renderer.as_array())
    assert covered[80 - 12, 50] == 1 and covered[80 - 40, 57] == 1
    assert covered[80 - 40, 40] == 0, "the notch is empty"


@pytest.mark.parametrize("end", [(80, 40), (20, 70), (70, 10), (20, 40)])
def test_a_line_has_its_width_and_round_ends(renderer, end):
    start, width = np.array((20.0, 40.0)), 8
    renderer.draw_line(start, end, BLACK, width=width)
    covered = ink(renderer.as_array())
    y, x = np.mgrid[:80, :100] + 0.5
    points, along = np.stack([x, 80 - y], -1) - start, np.array(end) - start
    part = np.clip(points @ along / max(along @ along, 1), 0, 1)
    distance = np.linalg.norm(points - part[..., None] * along, axis=-1)
    assert (covered[distance < width / 2 - 1] == 1).all() and (covered[distance > width / 2 + 1] == 0).all()


def test_a_polyline_joins_its_points(renderer):
    renderer.draw_polyline([(10, 10), (50, 60), (90, 10)], BLACK, width=3)
    covered = ink(renderer.as_array())
    for x, y in ((10, 10), (30, 35), (50, 60), (70, 35), (90, 10)):
        assert covered[79 - y, x] > 0.9
    assert covered[79 - 10, 50] == 0, "the ends are not joined"


@pytest.mark.parametrize("method", ["draw_polygon", "draw_polyline"])
def test_too_few_points_are_refused(renderer, method):
    with pytest.raises(ValueError, match="needs at least"):
        getattr(renderer, method)([(0, 0)], BLACK)


def test_text_is_centred_readable_and_of_its_size(renderer):
    renderer.draw_text((50, 40), "HHH", BLACK, size=20)
    picture = renderer.as_array()
    np.testing.assert_allclose(centre(picture), (50, 40), atol=1.5)
    assert 10 <= np.ptp(np.nonzero(ink(picture) > 0.5)[0]) <= 20
    renderer.clear()
    renderer.draw_text((50, 40), "HHH", BLACK, size=40)
    assert ink(renderer.as_array()).sum() > 3 * ink(picture).sum()


@pytest.mark.parametrize("center", [(-500, 40), (np.nan, 0), (np.inf, 0), (1e30, 1e30)])
def test_what_is_outside_or_nowhere_is_not_drawn(renderer, center):
    renderer.draw_circle(center, 5, BLACK)
    renderer.draw_line(center, (center[0], 200), BLACK, width=5)
    assert (renderer.as_array() == 255).all()


def test_shapes_are_cut_off_at_the_edges(renderer):
    renderer.draw_circle((0, 0), 20, BLACK)
    renderer.draw_rect((100, 80), 20, 20, BLACK)
    covered = ink(renderer.as_array())
    assert covered[79, 0] == 1 and covered[:10, 90:].all()
    assert covered.sum() == pytest.approx(np.pi * 100 + 100, rel=0.02)


def test_many_different_shapes_keep_little_memory(renderer):
    for radius in np.linspace(20, 40, 2000):
        renderer.draw_circle((50, 40), radius, BLACK)
    assert renderer._stencil_pixels <= 2**21 < 2000 * 40**2
    kept = sum(stencil.get_width() * stencil.get_height() for stencil in renderer._stencils.values())
    assert renderer._stencil_pixels == kept


def test_frames_are_copies_and_the_same_from_any_thread(renderer):
    def scene(renderer):
        renderer.clear()
        renderer.draw_circle((50, 40), 20, GREEN)
        renderer.draw_text((50, 40), "lerax", BLACK)
        renderer.draw()
        return renderer.as_array()

    here, there = scene(renderer), []
    thread = threading.Thread(target=lambda: there.append(scene(HeadlessPygameRenderer(100, 80))))
    thread.start()
    thread.join()
    np.testing.assert_array_equal(here, there[0])
    renderer.clear()
    assert (here != 255).any() and (renderer.as_array() == 255).all()


def test_a_renderer_opens_by_itself_and_closes():
    renderer = HeadlessPygameRenderer(10, 10)
    assert not renderer.is_open()
    renderer.draw()
    assert renderer.is_open()
    renderer.close()
    assert not renderer.is_open()


OFF_SCREEN = """
import os, sys
before = dict(os.environ)
from lerax.render import HeadlessPygameRenderer, BLACK
with HeadlessPygameRenderer(64, 48) as renderer:
    renderer.draw_circle((32, 24), 10, BLACK)
    assert renderer.as_array()[24, 32].tolist() == [0, 0, 0]
os.environ.pop("SDL_VIDEO_X11_WMCLASS", None)  # pygame's import sets it, where there is a display
changed = {name: value for name, value in os.environ.items() if before.get(name) != value}
print(sorted(changed.items()), sorted(set(before) - set(os.environ)))
import pygame
assert not pygame.display.get_init()
"""


@pytest.mark.parametrize(
    "variables, changed",
    [
        ({}, [("SDL_VIDEODRIVER", "dummy")]),
        ({"DISPLAY": ":77"}, []),
        ({"WAYLAND_DISPLAY": "wayland-0"}, []),
        ({"SDL_VIDEODRIVER": "x11"}, []),
    ],
)
def test_the_video_driver_is_chosen_only_where_nobody_else_does(variables, changed):
    done = run(OFF_SCREEN, **variables)
    assert done.stdout == f"{changed} []\n", done.stderr  # no greeting either
    assert done.stderr == ""


def test_an_initialised_pygame_is_left_alone():
    code = "import pygame; pygame.init()\n" + OFF_SCREEN.replace("assert not", "assert")
    done = run(code, SDL_VIDEODRIVER="dummy", PYGAME_HIDE_SUPPORT_PROMPT="1")
    assert done.stdout == "[] []\n", done.stderr


WINDOW = """
import pygame
from lerax.render import PygameRenderer, RED
renderer = PygameRenderer(64, 48)
assert not renderer.is_open() and not pygame.display.get_init()
renderer.draw_rect((32, 24), 10, 10, RED)
renderer.draw()
assert renderer.is_open()
assert pygame.display.get_surface().get_at((32, 24))[:3] == (255, 0, 0)
pygame.event.post(pygame.event.Event(pygame.QUIT))
renderer.draw()
assert not renderer.is_open() and not pygame.display.get_init()
renderer.draw()
assert not renderer.is_open(), "what a user has closed stays closed"
renderer.close()
renderer.open()
assert renderer.is_open()
"""


def test_a_window_opens_with_the_first_frame_and_stays_closed_once_closed():
    done = run(WINDOW, SDL_VIDEODRIVER="dummy", PYGAME_HIDE_SUPPORT_PROMPT="1")
    assert done.returncode == 0, done.stderr


def test_no_window_says_what_to_do():
    code = "from lerax.render import PygameRenderer; PygameRenderer(64, 48).draw()"
    done = run(code, SDL_VIDEODRIVER="x11", DISPLAY=":77")
    assert "RenderError: no window can be opened" in done.stderr and "HeadlessPygameRenderer" in done.stderr


def test_a_missing_pygame_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(RenderError, match="pip install pygame"):
        HeadlessPygameRenderer(10, 10).open()


def test_the_headless_renderer_of_an_env_shows_what_its_own_does(env):
    renderer = headless_renderer(env, 639, 481)
    assert isinstance(renderer, HeadlessPygameRenderer)
    assert renderer.transform == env.default_renderer().transform.fit(639, 481)
