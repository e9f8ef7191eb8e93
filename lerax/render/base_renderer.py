"""What a renderer is, and where points of the world that it draws are on the picture."""

import importlib
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import ModuleType

import numpy as np

from lerax.errors import SettingError

from .color import Color

Point = Sequence[float] | np.ndarray  # x and y in the world


class RenderError(RuntimeError):
    """A picture or a video cannot be made; the message says what to install or to do."""


def imported(name: str, package: str) -> ModuleType:
    """A module that only pictures need.

    Args:
        name: Its full name.
        package: What it is installed by.

    Raises:
        RenderError: It is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        hint = f"install it: pip install {package}"
        raise RenderError(f"{name} cannot be imported ({error}); {hint}") from error


@dataclass(frozen=True)
class Transform:
    """Where points of the world are on a picture.

    Attributes:
        width: Width of the picture, in pixels.
        height: Height of the picture, in pixels.
        scale: Pixels per unit of the world.
        offset: Where the world's origin is, in pixels from the left edge and from the bottom one (the top one
            where `y_up` is False).
        y_up: Whether the world's y grows upwards.

    Raises:
        ValueError: A size or the scale is not positive.
    """

    width: int
    height: int
    scale: float = 1.0
    offset: tuple[float, float] = (0.0, 0.0)
    y_up: bool = True

    def __post_init__(self):
        check_size(self.width, self.height)
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise SettingError("scale", self.scale, "positive and finite")

    def world_to_px(self, point: Point) -> tuple[float, float]:
        """Pixels from the left and from the top edge; whole numbers are the pixels' edges."""
        x = float(point[0]) * self.scale + self.offset[0]
        y = float(point[1]) * self.scale + self.offset[1]
        return x, (self.height - y if self.y_up else y)

    def scale_length(self, length: float) -> float:
        """A length of the world in pixels."""
        return float(length) * self.scale

    def fit(self, width: int, height: int) -> "Transform":
        """The transform that shows the same part of the world, centred, undistorted, on another picture."""
        factor = min(width / self.width, height / self.height)
        margins = (width - self.width * factor) / 2, (height - self.height * factor) / 2
        x, y = (offset * factor + margin for offset, margin in zip(self.offset, margins, strict=True))
        return replace(self, width=width, height=height, scale=self.scale * factor, offset=(x, y))


def check_size(width: int, height: int) -> None:
    """Checks the size of a picture.

    Raises:
        ValueError: It is not of 1 to 16,384 pixels each way.
    """
    if not (1 <= width <= 16_384 and 1 <= height <= 16_384):
        said, wrong = f"{width} x {height}", "width and height must be in 1..16384 pixels"
        raise SettingError("size", (width, height), wrong=wrong, said=said)


def check_frame(frame: np.ndarray, shape: tuple[int, ...] | None = None) -> None:
    """Checks that a frame is uint8, `[height, width, 3]`, and of the shape given, if one is.

    Raises:
        ValueError: It is not.
    """
    got = f"{getattr(frame, 'dtype', type(frame).__name__)} {list(np.shape(frame))}"
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.shape[2:] != (3,):
        raise SettingError("frame", frame, "a uint8 array [height, width, 3]", said=got)
    if shape is not None and frame.shape != shape:
        wrong = f"all frames of a video must be of one size, {list(shape)}"
        raise SettingError("frame", frame, wrong=wrong, said=got)


def check_fps(fps: float) -> None:
    """Checks how many frames a second shows.

    Raises:
        ValueError: They are not in 0.01..1000.
    """
    if not 0.01 <= fps <= 1000:
        raise SettingError("fps", fps, "in 0.01..1000")


class AbstractFrameSource(ABC):
    """Something that makes frames; a context manager that opens and closes it."""

    @abstractmethod
    def is_open(self) -> bool:
        """Whether frames can be made now; False, too, once a user has closed the window."""

    @abstractmethod
    def open(self) -> None:
        """Gets what is needed to draw; does nothing if it is open.

        Raises:
            RenderError: It is not there.
        """

    @abstractmethod
    def close(self) -> None:
        """Gives back what `open` got; does nothing if it is closed."""

    @abstractmethod
    def as_array(self) -> np.ndarray:
        """A copy of the frame as drawn so far: uint8, `[height, width, 3]`."""

    def __enter__(self):
        self.open()
        return self

    def __exit__(self, *_):
        self.close()


class AbstractRenderer(AbstractFrameSource):
    """Draws shapes, whose points and sizes are given in units of the world, on a picture.

    Attributes:
        transform: Where the world is on the picture, and how large the picture is.
        background_color: What `clear` fills the picture with.
    """

    transform: Transform
    background_color: Color

    @abstractmethod
    def clear(self) -> None:
        """Fills the picture with the background's colour."""

    @abstractmethod
    def draw(self) -> None:
        """Presents the frame."""

    @abstractmethod
    def draw_circle(self, center: Point, radius: float, color: Color) -> None:
        """Draws a filled circle."""

    @abstractmethod
    def draw_line(self, start: Point, end: Point, color: Color, width: float = 1) -> None:
        """Draws a line with round ends, `width` pixels wide."""

    @abstractmethod
    def draw_rect(self, center: Point, w: float, h: float, color: Color) -> None:
        """Draws a filled rectangle that is w wide and h high."""

    @abstractmethod
    def draw_polygon(self, points: Sequence[Point] | np.ndarray, color: Color) -> None:
        """Draws a filled polygon."""

    @abstractmethod
    def draw_polyline(self, points: Sequence[Point] | np.ndarray, color: Color, width: float = 1) -> None:
        """Draws lines from each point to the next, `width` pixels wide."""

    @abstractmethod
    def draw_ellipse(self, center: Point, w: float, h: float, color: Color) -> None:
        """Draws a filled ellipse that is w wide and h high."""

    @abstractmethod
    def draw_text(self, center: Point, text: str, color: Color, size: int = 12) -> None:
        """Writes one line around a point, `size` pixels high."""
