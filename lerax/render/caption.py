"""Words on finished frames, whatever drew them."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from .base_renderer import RenderError

LINES = 30  # of text that a frame has room for
LEAST_SIZE = 9  # pixels


def import_pillow() -> Any:
    """Imports Pillow.

    Raises:
        RenderError: It is not installed.
    """
    try:
        import PIL.Image
        import PIL.ImageDraw
        import PIL.ImageFont
    except ImportError as error:
        raise RenderError(f"Pillow cannot be imported ({error}); install it: pip install pillow") from error
    return PIL


def write_caption(frame: np.ndarray, texts: Sequence[str], *, at_bottom: bool = False) -> None:
    """Writes texts beside each other, white on a darkened ground, into the left corner of a frame.

    What does not fit into the frame is cut off.

    Args:
        frame: uint8, `[height, width, 3]`; it is changed.
        texts: What to write.
        at_bottom: Write into the lower corner, not the upper one.

    Raises:
        RenderError: Pillow is not installed.
    """
    pil = import_pillow()
    height, width, _ = frame.shape
    size = max(LEAST_SIZE, height // LINES)
    font = _font(size)
    # Whole steps, so that what stands behind a number does not tremble.
    widths = [(2 + int(font.getlength(text) / (2 * size))) * 2 * size for text in texts]
    across, down = min(sum(widths), width), min(round(1.6 * size), height)
    ink = pil.Image.new("L", (across, down))
    draw = pil.ImageDraw.Draw(ink)
    for i, text in enumerate(texts):
        draw.text((size // 2 + sum(widths[:i]), down // 2), text, fill=255, font=font, anchor="lm")
    ground = frame[-down:, :across] if at_bottom else frame[:down, :across]
    alpha = np.asarray(ink, np.uint16)[..., None]
    ground[:] = (ground // 4 * (255 - alpha) + 255 * alpha) // 255


@lru_cache(maxsize=8)
def _font(size: int) -> Any:
    return import_pillow().ImageFont.load_default(size)
