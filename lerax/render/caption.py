"""Words on finished frames, whatever drew them."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from .base_renderer import imported

LINES = 30  # of text that a frame has room for
LEAST_SIZE = 9  # pixels
SMALLEST_SIZE = 7  # of a number that has no room otherwise
MOST_LINES = 2


def write_caption(
    frame: np.ndarray,
    texts: Sequence[str],
    *,
    at_bottom: bool = False,
    importance: Sequence[int] | None = None,
) -> None:
    """Writes texts, white on a darkened ground, into the left corner of a frame.

    They stand beside each other; those for which a line has no room stand below.

    Args:
        frame: uint8, `[height, width, 3]`; it is changed.
        texts: What to write.
        at_bottom: Write into the lower corner, not the upper one.
        importance: Numbers of texts, the most important first: what has no room in `MOST_LINES` lines is left
            out whole, the least important first. By default all stand in one line, cut off at the edge.

    Raises:
        RenderError: Pillow is not installed.
    """
    image, image_draw = imported("PIL.Image", "pillow"), imported("PIL.ImageDraw", "pillow")
    height, width, _ = frame.shape
    size = max(LEAST_SIZE, height // LINES)
    lines = [list(texts)]
    if importance is not None:
        size, lines = _fitting(texts, importance, size, (width, height))
    if not lines:
        return
    row = _row(size)
    across = min(max(sum(_width(text, size) for text in line) for line in lines), width)
    down = min(row * len(lines), height)
    ink = image.new("L", (across, down))
    draw = image_draw.Draw(ink)
    for i, line in enumerate(lines):
        left = size // 2
        for text in line:
            draw.text((left, i * row + row // 2), text, fill=255, font=_font(size), anchor="lm")
            left += _width(text, size)
    ground = frame[-down:, :across] if at_bottom else frame[:down, :across]
    alpha = np.asarray(ink, np.uint16)[..., None]
    ground[:] = (ground // 4 * (255 - alpha) + 255 * alpha) // 255


def _fitting(
    texts: Sequence[str], importance: Sequence[int], largest: int, frame: tuple[int, int]
) -> tuple[int, list[list[str]]]:
    """The size of the font, and the texts that the frame has room for, in lines.

    Texts are left out before letters get smaller: only the most important one may have small letters.
    """
    width, height = frame
    tries = [(largest, count) for count in range(len(importance), 0, -1)]
    tries += [(size, 1) for size in range(largest - 1, SMALLEST_SIZE - 1, -1)]
    for size, count in tries:
        lines = _broken([texts[i] for i in sorted(importance[:count])], size, width)
        most = min(MOST_LINES, max(height // (2 * _row(size)), 1))  # no more than half of a small picture
        if len(lines) <= most and all(_ink(line[0], size) <= width for line in lines):
            return size, lines
    return largest, []


def _broken(texts: Sequence[str], size: int, width: int) -> list[list[str]]:
    """The texts in lines of which each holds as many as it has room for, at least one."""
    lines: list[list[str]] = []
    for text in texts:
        if lines and sum(_width(other, size) for other in lines[-1]) + _ink(text, size) <= width:
            lines[-1].append(text)
        else:
            lines.append([text])
    return lines


def _row(size: int) -> int:
    """Pixels that a line is high."""
    return round(1.6 * size)


def _ink(text: str, size: int) -> float:
    """Pixels for a text that nothing stands behind."""
    return size // 2 + _font(size).getlength(text)


def _width(text: str, size: int) -> int:
    """Pixels for a text, in whole steps, so that what stands behind a number does not tremble."""
    return (2 + int(_font(size).getlength(text) / (2 * size))) * 2 * size


@lru_cache(maxsize=8)
def _font(size: int) -> Any:
    return imported("PIL.ImageFont", "pillow").load_default(size)
