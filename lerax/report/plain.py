"""Texts of whatever origin, and curves as letters."""

from lerax.study import terminal
from lerax.study.curves import Curves

SIZE = 100, 24  # columns and lines of curves


def printable(text: str) -> str:
    """A text as Unicode, with what is no letter, and no end of a line, escaped."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return "".join(
        one if one.isprintable() or one in "\n\t" else one.encode("unicode_escape").decode() for one in text
    )


def curves_as_text(curves: Curves) -> str:
    """Curves as a terminal shows them."""
    return terminal.draw(curves, *SIZE, colored=False)
