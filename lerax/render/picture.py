"""Still pictures on disk, and videos read back."""

from pathlib import Path
from typing import Any

import numpy as np

from lerax.errors import SettingError
from lerax.files import write_atomically

from .base_renderer import check_frame, imported
from .gl import environment


def write_picture(path: str | Path, frame: np.ndarray) -> None:
    """Writes a PNG, which is whole or not there.

    Args:
        path: Where it goes; a file there is replaced. The folder is made if it is missing.
        frame: uint8, `[height, width, 3]`.

    Raises:
        ValueError: The name does not end in `.png`, or the frame is of another type or shape.
        RenderError: imageio is not installed.
        OSError: The file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise SettingError(str(path), path.suffix, wrong="a picture's name must end in .png")
    check_frame(frame)
    data = imported("imageio.v3", "imageio").imwrite("<bytes>", frame, extension=".png", plugin="pillow")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, data)


def read_video(path: str | Path) -> tuple[np.ndarray, float]:
    """Reads a video back, an `.mp4` or a `.gif`.

    A GIF holds frames that are alike as one, which it shows for longer.

    Args:
        path: The file.

    Returns:
        The frames, uint8, `[time, height, width, 3]`, and how many are shown a second, on average.

    Raises:
        ValueError: It is no video.
        RenderError: imageio is not installed.
        OSError: The file cannot be read.
    """
    imageio, path = imported("imageio.v3", "imageio"), Path(path)
    with open(path, "rb"):  # what cannot be read is said as everywhere
        pass
    read = _read_gif if path.suffix.lower() == ".gif" else _read_mp4
    try:
        return read(imageio, path)
    except Exception as error:  # each of imageio's plugins raises what it likes
        reason = " ".join(f"{error}".split())[:200]
    # Not from there: an error that is kept would keep the decoder's pipes open.
    raise ValueError(f"{path}: not a video ({reason})")


def _read_gif(imageio: Any, path: Path) -> tuple[np.ndarray, float]:
    with imageio.imopen(path, "r", plugin="pillow") as file:
        frames = np.stack(list(file.iter(mode="RGB")))
        milliseconds = sum(file.metadata(index=i)["duration"] for i in range(len(frames)))
    return frames, 1000 * len(frames) / milliseconds


def _read_mp4(imageio: Any, path: Path) -> tuple[np.ndarray, float]:
    # Its decoder would start by a fork, of which JAX warns: it is told not to make a group of its own.
    with environment(IMAGEIO_FFMPEG_NO_PREVENT_SIGINT="1"):
        with imageio.imopen(path, "r", plugin="FFMPEG") as file:
            return np.stack(list(file.iter())), float(file.metadata()["fps"])
