"""Makes docs/dashboard.svg: the dashboard of a real run in a terminal of 100 by 28."""

import io
import itertools
import re
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

from terminal import Terminal  # noqa: E402

COLUMNS, LINES = 100, 27
COLOURS = {"brown": "yellow", "brightblack": "bright_black"}  # pyte's names for rich's


def main() -> None:
    """Runs until most of the bar is filled, and draws the screen."""
    arguments = ("train", "CartPole-v1", "--backend", "tensorboard", "--steps", "300_000")
    with (
        tempfile.TemporaryDirectory() as folder,
        Terminal(*arguments, cwd=Path(folder), size=(COLUMNS, LINES)) as terminal,
    ):
        terminal.wait_for(lambda: any(f" {percent}%" in terminal.text() for percent in range(60, 99)))
        console = Console(width=COLUMNS, record=True, file=io.StringIO(), force_terminal=True)
        for row in range(LINES - 1):
            console.print(_line(terminal, row))
        title = " ".join(("lerax", *arguments))
        picture = console.export_svg(title=title)
    # Fonts are the reader's own: a picture loads nothing from the network.
    (HERE / "dashboard.svg").write_text(re.sub(r"@font-face\s*{.*?}", "", picture, flags=re.S))


def _line(terminal: Terminal, row: int) -> Text:
    cells = [terminal.screen.buffer[row][column] for column in range(COLUMNS)]
    # Dots and other signs apart: the reader's fonts may have dots of another width.
    kind = lambda cell: (cell.fg, cell.bold, 0x2800 <= ord(cell.data) < 0x2900, cell.data == " ")
    line = Text(no_wrap=True)
    for i, ((colour, bold, _, _), run) in enumerate(itertools.groupby(cells, key=kind)):
        style = "" if colour == "default" else COLOURS.get(colour, colour)
        apart = "not reverse" if i % 2 else "not blink"  # rich joins neighbours of the same style
        words = " ".join(filter(None, [style, "bold" if bold else "", apart]))
        line.append("".join(cell.data for cell in run), style=words)
    return line


if __name__ == "__main__":
    main()
