"""What a terminal shows, as a picture that takes the colours of its page."""

import unicodedata
from collections.abc import Iterator
from html import escape

from lerax.backend.dashboard import Line

WIDTH, HEIGHT, BASE = 8, 18, 14  # pixels of a character, and of its part above the line


def as_svg(lines: list[Line], columns: int, *, about: str) -> str:
    """Lines as SVG, to stand in a page that says what colour each style has.

    Args:
        lines: What is shown.
        columns: Those of the terminal; what is longer is cut.
        about: What it is, for those who do not see it.
    """
    texts = [text for row, line in enumerate(lines) for text in _pieces(line, columns, row * HEIGHT + BASE)]
    box = f"0 0 {columns * WIDTH} {len(lines) * HEIGHT + HEIGHT // 3}"
    return (
        f'<svg class="screen" viewBox="{box}" role="img" aria-label="{escape(about)}">{"".join(texts)}</svg>'
    )


def _pieces(line: Line, columns: int, y: int) -> Iterator[str]:
    """Each as wide as in a terminal, whatever letters the reader has."""
    at = 0
    for text, style in line:
        text = "".join(letter if letter.isprintable() else "?" for letter in text)[: max(columns - at, 0)]
        wide = sum(1 + (unicodedata.east_asian_width(letter) in "WF") for letter in text)
        if text.strip():
            name = f' class="{escape(style)}"' if style else ""
            size = f'x="{at * WIDTH}" y="{y}" textLength="{wide * WIDTH}" lengthAdjust="spacingAndGlyphs"'
            yield f"<text {size}{name}>{escape(text)}</text>"
        at += wide
