"""Small pictures out of characters."""

import math

import pytest

from lerax.backend.chart import History, chart, sparkline


def dots(lines):
    """The dots of a chart's braille cells as (column, row from the top)."""
    found = set()
    for i, line in enumerate(lines):
        for j, sign in enumerate(line.partition("┤")[2]):
            for bit, (x, y) in enumerate([(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)]):
                if sign != " " and ord(sign) - 0x2800 >> bit & 1:
                    found.add((2 * j + x, 4 * i + y))
    return found


def test_a_sparkline_rises_with_its_values():
    line = sparkline([(0, 1.0), (1, 2.0), (2, 3.0), (3, 10.0)], 10)
    assert len(line) == 4 and list(line) == sorted(line) and line[0] == "▁" and line[-1] == "█"


def test_a_sparkline_of_one_value_stands_in_the_middle():
    assert sparkline([(0, 5.0), (1, 5.0)], 10) == "▄▄"
    assert sparkline([(0, -3.0)], 10) == "▄"
    assert sparkline([], 10) == sparkline([(0, 1.0)], 0) == ""


@pytest.mark.parametrize("count", [8, 16, 800])
def test_a_sparkline_shows_the_whole_curve(count):
    """Each bar is the mean of its part."""
    assert sparkline([(i, i * 8 // count) for i in range(count)], 8) == "▁▂▃▄▅▆▇█"
    noise = [(i, (-1.0) ** i + (i >= 512) * 100) for i in range(1024)]
    assert sparkline(noise, 4) == "▁▁██"
    assert sparkline([(i, min(i, 1)) for i in range(9)], 8) == "▁███████"  # the last part has two values
    uneven = sparkline([(i, i) for i in range(1021)], 8)
    assert len(uneven) == 8 and list(uneven) == sorted(uneven) and uneven[0] == "▁" and uneven[-1] == "█"


@pytest.mark.parametrize("width, height", [(80, 12), (30, 5), (20, 2)])
def test_a_chart_fills_its_space_and_names_its_range(width, height):
    lines = chart([(x, 100 + 3.0 * x) for x in range(200)], width, height)
    assert len(lines) == height and max(len(line) for line in lines) == width
    assert lines[0].split()[0] == "697" and lines[-1].split()[0] == "100"
    assert height == 2 or lines[height // 2].split()[0] == "398.5"


def test_a_straight_line_is_drawn_straight():
    found = dots(chart([(x, x) for x in range(1000)], 60, 10))
    columns = max(x for x, _ in found)
    assert {x for x, _ in found} == set(range(columns + 1))
    for x, y in found:
        assert abs(y - 39 * (1 - x / columns)) <= 2
    assert (0, 39) in found and (columns, 0) in found


def test_a_jump_is_drawn_as_a_stroke():
    found = dots(chart([(x, 0.0 if x < 50 else 1.0) for x in range(100)], 40, 4))
    assert {y for _, y in found} == set(range(16))


def test_few_points_are_joined():
    found = dots(chart([(0, 0.0), (1, 0.0), (3, 1.0)], 60, 8))
    columns = max(x for x, _ in found)
    assert {x for x, _ in found} == set(range(columns + 1))
    for x, y in found:
        assert abs(y - 31 * (1 - max(0.0, 1.5 * x / columns - 0.5))) <= 2


def test_few_points_and_a_constant_are_drawn_too():
    assert dots(chart([(1.0, 2.0)], 40, 4)) and dots(chart([(x, 5.0) for x in range(9)], 40, 4))
    assert chart([], 40, 4) == [""] * 4


@pytest.mark.parametrize("values", [[5.0] * 9, [500.0, 500.001]])
def test_a_flat_chart_names_its_value_once(values):
    lines = chart(list(enumerate(values)), 40, 4)
    labels = [line.partition("┤")[0].strip() for line in lines]
    assert labels == ["", "", f"{values[0]:g}", ""]


def test_a_history_keeps_the_whole_curve_in_bounded_memory():
    history = History(size=64)
    for x in range(10_000):
        history.add(x, -2.0 * x)
        assert len(history.points) <= 64
    assert all(y == -2.0 * x for x, y in history.points)
    positions = [x for x, _ in history.points]
    steps = {b - a for a, b in zip(positions, positions[1:], strict=False)}
    assert len(steps) == 1 and positions[0] < 500 and positions[-1] > 9500


def test_a_history_leaves_out_what_is_not_finite():
    history = History()
    for y in (1.0, math.nan, math.inf, -math.inf, 1e308, 2.0):
        history.add(0, y)
    assert [y for _, y in history.points] == [1.0, 2.0]
