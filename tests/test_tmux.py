"""The dashboard in tmux, which wraps lines anew in a narrower window, and keeps what leaves the screen."""

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import terminal

SIZES = [(80, 24), (60, 15), (100, 30), (40, 10), (120, 40), (20, 6), (90, 30)]
QUICK = [(90, 30), (70, 30), (50, 20), (70, 25), (95, 28), (110, 35), (64, 20), (100, 30)]


class Tmux:
    """A shell in a window of tmux.

    Attributes:
        folder: Where its socket is.
        prompt: The shell's.
    """

    def __init__(self, folder: str, cwd: Path, size: tuple[int, int]):
        self.folder = folder
        self._environment = terminal.environment(ENV=None, TMUX=None)
        self.do("-f", os.devnull, "new-session", "-d", "-c", str(cwd), *_sides(size), "sh")
        self.prompt = self.wait_for(bool)[-1]

    def do(self, *words: str) -> str:
        """A command of tmux; returns what it prints."""
        command = ["tmux", "-S", f"{self.folder}/socket", *words]
        return subprocess.run(
            command, env=self._environment, check=True, stdout=subprocess.PIPE, encoding="utf-8"
        ).stdout

    def type(self, line: str) -> None:
        self.do("send-keys", line, "Enter")

    def resize(self, size: tuple[int, int]) -> None:
        self.do("resize-window", *_sides(size))

    def lines(self) -> list[str]:
        """What the scrollback and the screen show."""
        return [
            line.rstrip() for line in self.do("capture-pane", "-p", "-S", "-").splitlines() if line.strip()
        ]

    def wait_for(self, condition: Callable[[list[str]], object]) -> list[str]:
        """Waits until something is true of the lines, and returns them."""
        end = time.monotonic() + terminal.SECONDS
        while not condition(lines := self.lines()):
            assert time.monotonic() < end, "\n".join(lines)
            time.sleep(0.1)
        return lines


def _sides(size: tuple[int, int]) -> tuple[str, ...]:
    return "-x", str(size[0]), "-y", str(size[1])


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    """A window of 100 by 30, with a line above the prompt."""
    if shutil.which("tmux") is None:
        pytest.skip("needs tmux")
    with tempfile.TemporaryDirectory() as folder:  # a socket's path may not be long
        window = Tmux(folder, tmp_path, (100, 30))
        window.type("echo what stood above")
        window.wait_for(lambda lines: "what stood above" in lines)
        yield window
        window.do("kill-server")


def frames(lines: list[str]) -> list[int]:
    """How many titles and bars there are."""
    return [
        sum(bool(re.search(end, line)) for line in lines) for end in (r" (training|interrupted)$", r"\d%")
    ]


def test_resizing_leaves_one_frame_and_what_stood_above(tmux: Tmux):
    """Narrower, tiny, wider, and quickly one after the other."""
    tmux.type(f"$LERAX train {' '.join(terminal.ENDLESS)}")
    tmux.wait_for(lambda lines: any("train/loss" in line for line in lines))
    for size in SIZES:
        tmux.resize(size)
        tmux.wait_for(lambda lines: frames(lines) == [1, 1] and len(lines) < size[1])  # noqa: B023
    for size in QUICK * 3:
        tmux.resize(size)
    tmux.wait_for(lambda lines: frames(lines) == [1, 1] and any(len(line) == 100 for line in lines))
    tmux.do("send-keys", "C-c")
    lines = tmux.wait_for(lambda lines: lines[-1] == tmux.prompt)
    lines = [line for line in lines if not line.startswith("lerax: stopping ")]  # where it takes a while
    assert frames(lines) == [1, 1], lines
    title = next(i for i, line in enumerate(lines) if line.endswith("  interrupted"))
    assert lines[:2] == [f"{tmux.prompt} echo what stood above", "what stood above"]
    assert lines[2].startswith(f"{tmux.prompt} $LERAX train") and title in (3, 4), lines[
        :title
    ]  # it may be wrapped
    assert lines[-2].startswith("logs/PPO_MLPActorCriticPolicy_CartPole-v1_")
    assert tmux.do("display-message", "-p", "#{cursor_flag} #{alternate_on}").split() == ["1", "0"]
