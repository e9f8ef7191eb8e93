"""Pictures of MuJoCo models without OpenGL, and closed forms of what they show."""

import mujoco
import numpy as np
import pytest
from pictures import AHEAD, DOWN, GLOWS, draw, load, picture, scene

from lerax.render import HeadlessMujocoRenderer
from lerax.render.software import Software

COS40, SIN40 = np.cos(np.radians(40)), np.sin(np.radians(40))
FOCAL = 240 / np.tan(np.radians(30))  # of `AHEAD` at 640 x 480, in pixels
UNIT = 80  # of `DOWN` at 320 x 320, in pixels
CUBE = " ".join(f"{x} {y} {z}" for x in (-1, 1) for y in (-1, 1) for z in (-1, 1))
LIT = '<visual><headlight ambient=".3 .2 .1" diffuse=".6 .5 .4" specular=".2 .2 .2"/></visual>'


def extent(covered):
    """The first and last columns and rows that a thing covers, at half a pixel's precision or better."""
    columns, rows = covered.max(0), covered.max(1)
    (x,), (y,) = np.nonzero(columns), np.nonzero(rows)
    return (
        x[0] + 1 - columns[x[0]],
        x[-1] + columns[x[-1]],
        y[0] + 1 - rows[y[0]],
        y[-1] + rows[y[-1]],
    )


def ball():
    """Points of a sphere."""
    around, up = np.meshgrid(np.linspace(0, 2 * np.pi, 40, endpoint=False), np.linspace(-1, 1, 31))
    out = np.sqrt(1 - up**2)
    return np.stack([out * np.cos(around), out * np.sin(around), up], -1)


BALL = " ".join(f"{x:.4f}" for x in ball().ravel())


@pytest.mark.parametrize("distance, radius", [(3, 0.5), (5, 2), (50, 1), (2, 1.5)])
def test_a_sphere_is_as_large_as_its_projection(distance, radius):
    sphere = f'<geom pos="0 {distance} 0" size="{radius}" material="red"/>'
    frame = picture(sphere, camera=AHEAD, size=(640, 480))
    seen = FOCAL * radius / np.sqrt(distance**2 - radius**2)  # where rays touch it
    if seen < 240:
        assert np.sqrt(frame[..., 0].sum() / np.pi) == pytest.approx(seen, rel=2e-3, abs=0.05)
    assert frame[240, 320, 0] == 1 and frame[..., 1:].max() == 0


def test_a_sphere_beside_the_axis_is_an_ellipse_between_its_tangents():
    frame = picture('<geom pos="1.5 3 -.7" size=".5" material="red"/>', camera=AHEAD, size=(640, 480))
    left, right, top, bottom = extent(frame[..., 0])
    for low, high, across, middle, sign in ((left, right, 1.5, 320, 1), (top, bottom, -0.7, 240, -1)):
        angle, half = np.arctan2(across, 3), np.arcsin(0.5 / np.hypot(across, 3))
        expected = sorted(middle + sign * FOCAL * np.tan([angle - half, angle + half]))
        assert (low, high) == pytest.approx(expected, abs=0.6)


@pytest.mark.parametrize(
    "thing, area",
    [
        ('type="sphere" size=".8"', np.pi * 0.8**2),
        ('type="ellipsoid" size=".8 .5 .3"', np.pi * 0.8 * 0.5),
        ('type="ellipsoid" size=".8 .5 .3" euler="0 90 0"', np.pi * 0.3 * 0.5),
        ('type="ellipsoid" size=".8 .5 .3" euler="0 40 0"', np.pi * 0.5 * np.hypot(0.8 * COS40, 0.3 * SIN40)),
        ('type="capsule" size=".3 .6"', np.pi * 0.3**2),
        ('type="capsule" size=".3 .6" euler="90 0 0"', np.pi * 0.3**2 + 4 * 0.3 * 0.6),
        ('type="capsule" size=".3 .6" euler="40 0 0"', np.pi * 0.3**2 + 4 * 0.3 * 0.6 * SIN40),
        ('type="cylinder" size=".3 .6"', np.pi * 0.3**2),
        ('type="cylinder" size=".3 .6" euler="90 0 0"', 4 * 0.3 * 0.6),
        ('type="cylinder" size=".3 .6" euler="40 0 0"', np.pi * 0.3**2 * COS40 + 4 * 0.3 * 0.6 * SIN40),
        ('type="box" size=".3 .6 .1"', 4 * 0.3 * 0.6),
        ('type="box" size=".3 .6 .1" euler="0 0 33"', 4 * 0.3 * 0.6),
        ('type="box" size=".3 .6 .1" euler="0 40 0"', 4 * 0.6 * (0.3 * COS40 + 0.1 * SIN40)),
        ('type="plane" size=".3 .6 .1" euler="0 0 70"', 4 * 0.3 * 0.6),
        ('type="plane" size=".3 .6 .1" euler="0 40 0"', 4 * 0.3 * 0.6 * COS40),
    ],
)
def test_every_solid_covers_its_area(thing, area):
    frame = picture(f'<geom pos=".21 -.13 0" material="red" {thing}/>')
    assert frame[..., 0].sum() / UNIT**2 == pytest.approx(area, rel=4e-3)
    _, _, top, bottom = extent(frame[..., 0])
    assert (top + bottom) / 2 == pytest.approx(160 + 0.13 * 80, abs=0.6)


@pytest.mark.parametrize(
    "place, turn", [("0 3 0", "20 30 40"), ("-1 4 .8", "70 10 20"), ("1.2 3 -.6", "0 0 45")]
)
def test_a_boxs_corners_are_where_a_pinhole_shows_them(place, turn):
    box = f'<geom type="box" size=".3 .5 .4" pos="{place}" euler="{turn}" material="red"/>'
    model, data = load(scene(box, camera=AHEAD))
    signs = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    corners = data.geom_xpos[0] + (signs * model.geom_size[0]) @ data.geom_xmat[0].reshape(3, 3).T
    columns, rows = 320 + FOCAL * corners[:, 0] / corners[:, 1], 240 - FOCAL * corners[:, 2] / corners[:, 1]
    covered = draw(model, data, 640, 480)[..., 0]
    expected = columns.min(), columns.max(), rows.min(), rows.max()
    assert extent(covered) == pytest.approx(np.clip(expected, 0, (640, 640, 480, 480)), abs=1)
    assert covered.sum() == pytest.approx(hull_area(columns, rows), rel=2e-3)


def hull_area(x, y):
    """The area of the smallest convex polygon around points: its edges have all points on one side."""
    points, area = np.stack([x, y], 1), 0.0
    for a in points:
        for b in points:
            side = (b[0] - a[0]) * (points[:, 1] - a[1]) - (b[1] - a[1]) * (points[:, 0] - a[0])
            if (side >= -1e-9).all():
                area += (a[0] * b[1] - a[1] * b[0]) / 2
    return area


@pytest.mark.parametrize("first, second", [("red", "blue"), ("blue", "red")])
def test_what_is_nearer_hides_what_is_behind_it_in_any_order(first, second):
    near, far = {"red": "1", "blue": "-1"}, {"red": ".9", "blue": "1.2"}
    spheres = [f'<geom pos="0 0 {near[c]}" size="{far[c]}" material="{c}"/>' for c in (first, second)]
    frame = picture(*spheres)
    assert tuple(frame[160, 160]) == (1, 0, 0)
    assert frame[..., 0].sum() / UNIT**2 == pytest.approx(np.pi * 0.9**2, rel=2e-3)
    assert frame[..., 2].sum() / UNIT**2 == pytest.approx(np.pi * (1.2**2 - 0.9**2), rel=4e-3)


def test_things_that_cut_each_other_meet_where_they_do():
    spheres = [f'<geom pos="{x} 0 0" size="1" material="{c}"/>' for x, c in ((-0.4, "red"), (0.5, "blue"))]
    frame = picture(*spheres)
    red, blue = frame[..., 0], frame[..., 2]
    assert red[160].sum() == pytest.approx(UNIT * 1.45, abs=1) and blue[160].sum() == pytest.approx(
        UNIT * 1.45, abs=1
    )
    assert red[:, :164].sum() == pytest.approx(red.sum()) and blue[:, 164:].sum() == pytest.approx(blue.sum())


@pytest.mark.parametrize(
    "asset, thing",
    [
        (f'<mesh name="m" scale=".6 .4 .25" vertex="{CUBE}"/>', 'type="mesh" mesh="m"'),
        ('<hfield name="h" nrow="7" ncol="5" size=".6 .4 .25 .25"/>', 'type="hfield" hfield="h"'),
    ],
)
@pytest.mark.parametrize("kind", ['fovy="40"', 'fovy="3" projection="orthographic"'])
def test_triangles_make_the_picture_of_a_closed_form(asset, thing, kind):
    camera = f'<camera name="c" pos=".5 0 1.5" xyaxes="1 0 0 0 .4 1" {kind}/>'
    frames = []
    for shape in ('type="box" size=".6 .4 .25"', thing):
        geom = f'<geom {shape} pos=".4 4 .05" euler="10 20 30" rgba=".9 .8 .7 1"/>'
        model, data = load(scene(geom, camera=camera, assets=asset, visual=LIT))
        model.hfield_data[:] = 1  # as high as its size says
        frames.append(draw(model, data, 400, 300))
    assert 0.05 < (frames[0].max(-1) > 0.1).mean() < 0.5
    assert (np.abs(frames[0] - frames[1]).max(-1) > 0.01).mean() < 0.004  # edges within the box
    assert np.abs(frames[0] - frames[1]).mean() < 3e-4


@pytest.mark.parametrize("tilt", ["0 0 0", "7 0 0", "-3 2 0"])
def test_triangles_that_pass_the_camera_are_seen_where_they_should_be(tilt):
    slab = f'<mesh name="m" scale="50 50 .25" vertex="{CUBE}"/>'
    plane = f'<geom type="plane" size="50 50 1" pos="0 0 -1" euler="{tilt}" material="red"/>'
    turn = load(scene(plane))[1].geom_xmat[0].reshape(3, 3)
    place = " ".join(str(x) for x in (0, 0, -1) - 0.25 * turn[:, 2])
    mesh = f'<geom type="mesh" mesh="m" pos="{place}" euler="{tilt}" material="red"/>'
    frames = [picture(thing, camera=AHEAD, assets=slab, size=(200, 150)) for thing in (plane, mesh)]
    assert 0.3 < frames[0][..., 0].mean() < 0.7
    assert np.abs(frames[0] - frames[1]).mean() < 2e-3


@pytest.mark.parametrize(
    "thing",
    [
        'type="sphere" size="1" pos="0 -3 0"',
        'type="box" size="1 1 1" pos="0 -1.2 0"',
        'type="sphere" size="1"',
        'type="capsule" size="1 2" euler="30 0 0"',
        'type="mesh" mesh="m" pos="0 -3 0"',
        'type="plane" size="1 1 1" pos="0 -2 0" euler="-90 0 0"',
    ],
)
def test_what_is_behind_or_around_the_camera_is_not_seen(thing):
    frame = picture(
        f'<geom {thing} material="red"/>', camera=AHEAD, assets=f'<mesh name="m" vertex="{CUBE}"/>'
    )
    assert frame.max() == 0


TEXTURE = """<texture name="t" type="2d" builtin="checker" rgb1="1 0 0" rgb2="0 0 1" width="64" height="64"
  {mark}/><material name="t" texture="t" texrepeat="{repeat}" texuniform="{uniform}" {glows}/>"""


@pytest.mark.parametrize("mark", ["", 'mark="edge" markrgb="1 1 1"'])
@pytest.mark.parametrize(
    "size, repeat, uniform, cell",
    [
        ("2 2", "2 4", "false", (1, 0.5)),  # so often over the whole, two cells each time
        ("1.5 3", "3 2", "false", (0.5, 1.5)),
        ("2 2", "1 2", "true", (1, 0.5)),
        ("0 0", "2 1", "true", (0.5, 1)),  # without an end
        ("0 0", "2 1", "false", (0.5, 1)),
    ],
)
def test_a_checker_has_its_period_and_its_colours(size, repeat, uniform, cell, mark):
    texture = TEXTURE.format(mark=mark, repeat=repeat, uniform=uniform, glows=GLOWS)
    frame = picture(f'<geom type="plane" size="{size} 1" material="t"/>', assets=texture)
    assert frame[..., 1].max() < 0.01 and 0.45 < frame[..., 0].sum() / frame.sum() < 0.55
    for axis, width in enumerate(cell):
        line = frame[150, :, 0] if axis == 0 else frame[::-1, 150, 0]
        inside = np.abs(np.arange(320) + 0.5 - 160) < 1.4 * UNIT
        (changes,) = np.nonzero(np.diff(line > 0.5) & inside[1:])
        assert np.diff(changes) == pytest.approx(width * UNIT, abs=1)
        assert (
            np.abs((changes + 1 - 160) / UNIT / width % 1 - 0.5).min() > 0.48
        )  # a cell begins at the middle


def test_a_checker_far_away_is_its_mean_colour():
    texture = TEXTURE.format(mark="", repeat="5 5", uniform="true", glows=GLOWS)
    ground = '<geom type="plane" size="0 0 1" pos="0 0 -1" material="t"/>'
    frame = picture(ground, assets=texture, camera=AHEAD, size=(640, 480))
    assert frame[:240].max() == 0
    assert frame[243:246, :, 0] == pytest.approx(0.5, abs=0.1)
    assert np.ptp(frame[440:, :, 0]) > 0.95


@pytest.mark.parametrize("alpha", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("thing", ['size=".5"', 'type="plane" size=".5 .5 1"'])
def test_one_looks_through_both_sides_of_a_thing(thing, alpha):
    thing = f'<geom {thing} pos="0 0 1" rgba="0 1 0 {alpha}" material="clear"/>'
    assets = f'<material name="clear" {GLOWS}/>'
    frame = picture('<geom type="plane" size="9 9 1" material="red"/>', thing, assets=assets)
    assert frame[160, 160] == pytest.approx(((1 - alpha) ** 2, 1 - (1 - alpha) ** 2, 0), abs=0.01)
    assert tuple(frame[10, 10]) == (1, 0, 0)


def test_planes_are_half_clear_from_below():
    assets = f'<material name="clear" {GLOWS}/>'
    ball, plane = (
        '<geom size=".5" material="red"/>',
        '<geom type="plane" size="9 9 1" pos="0 0 1" euler="180 0 0" {}/>',
    )
    assert picture(ball, plane.format('material="green"'))[160, 160] == pytest.approx((0.5, 0.5, 0), abs=0.01)
    clear = plane.format('material="clear" rgba="0 1 0 .5"')
    assert picture(ball, clear, assets=assets)[160, 160] == pytest.approx((0.75, 0.25, 0), abs=0.01)


def test_of_two_clear_things_the_nearer_one_is_drawn_last():
    assets = f'<material name="clear" {GLOWS}/>'
    near, far = (
        f'<geom pos="0 0 {z}" size=".5" rgba="{color} .5" material="clear"/>'
        for z, color in ((2, "0 1 0"), (0, "0 0 1"))
    )
    for things in ((near, far), (far, near)):
        frame = picture(*things, '<geom pos="0 0 -2" size=".8" material="red"/>', assets=assets)
        assert frame[160, 160] == pytest.approx((0.0625, 0.75, 0.1875), abs=0.01)


FLOOR = '<geom type="plane" size="0 0 1" rgba="1 1 1 1" material="matt"/>'
MATT = '<material name="matt" specular="0"/>'


def test_a_surface_is_as_bright_as_lamberts_law_says():
    light = '<light type="directional" dir="-1 0 -2" diffuse=".8 .4 .2" ambient=".1 .1 0" specular="0 0 0"/>'
    frame = picture(FLOOR.replace("1 1 1 1", ".9 .6 .5 1"), light, assets=MATT)
    expected = np.array([0.9, 0.6, 0.5]) * (
        np.array([0.1, 0.1, 0]) + np.array([0.8, 0.4, 0.2]) * 2 / np.sqrt(5)
    )
    np.testing.assert_allclose(frame, np.broadcast_to(expected, frame.shape), atol=0.003)


def test_a_highlight_is_where_light_is_mirrored_to_the_camera():
    light = '<light type="directional" dir="-1 0 -1" diffuse="0 0 0" specular="1 1 1"/>'
    ball = '<geom size="1" material="shiny"/>'
    frame = picture(ball, light, assets='<material name="shiny" specular=".5" shininess=".2"/>')[..., 0]
    rows, columns = np.nonzero(frame > 0.45)
    assert columns.mean() == pytest.approx(160 + UNIT * np.sin(np.radians(22.5)), abs=1)
    assert rows.mean() == pytest.approx(160, abs=1) and frame.max() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    "light, middle, radii",
    [
        ('type="directional" dir="-1 0 -1"', -1.0, (0.3 * np.sqrt(2), 0.3)),
        ('type="directional" dir="2 0 -2"', 1.0, (0.3 * np.sqrt(2), 0.3)),
        ('type="spot" pos="0 0 3" dir="0 0 -1" cutoff="80"', 0.0, 2 * (3 * np.tan(np.arcsin(0.3 / 2)),)),
    ],
)
@pytest.mark.parametrize("solid", [True, False])
def test_a_balls_shadow_is_an_ellipse(light, middle, radii, solid):
    """The ball is 1 above the ground; as a mesh it is a polyhedron."""
    light = f'<light {light} diffuse="1 1 1" exponent="0" specular="0 0 0"/>'
    ball = 'size=".3"' if solid else 'type="mesh" mesh="m"'
    assets = MATT + f'<mesh name="m" scale=".3 .3 .3" vertex="{BALL}"/>'
    things = FLOOR, f'<geom pos="0 0 1" {ball} material="green"/>', light
    lit, dark = (picture(*things, assets=assets, shadows=on)[..., 0] for on in (False, True))
    shadow = (lit - dark) / lit.max()
    shadow[np.hypot(*(np.mgrid[:320, :320] - 159.5)) < 0.32 * UNIT] = middle == 0  # the ball is before it
    assert shadow.sum() / UNIT**2 == pytest.approx(np.pi * radii[0] * radii[1], rel=0.02)
    assert (shadow.sum(0) @ (np.arange(320) - 159.5)) / shadow.sum() == pytest.approx(middle * UNIT, abs=0.5)


@pytest.mark.parametrize("shape", ['size=".3"', 'type="mesh" mesh="m"'])
@pytest.mark.parametrize("height", [-1, 3])
def test_what_is_not_between_light_and_ground_throws_no_shadow(shape, height):
    assets = MATT + f'<mesh name="m" scale=".3 .3 .3" vertex="{BALL}"/>'
    lamp = '<light pos="0 0 2" dir="0 0 -1" cutoff="80" diffuse="1 1 1" exponent="0" specular="0 0 0"/>'
    things = FLOOR, f'<geom pos=".3 .2 {height}" {shape} rgba="0 0 0 .01"/>', lamp
    lit, dark = (picture(*things, assets=assets, shadows=on) for on in (False, True))
    np.testing.assert_array_equal(lit, dark)


@pytest.mark.parametrize("shape", ['type="capsule" size=".1 1"', 'type="mesh" mesh="m"'])
def test_what_stands_beside_a_light_throws_its_shadow_to_one_side(shape):
    assets = MATT + f'<mesh name="m" scale=".1 .1 1" vertex="{BALL}"/>'
    lamp = '<light pos="0 0 2" dir="0 0 -1" cutoff="85" diffuse="1 1 1" exponent="0" specular="0 0 0"/>'
    things = FLOOR, f'<geom pos=".4 0 2" {shape} rgba="0 0 0 .01"/>', lamp
    lit, dark = (picture(*things, assets=assets, shadows=on) for on in (False, True))
    shadow = np.abs(lit - dark).max(-1) > 0.01
    assert shadow[:, 200:].sum() > 500 and shadow[:, :160].sum() == 0


@pytest.mark.parametrize("turn", ["0 0 0", "13 7 0"])
def test_the_ground_throws_no_shadow_on_itself(turn):
    ground = f'<geom type="plane" size="9 9 1" pos=".1 .2 .3" euler="{turn}" rgba="1 1 1 1" material="matt"/>'
    lamps = '<light pos="1 0 3" dir="0 0 -1"/>', '<light type="directional" dir=".3 .2 -1"/>'
    lit, dark = (picture(ground, *lamps, assets=MATT, shadows=on) for on in (False, True))
    np.testing.assert_array_equal(lit, dark)
    assert lit.min() > 0.2


def test_a_spotlight_shines_into_its_cone():
    light = '<light pos="0 0 2" dir="0 0 -1" cutoff="30" exponent="0" diffuse="1 1 1" specular="0 0 0"/>'
    frame = picture(FLOOR, light, assets=MATT)[..., 0]
    assert (frame > 0).sum() / UNIT**2 == pytest.approx(np.pi * (2 * np.tan(np.radians(30))) ** 2, rel=0.01)


def test_edges_between_the_sides_of_a_box_are_smooth():
    light = '<light type="directional" dir="-1 0 -1" diffuse="1 1 1" specular="0 0 0"/>'
    frame = picture('<geom type="box" size=".5 .5 .5" euler="20 30 10" material="matt"/>', light, assets=MATT)
    sides, counts = np.unique(frame[..., 0], return_counts=True)
    light_side, dark_side = sorted(sides[counts > 500][1:])[::-1][:2]
    around = [np.roll(frame[..., 0], (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    between = (np.min(around, 0) > dark_side - 0.02) & (np.abs(frame[..., 0] - dark_side) > 0.02)
    assert (between & (frame[..., 0] < light_side - 0.02)).sum() > 40  # half the pixels along the edge


def test_a_camera_that_turns_sees_another_part_of_the_sky():
    sky = '<texture type="skybox" builtin="gradient" rgb1="1 1 1" rgb2="0 0 0" width="64" height="64"/>'
    model, data = load(scene('<geom size=".01" pos="0 0 -100"/>', assets=sky))
    camera = mujoco.MjvCamera()
    renderer = HeadlessMujocoRenderer(model, 64, 48, camera=camera)
    renderer._open_with("software")
    means = []
    with renderer:
        for camera.elevation in (-60, 0, 60):
            renderer.render_data(data)
            means.append(renderer.as_array().mean())
    assert means[0] < 80 < means[1] < 180 < means[2]


def test_the_sky_is_its_texture_and_nothing_is_black():
    sky = '<texture type="skybox" builtin="gradient" rgb1="1 .5 0" rgb2="0 0 1" width="64" height="64"/>'
    far = '<geom size=".01" pos="0 0 -100" rgba="0 0 0 0"/>'
    cameras = {"up": "1 0 0 0 -1 0", "down": "1 0 0 0 1 0", "side": "0 1 0 0 0 1"}
    frames = {}
    for name, axes in cameras.items():
        camera = f'<camera name="c" xyaxes="{axes}" fovy="60"/>'
        frames[name] = picture(far, camera=camera, assets=sky)
        assert picture(far, camera=camera).max() == 0
    assert frames["up"][160, 160] == pytest.approx((1, 0.5, 0), abs=0.05)
    assert frames["down"][160, 160] == pytest.approx((0, 0, 1), abs=0.05)
    side = frames["side"][:, 160]
    assert (np.diff(side[:, 0]) <= 0).all() and (np.diff(side[:, 2]) >= 0).all()
    assert side[160] == pytest.approx((0.5, 0.25, 0.5), abs=0.05)


def test_a_tendon_is_drawn():
    sites = '<site name="a" pos="-1 -1 0" size=".001"/><site name="b" pos="1 1 0" size=".001"/>'
    tendon = '<tendon><spatial width=".05" rgba="1 0 0 1"><site site="a"/><site site="b"/></spatial></tendon>'
    xml = scene(sites, visual='<visual><headlight ambient="1 1 1"/></visual>')
    frame = draw(*load(xml.replace("</mujoco>", tendon + "</mujoco>")), 320, 320)[..., 0]
    assert (frame > 0.5).sum() / UNIT**2 == pytest.approx(0.1 * np.sqrt(8) + np.pi * 0.05**2, rel=0.05)
    assert frame[160, 160] > 0.9 and frame[80, 240] > 0.9 and frame[100, 160] == 0


@pytest.mark.parametrize("camera", [DOWN, '<camera name="c" pos="0 0 4"/>'])
@pytest.mark.parametrize("width", [1, 3])
def test_a_line_is_as_many_pixels_wide_as_it_says(camera, width):
    model, data = load(scene('<geom size="9" pos="0 0 -99" material="blue"/>', camera=camera))
    view, line = mujoco.MjvCamera(), mujoco.mjtGeom.mjGEOM_LINE
    view.type, view.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED.value, 0
    drawn = mujoco.MjvScene(model, 10)
    mujoco.mjv_updateScene(model, data, mujoco.MjvOption(), None, view, 7, drawn)
    mujoco.mjv_initGeom(
        drawn.geoms[0], line, np.zeros(3), np.zeros(3), np.eye(3).ravel(), np.array([1, 0, 0, 1], "f4")
    )
    drawn.geoms[0].emission = 1
    mujoco.mjv_connector(drawn.geoms[0], line, width, np.array([-0.5, 0.003, 0]), np.array([1, 0.003, 0]))
    software = Software(mujoco, model, 320, 320)
    frame = software.draw(drawn)[..., 0] / 255
    unit = UNIT if camera == DOWN else 160 / np.tan(np.radians(22.5)) / 4
    assert frame[:, 120:220].sum(0) == pytest.approx(width, rel=0.15)
    assert extent(frame)[:2] == pytest.approx((160 - 0.5 * unit, 160 + unit), abs=width)


def test_pictures_taken_stay_as_they_are():
    model, data = load(scene('<geom size="1" material="red"/>'))
    renderer = HeadlessMujocoRenderer(model, 65, 49)
    renderer._open_with("software")
    with renderer:
        renderer.render_data(data)
        first = renderer.as_array()
        before = first.copy()
        data.geom_xpos[0] = 50
        renderer.render_data(data)
        assert first.shape == (49, 65, 3) and renderer.as_array().max() == 0 < before.max()
        np.testing.assert_array_equal(first, before)
