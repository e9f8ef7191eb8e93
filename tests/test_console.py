"""The dashboard: lines without a terminal, a live picture with one."""

import fcntl
import io
import os
import pty
import struct
import termios
from types import SimpleNamespace

import pyte
import pytest

from lerax.backend import ConsoleBackend, JSONLBackend, console

SCALARS = {"episode/return": 12.5, "train/loss": 0.25, "time/steps_per_second": 1000.0, "time/elapsed": 1.0}


class Terminal(io.StringIO):
    """A stream that says it is a terminal, and keeps what is written to it."""

    encoding = "utf-8"

    def __init__(self, columns, lines):
        super().__init__()
        self.size = columns, lines
        self.ends = pty.openpty()
        fcntl.ioctl(self.ends[0], termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def fileno(self):
        return self.ends[1]

    def close(self):
        for end in self.ends:
            os.close(end)
        super().close()

    def screen(self):
        """What is to be seen."""
        screen = pyte.Screen(*self.size)
        pyte.Stream(screen).feed(self.getvalue().replace("\n", "\r\n"))
        return screen


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
    """One for each phase, the first record at once, and the last one with how it ended."""
    stream = io.StringIO()
    backend = ConsoleBackend(stream=stream)
    backend.open("my-run")
    backend.log_phase("compiling")
    backend.on_training_start(100_000, 100)
    for phase in ("training", "training"):  # said again after each host method
        backend.log_phase(phase)
    backend.log_scalars(SCALARS, 5000)
    backend.flush()
    backend.log_phase("saving")
    backend.log_phase("evaluating")
    backend.log_scalars({"eval/return": 500.0}, 5000)
    backend.log_phase("finished")
    backend.close()
    lines = stream.getvalue().splitlines()
    so_far = "step=5000 total=100000"
    assert lines[:2] == ["phase=compiling", "phase=training step=0 total=100000"]
    assert lines[2].startswith(f"{so_far} episode/return=12.5 train/loss=0.25")
    assert lines[3:5] == [f"phase=saving {so_far}", f"phase=evaluating {so_far}"]
    assert lines[5].startswith(f"phase=finished {so_far}") and fields(lines[5])["eval/return"] == "500"
    assert len(lines) == 6 and all(line.isprintable() and fields(line) for line in lines)


def test_lines_come_at_intervals_and_the_last_one_at_the_end(clock):
    stream = io.StringIO()
    backend = started(stream)
    for i in range(1, 31):  # a record a second
        clock.now += 1
        backend.log_scalars(SCALARS | {"episode/return": float(i)}, 1000 * i)
        backend.flush()
    backend.close()
    steps = [int(fields(line)["step"]) for line in stream.getvalue().splitlines()]
    assert steps == [1000, 12_000, 23_000, 30_000]


def test_nothing_new_is_not_said_twice(clock):
    stream = io.StringIO()
    backend = started(stream)
    backend.log_scalars(SCALARS, 1000)
    backend.flush()
    backend.close()
    first, last = stream.getvalue().splitlines()
    assert "train/loss" in first and fields(last) == {"phase": "ended", "step": "1000", "total": "100000"}


def test_off_means_off(clock):
    stream = io.StringIO()
    backend = started(stream, "off")
    backend.log_phase("training")
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


def test_a_picture_without_a_terminal_is_lines_and_one_warning(clock):
    stream = io.StringIO()
    with pytest.warns(RuntimeWarning, match="progress full: there is no terminal") as warned:
        backend = started(stream, "full")
        backend.log_scalars(SCALARS, 1000)
        backend.flush()
        backend.close()
    assert len(warned) == 1
    assert "\x1b" not in stream.getvalue() and stream.getvalue().startswith("step=1000")


@pytest.mark.parametrize("size", [(80, 24), (0, 0), (9, 2)])
def test_a_terminal_gets_the_picture_that_was_asked_for(monkeypatch, size):
    """Even one that seems to be too small, or to have no cursor."""
    monkeypatch.setenv("TERM", "xterm")
    with Terminal(*size) as stream:
        backend = started(stream, "full")
        backend.close()
        assert "\x1b" in stream.getvalue()


@pytest.mark.parametrize("end", ["finished", "interrupted", "diverged", "failed", None])
def test_the_live_picture_shows_the_run_and_how_it_ended(monkeypatch, end):
    """The last frame stays, and nothing is being done in it; the cursor is back."""
    monkeypatch.setenv("TERM", "xterm")
    with Terminal(80, 24) as stream:
        backend = started(stream)
        backend.log_phase("training")
        for step in range(1, 51):
            backend.log_scalars(SCALARS | {"episode/return": 10.0 * step}, 1000 * step)
        backend.flush()
        backend.log_phase("saving")
        if end is not None:
            backend.log_phase(end)
        backend.close()
        screen = stream.screen()
    shown = "\n".join(screen.display)
    assert screen.display[0].rstrip().endswith(f"  {end or 'ended'}") and "saving" not in shown
    assert "my-run" in shown and "50%" in shown and "50,000 of 100,000" in shown
    assert "episode/return" in shown and "500" in shown and "train/loss" in shown and "0.25" in shown
    assert any(0x2800 < ord(sign) < 0x2900 for sign in shown), "no curve"
    assert not screen.cursor.hidden


def test_a_backend_that_was_never_opened_closes():
    ConsoleBackend().close()


def test_the_dashboard_begins_with_the_earlier_curve(tmp_path, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    earlier = JSONLBackend(tmp_path)
    earlier.open("run")
    for step in range(1, 9):
        earlier.log_scalars(
            {"episode/return": 100.0 * step, "x": float("nan"), "time/elapsed": 450.0 * step}, step
        )
    earlier.close()
    with Terminal(80, 24) as stream:
        backend = ConsoleBackend(files=str(tmp_path / "run"), stream=stream)
        backend.open("run")
        backend.resume(7)
        backend.on_training_start(10, 10)
        backend.log_scalars({"episode/return": 0.0}, 8)
        backend.flush()
        backend.close()
        shown = "\n".join(stream.screen().display)
    assert "8 of 10" in shown and "80%" in shown and "700" in shown and "800" not in shown
    assert "52:30" in shown


def test_a_dashboard_without_earlier_files_begins_at_the_step():
    with Terminal(80, 24) as stream:
        backend = ConsoleBackend("plain", files="nowhere", stream=stream)
        backend.open("run")
        backend.resume(7)
        backend.on_training_start(10, 10)
        backend.close()
        assert "step=7 total=10" in stream.getvalue()
