"""Pictures and videos as HTML that a notebook shows, or a page."""

import os
from base64 import b64encode
from html import escape
from pathlib import Path
from urllib.parse import quote

LARGEST = 8 * 2**20  # bytes of a file that is put into a notebook, a third more there
TYPES = {".mp4": "video/mp4", ".gif": "image/gif", ".png": "image/png"}


def player(source: str) -> str:
    """A video, from its address."""
    return f'<video controls loop muted playsinline preload="metadata" src="{escape(source)}"></video>'


def data_address(data: bytes, media: str) -> str:
    """An address that holds what it leads to, of a MIME type."""
    return f"data:{media};base64,{b64encode(data).decode()}"


def shown_inline(path: Path, caption: str) -> str | None:
    """A file as a notebook shows it: in the notebook, or where it is large, from the file.

    Args:
        path: An mp4, a GIF or a PNG.
        caption: What stands below it.

    Returns:
        HTML; None where there is no such file any more.
    """
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= LARGEST else None
    except OSError:
        return None
    if data is None:
        relative = os.path.relpath(path)
        source = quote(relative)
        caption += f"; {size / 2**20:.1f} MB, over {LARGEST >> 20}, so it stays outside: {relative}"
    else:
        source = data_address(data, TYPES[path.suffix.lower()])
    video = path.suffix.lower() == ".mp4"
    media = player(source) if video else f'<img alt="{escape(path.name)}" src="{escape(source)}">'
    return f'<figure style="margin:0">{media}<figcaption>{escape(caption)}</figcaption></figure>'
