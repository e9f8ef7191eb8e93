"""GIFs, whose frames share one palette."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from lerax.errors import SettingError

from .base_renderer import RenderError, check_fps, check_frame, imported

PALETTE_PIXELS = 2**18  # how many pixels, of frames from the whole clip, choose a GIF's colours
PALETTE_FRAMES = 16
GIF_FPS = 50  # browsers show a GIF's frames for no less than 0.02 s
GIF_BYTES = 2**30  # that a GIF's frames may take while it is made


def encode_gif(frames: Iterable[np.ndarray], fps: float) -> bytes:
    """A GIF that repeats for ever, all of whose frames share one palette.

    Above 50 frames per second it leaves frames out, for no browser shows more.

    Args:
        frames: uint8, `[height, width, 3]` each, all of one size, or an array of them.
        fps: Frames per second.

    Raises:
        ValueError: There is no frame, one is of another type or size, or fps is out of range.
        RenderError: The frames take too much memory, or imageio or Pillow is not installed.
    """
    check_fps(fps)
    imageio, Image = imported("imageio.v3", "imageio"), imported("PIL.Image", "pillow")
    frames, fps = gif_frames(frames, fps)
    palette = Image.fromarray(_sample(frames)).quantize(256, dither=Image.Dither.NONE)
    # imageio would give each frame a palette of its own: it gets the numbers of colours in one for all.
    images = (Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames)
    numbers = np.stack([np.asarray(image) for image in images])
    # Delays are whole hundredths of a second: each ends at the one nearest to its time.
    ends = [round(100 * i / fps) for i in range(len(frames) + 1)]
    delays = [10 * (end - start) for start, end in zip(ends, ends[1:], strict=False)]
    options = {"save_all": True, "duration": delays, "loop": 0, "disposal": 1}
    options |= {"palette": bytes(palette.getpalette() or ())}
    return imageio.imwrite("<bytes>", numbers, extension=".gif", plugin="pillow", is_batch=True, **options)


def gif_frames(frames: Iterable[np.ndarray], fps: float) -> tuple[list[np.ndarray], float]:
    """The frames, checked, that a GIF shows, and how many a second."""
    kept: list[np.ndarray] = []
    for i, frame in enumerate(frames):
        check_frame(frame, kept[0].shape if kept else None)
        if i == int(len(kept) * max(fps / GIF_FPS, 1)):
            kept.append(frame)
        if len(kept) * frame.nbytes > GIF_BYTES:
            raise RenderError(
                f"too much for a GIF, which is made in memory (got {len(kept)} frames of {frame.shape[1]} x "
                f"{frame.shape[0]}, and more); write an .mp4, or fewer or smaller frames"
            )
    if not kept:
        raise SettingError("frames", frames, wrong="a GIF needs at least one frame", said="none")
    return kept, min(fps, GIF_FPS)


def _sample(frames: Sequence[np.ndarray]) -> np.ndarray:
    """Pixels of frames from the whole clip, as one picture."""
    chosen = [frames[i] for i in sorted({round(i) for i in np.linspace(0, len(frames) - 1, PALETTE_FRAMES)})]
    pixels: Any = np.concatenate(chosen).reshape(1, -1, 3)
    return np.ascontiguousarray(pixels[:, :: max(1, pixels.shape[1] // PALETTE_PIXELS)])
