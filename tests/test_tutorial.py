"""The tutorial, as it stands there: each command works, and the one before has printed it."""

import re
import shlex
from pathlib import Path

import terminal

PAGE = Path(__file__).parents[1] / "docs" / "tutorial.md"


def test_each_command_is_printed_by_the_one_before(tmp_path: Path):
    text = PAGE.read_text("utf-8")
    commands = re.findall(r"^lerax (.*)$", "".join(re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)), re.M)
    paths = [shlex.split(command)[0] for command in commands]
    assert paths == ["train", "watch", "eval", "record-video", "train", "train", "compare", "report"]
    said = ""
    for command in commands:
        if not command.startswith("train"):
            other = f"{command.rpartition(' ')[0]} OTHER"  # the first of two cannot know the second
            assert f"lerax {command}\n" in said or f"lerax {other}\n" in said
        done = terminal.warm(*shlex.split(command), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        said += done.stderr
    assert (tmp_path / "report.html").stat().st_size < 10e6
    assert (tmp_path / "logs" / "first" / "videos" / "last.mp4").stat().st_size
