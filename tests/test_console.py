"""The dashboard: lines without a terminal, a live picture with one."""

import io
from types import SimpleNamespace

import pyte
import pytest

from lerax.backend import ConsoleBackend, console

SCALARS = {"episode/return": 12.5, "train/loss": 0.25, "time/steps_per_second": 1000.0, "time/elapsed": 1.0}


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until a test moves it."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(console, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def fields(line):
    return dict(word.split("=") for word in line.split())


def started(stream, progress="auto"):
    backend = ConsoleBackend(progress, stream=stream)
    backend.open("my-run")
    backend.on_training_start(100_000, 100)
    return backend


def test_a_stream_that_is_no_terminal_gets_lines_of_key_and_value(clock):
    stream = io.StringIO()
    backend = started(stream)
    backend.log_scalars(SCALARS, 5000)
    backend.flush()
    backend.close()
    (line,) = stream.getvalue().splitlines()
    expected = {"step": "5000", "total": "100000", "episode/return": "12.5", "train/loss": "0.25"}
    assert expected.items() <= fields(line).items()
    assert stream.getvalue().isprintable() is False and "\x1b" not in stream.getvalue()


def test_lines_come_at_intervals_and_the_last_one_at_the_end(clock):
    stream = io.StringIO()
    backend = started(stream)
    for i in range(1, 31):  # a record a second
        clock.now += 1
        backend.log_scalars(SCALARS | {"episode/return": float(i)}, 1000 * i)
        backend.flush()
    backend.close()
    steps = [int(fields(line)["step"]) for line in stream.getvalue().splitlines()]
    assert steps[-1] == 30_000 and 3 <= len(steps) <= 4 and steps == sorted(set(steps))


def test_nothing_new_is_not_said_twice(clock):
    stream = io.StringIO()
    backend = started(stream)
    clock.now += 60
    backend.log_scalars(SCALARS, 1000)
    backend.flush()
    backend.close()
    assert len(stream.getvalue().splitlines()) == 1


def test_off_means_off(clock):
    stream = io.StringIO()
    backend = started(stream, "off")
    backend.log_scalars(SCALARS, 1000)
    clock.now += 60
    backend.flush()
    backend.close()
    assert stream.getvalue() == ""


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e300, 1e-300, 0.0, 123456.789, -0.5])
def test_every_value_has_a_short_form(clock, value):
    stream = io.StringIO()
    backend = started(stream)
    backend.log_scalars({"x": value}, 1)
    backend.close()
    said = fields(stream.getvalue())["x"]
    assert len(said) <= 10
    number = float(said.replace(",", ""))
    assert number == pytest.approx(value, rel=0.01, nan_ok=True)


def test_the_live_picture_shows_the_run_and_gives_the_cursor_back():
    stream = io.StringIO()
    backend = started(stream, "full")
    backend.log_phase("training")
    for step in range(1, 51):
        backend.log_scalars(SCALARS | {"episode/return": 10.0 * step}, 1000 * step)
    backend.flush()
    backend.close()
    screen = pyte.Screen(80, 24)
    pyte.Stream(screen).feed(stream.getvalue().replace("\n", "\r\n"))
    shown = "\n".join(screen.display)
    assert "my-run" in shown and "training" in shown and "50%" in shown and "50,000 of 100,000" in shown
    assert "episode/return" in shown and "500" in shown and "train/loss" in shown and "0.25" in shown
    assert any(0x2800 < ord(sign) < 0x2900 for sign in shown), "no curve"
    assert not screen.cursor.hidden
    assert all(len(line.rstrip()) <= 80 for line in screen.display)
