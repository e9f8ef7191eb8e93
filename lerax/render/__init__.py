"""Pictures and videos; host only, never JAX."""

from .base_renderer import BLACK as BLACK
from .base_renderer import BLUE as BLUE
from .base_renderer import GRAY as GRAY
from .base_renderer import GREEN as GREEN
from .base_renderer import RED as RED
from .base_renderer import WHITE as WHITE
from .base_renderer import AbstractFrameSource as AbstractFrameSource
from .base_renderer import AbstractRenderer as AbstractRenderer
from .base_renderer import Color as Color
from .base_renderer import RenderError as RenderError
from .base_renderer import Transform as Transform
from .caption import write_caption as write_caption
from .gif import encode_gif as encode_gif
from .grid import grid_shape as grid_shape
from .grid import side_by_side as side_by_side
from .headless import headless_renderer as headless_renderer
from .mujoco_renderer import HeadlessMujocoRenderer as HeadlessMujocoRenderer
from .pygame_renderer import AbstractPygameRenderer as AbstractPygameRenderer
from .pygame_renderer import HeadlessPygameRenderer as HeadlessPygameRenderer
from .pygame_renderer import PygameRenderer as PygameRenderer
from .video import VideoFacts as VideoFacts
from .video import VideoWriter as VideoWriter
from .video import write_video as write_video
