"""How often something happens, as it is written."""

import pytest

from lerax.errors import SettingError
from lerax.interval import Interval, read_interval, read_seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("1.5h", 5400), (" 30d ", 2_592_000), ("2w", 1_209_600), (7, 7), (0.5, 0.5)],
)
def test_a_time_is_a_number_and_a_unit(text, seconds):
    assert read_seconds("age", text) == seconds


@pytest.mark.parametrize(
    "text", ["90", "s", "-1s", "0s", "1e3s", "1y", "", "1s1m", 0, -1, True, None, float("nan"), "9" * 9 + "w"]
)
def test_what_is_no_time_is_refused(text):
    with pytest.raises(SettingError, match="age: not a time .*allowed: 30s, 10m"):
        read_seconds("age", text)


@pytest.mark.parametrize(
    ("value", "interval"),
    [
        ("50_000", Interval(steps=50_000)),
        ("1e5", Interval(steps=100_000)),
        (50_000, Interval(steps=50_000)),
        ("5%", Interval(part=0.05)),
        ("100%", Interval(part=1.0)),
        ("10m", Interval(seconds=600.0)),
        (Interval(part=0.5), Interval(part=0.5)),
    ],
)
def test_an_interval_is_steps_a_part_or_a_time(value, interval):
    assert read_interval("every", value) == interval


@pytest.mark.parametrize(
    "value", ["", "0", "-5", "1.5", "0%", "101%", "x%", "nan", "inf", "1e99", True, None, 0, 2.5, "ten"]
)
def test_what_is_no_interval_is_refused(value):
    with pytest.raises(SettingError, match="every"):
        read_interval("every", value)


def test_iterations_of_an_interval():
    """Steps are rounded up to whole iterations, a part to the nearest."""
    assert Interval(steps=1).iterations(512, 100) == 1
    assert Interval(steps=513).iterations(512, 100) == 2
    assert Interval(part=0.05).iterations(512, 100) == 5
    assert Interval(part=0.01).iterations(512, 10) == 1
    assert Interval(seconds=9.0).iterations(512, 100) is None
