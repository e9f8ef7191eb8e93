"""Drawing with pygame: in a window, or off screen."""

import math
import os
import warnings
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from lerax.errors import SettingError

from .base_renderer import AbstractRenderer, Point, RenderError, Transform, check_size, imported
from .color import WHITE, Color
from .outlines import Pixels, circle, grid, stroke

# Stencils are drawn this many times as large and scaled down, which smooths edges; fewer for large ones.
FINE, COARSE = 4, 2
RIM = 1 / (2 * FINE)  # pixels by which a polygon grows, for pygame fills its corners' and its outline's cells
FINE_PIXELS = 2**18
STENCIL_PIXELS = 2**21  # what the cache of stencils may hold: 8 MiB
DEFAULT_FONT = 0.6875  # pygame takes its own font this much smaller than asked
FAR = 2**20  # pixels; what reaches further is not drawn


def import_pygame() -> ModuleType:
    """Imports pygame without its greeting and its warnings.

    Raises:
        RenderError: It is not installed.
    """
    unset = "PYGAME_HIDE_SUPPORT_PROMPT" not in os.environ
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    try:
        # A filter that stays: `catch_warnings` on a thread may undo what another thread does to the filters.
        warnings.filterwarnings("ignore", module=r"pygame\.|pkg_resources")
        return imported("pygame", "pygame")
    finally:
        if unset:
            del os.environ["PYGAME_HIDE_SUPPORT_PROMPT"]


class AbstractPygameRenderer(AbstractRenderer):
    """Draws with smooth edges, at quarters of pixels, off screen; a subclass says where it is shown.

    A shape is filled from a stencil: its colour, with the part of each pixel that it covers as alpha. Most
    shapes come again in the next frame, at most a few pixels further on, so stencils are kept.

    Args:
        width: Width of the picture, in pixels.
        height: Height of the picture, in pixels.
        background_color: What `clear` fills the picture with.
        transform: The part of the world to show, fitted to the picture; None for one unit per pixel.

    Raises:
        ValueError: The size is not of 1 to 16,384 pixels each way.
    """

    def __init__(
        self,
        width: int = 640,
        height: int = 480,
        background_color: Color = WHITE,
        transform: Transform | None = None,
    ):
        check_size(width, height)
        self.transform = Transform(width, height) if transform is None else transform.fit(width, height)
        self.background_color = background_color
        self._size = width, height
        self._surface: Any = None
        self._stencils: OrderedDict[tuple, Any] = OrderedDict()
        self._stencil_pixels = 0

    @abstractmethod
    def _prepare(self, pygame: ModuleType) -> None:
        """Gets what is needed to show frames."""

    def open(self) -> None:
        if self._surface is None:
            self._pygame = import_pygame()
            self._prepare(self._pygame)
            # Four bytes a pixel: ten times faster to draw on than three.
            self._surface = self._pygame.Surface(self._size, 0, 32)
            self.clear()

    def as_array(self) -> np.ndarray:
        canvas = self._canvas
        width, height = self._size
        pixels = np.empty((height, width, 3), np.uint8)
        # Several times faster than pygame's own ways to read a surface.
        self._pygame.image.frombuffer(pixels, self._size, "RGB").blit(canvas, (0, 0))
        return pixels

    def clear(self) -> None:
        self._canvas.fill(self.background_color.to_rgb255())

    def draw_circle(self, center: Point, radius: float, color: Color) -> None:
        self.draw_ellipse(center, 2 * radius, 2 * radius, color)

    def draw_ellipse(self, center: Point, w: float, h: float, color: Color) -> None:
        x, y = self.transform.world_to_px(center)
        across, down = (max(self.transform.scale_length(side) / 2 - RIM, 0) for side in (w, h))
        self._fill([[(x + across * a, y + down * b) for a, b in circle(max(across, down))]], color)

    def draw_line(self, start: Point, end: Point, color: Color, width: float = 1) -> None:
        self.draw_polyline([start, end], color, width)

    def draw_rect(self, center: Point, w: float, h: float, color: Color) -> None:
        x, y = self.transform.world_to_px(center)
        across, down = self.transform.scale_length(w) / 2, self.transform.scale_length(h) / 2
        self._fill([[(x - across, y - down), (x + across, y + down)]], color)

    def draw_polygon(self, points: Sequence[Point] | np.ndarray, color: Color) -> None:
        if len(points) < 3:
            raise SettingError("draw_polygon", len(points), wrong="needs at least 3 points")
        self._fill([[self.transform.world_to_px(point) for point in points]], color)

    def draw_polyline(self, points: Sequence[Point] | np.ndarray, color: Color, width: float = 1) -> None:
        if len(points) < 2:
            raise SettingError("draw_polyline", len(points), wrong="needs at least 2 points")
        pixels = [self.transform.world_to_px(point) for point in points]
        half = max(width / 2 - RIM, 0)
        self._fill([stroke(*ends, half) for ends in zip(pixels, pixels[1:], strict=False)], color)

    def draw_text(self, center: Point, text: str, color: Color, size: int = 12) -> None:
        canvas = self._canvas
        key = (text, size, color)
        written = self._stencils.get(key)
        if written is None:
            self._pygame.font.init()
            font = self._pygame.font.Font(None, round(size / DEFAULT_FONT))
            written = font.render(text, True, color.to_rgb255())
            self._keep(key, written)
        x, y = self.transform.world_to_px(center)
        canvas.blit(written, (round(x - written.get_width() / 2), round(y - written.get_height() / 2)))

    @property
    def _canvas(self) -> Any:
        self.open()
        return self._surface

    def _fill(self, parts: list[list[Pixels]], color: Color) -> None:
        """Fills polygons and, where two points are given, rectangles between their corners."""
        canvas = self._canvas
        width, height = self._size
        xs, ys = [x for part in parts for x, _ in part], [y for part in parts for _, y in part]
        x0, x1, y0, y1 = min(xs), max(xs), min(ys), max(ys)
        if not (math.isfinite(sum(xs) + sum(ys)) and max(-x0, x1, -y0, y1) < FAR):
            return  # a state that has diverged, perhaps to NaN, has no place on the picture
        left, right = max(math.floor(x0), 0), min(math.floor(x1) + 1, width)
        top, bottom = max(math.floor(y0), 0), min(math.floor(y1) + 1, height)
        if left >= right or top >= bottom:
            return
        size = right - left, bottom - top
        fineness = FINE if size[0] * size[1] <= FINE_PIXELS else COARSE
        shape = tuple(grid(part, left, top, fineness) for part in parts)
        key = (shape, size, color)
        stencil = self._stencils.get(key)
        if stencil is None:
            stencil = self._cut(shape, size, fineness, color.to_rgb255())
            self._keep(key, stencil)
        canvas.blit(stencil, (left, top))

    def _cut(self, shape: tuple, size: tuple[int, int], fineness: int, rgb: tuple[int, int, int]) -> Any:
        pygame = self._pygame
        large = pygame.Surface((size[0] * fineness, size[1] * fineness), pygame.SRCALPHA, 32)
        large.fill((*rgb, 0))
        for part in shape:
            if len(part) == 2:
                (x, y), (right, bottom) = part
                inside = pygame.Rect(x, y, right - x, bottom - y).clip(large.get_rect())
                large.fill((*rgb, 255), inside)  # which fills too much where corners are outside
                if inside == large.get_rect():  # opaque, for which drawing is faster
                    large = pygame.Surface(size, 0, 32)
                    large.fill(rgb)
                    return large
            else:
                pygame.draw.polygon(large, (*rgb, 255), part)
        return pygame.transform.smoothscale(large, size)

    def _keep(self, key: tuple, stencil: Any) -> None:
        self._stencils[key] = stencil
        self._stencil_pixels += stencil.get_width() * stencil.get_height()
        while self._stencil_pixels > STENCIL_PIXELS and len(self._stencils) > 1:
            _, oldest = self._stencils.popitem(last=False)
            self._stencil_pixels -= oldest.get_width() * oldest.get_height()


class PygameRenderer(AbstractPygameRenderer):
    """Draws in a window, which opens with the first frame.

    Once a user has closed the window, `is_open` is False and `draw` shows nothing.
    """

    _window: Any = None

    def _prepare(self, pygame: ModuleType) -> None:
        try:
            pygame.display.init()
            self._window = pygame.display.set_mode(self._size)
        except pygame.error as error:
            raise RenderError(
                f"no window can be opened ({error}); set DISPLAY, or use HeadlessPygameRenderer"
            ) from error

    def is_open(self) -> bool:
        return self._window is not None

    def close(self) -> None:
        self._surface = None
        self._close_window()

    def draw(self) -> None:
        canvas = self._canvas
        if self._window is not None:
            self._window.blit(canvas, (0, 0))
            self._pygame.display.flip()
            if any(event.type == self._pygame.QUIT for event in self._pygame.event.get()):
                self._close_window()

    def _close_window(self) -> None:
        if self._window is not None:
            self._window = None
            self._pygame.display.quit()


class HeadlessPygameRenderer(AbstractPygameRenderer):
    """Draws off screen, on any thread, whether or not there is a display.

    Where there is none, pygame is not initialised and `SDL_VIDEODRIVER` is not set, it is set to `dummy`, so
    that whatever initialises pygame later does not fail; otherwise neither is touched.
    """

    def _prepare(self, pygame: ModuleType) -> None:
        do_without_display(pygame)

    def is_open(self) -> bool:
        return self._surface is not None

    def close(self) -> None:
        self._surface = None

    def draw(self) -> None:
        self.open()


def do_without_display(pygame: ModuleType) -> None:
    """Lets whatever initialises pygame later do so where there is no display, unless somebody said how."""
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if not (display or pygame.get_init() or pygame.display.get_init()):
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
