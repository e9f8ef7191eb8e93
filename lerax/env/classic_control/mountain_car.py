"""MountainCar, equal to https://gymnasium.farama.org/environments/classic_control/mountain_car/."""

import math
from abc import abstractmethod
from functools import lru_cache
from typing import ClassVar

import equinox as eqx
import numpy as np
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Int, Key

from lerax.env.timed import AbstractTimedEnv, AbstractTimedState, time_limit
from lerax.render import WHITE, AbstractRenderer, PygameRenderer, Transform
from lerax.settings import setting
from lerax.space import Box, Discrete

from .base import DARK, INK, LIGHT, LINE, MARK, PALE, SLATE, WOOD

GRAVITY = 0.0025  # of velocity a step, where the slope is steepest
LEFT, RIGHT = -1.2, 0.6  # positions; the left one is a wall
MAX_SPEED = 0.07  # of position a step

VIEW = Transform(width=640, height=480, scale=320.0, offset=(416.0, 24.0))
WHEEL, WHEELBASE = 0.035, 0.12
BODY = [(-0.105, 0.03), (0.11, 0.03), (0.11, 0.065), (0.06, 0.08), (-0.105, 0.08)]
CABIN = [(-0.085, 0.08), (0.055, 0.08), (0.015, 0.125), (-0.065, 0.125)]
WINDOW = [(-0.07, 0.082), (0.037, 0.082), (0.009, 0.115), (-0.056, 0.115)]


class MountainCarState(AbstractTimedState):
    """Position, velocity (position a step), and the steps taken."""

    y: Float[Array, "2"]
    steps: Int[Array, ""]


class AbstractMountainCar(AbstractTimedEnv[MountainCarState]):
    """A car in a valley whose motor is too weak for the hill: it has to gather speed on the other side.

    Attributes:
        goal_position: Where the flag is.
        goal_velocity: Least velocity that counts there.
    """

    goal_position: eqx.AbstractClassVar[float]
    goal_velocity: eqx.AbstractVar[float]

    render_fps: ClassVar[float] = 30.0
    observation_space: ClassVar[Box] = Box(low=[LEFT, -MAX_SPEED], high=[RIGHT, MAX_SPEED])

    @abstractmethod
    def push(self, action: Array) -> Float[Array, ""]:
        """The velocity that the motor adds in a step."""

    def initial(self, *, key: Key[Array, ""]) -> MountainCarState:
        position = jr.uniform(key, (), jnp.float32, minval=-0.6, maxval=-0.4)
        return MountainCarState(jnp.stack([position, jnp.zeros_like(position)]), jnp.array(0, jnp.int32))

    def transition(
        self, state: MountainCarState, action: Array, *, key: Key[Array, ""] | None = None
    ) -> MountainCarState:
        position, velocity = state.y
        velocity = velocity + self.push(action) - GRAVITY * jnp.cos(3 * position)
        velocity = jnp.clip(velocity, -MAX_SPEED, MAX_SPEED)
        position = jnp.clip(position + velocity, LEFT, RIGHT)
        velocity = jnp.where(position == LEFT, jnp.maximum(velocity, 0.0), velocity)
        return MountainCarState(jnp.stack([position, velocity]), state.steps + 1)

    def observation(self, state: MountainCarState, *, key: Key[Array, ""] | None = None) -> Float[Array, "2"]:
        return state.y

    def terminal(self, state: MountainCarState, *, key: Key[Array, ""] | None = None) -> Bool[Array, ""]:
        position, velocity = state.y
        return (position >= self.goal_position) & (velocity >= self.goal_velocity)

    def default_renderer(self) -> PygameRenderer:
        return PygameRenderer(VIEW.width, VIEW.height, WHITE, VIEW)

    def render(self, state: MountainCarState, renderer: AbstractRenderer) -> None:
        road = renderer.transform.scale_length(0.012)
        renderer.clear()
        renderer.draw_polygon(_ground(), LIGHT)
        renderer.draw_polyline(_ground()[1:-1], LINE, width=road)
        renderer.draw_rect((LEFT - 0.075, _height(LEFT - 0.075) + 0.04), 0.02, 0.14, SLATE)
        flag, foot = self.goal_position, _height(self.goal_position)
        renderer.draw_line((flag, foot), (flag, foot + 0.22), SLATE, width=road)
        pennant = [(flag, foot + 0.22), (flag + 0.12, foot + 0.18), (flag, foot + 0.14)]
        renderer.draw_polygon(pennant, MARK)
        _draw_car(float(state.y[0]), renderer)
        renderer.draw()


class MountainCar(AbstractMountainCar):
    """The mountain car with three actions: push left (0), do nothing (1), push right (2).

    The reward is -1 a step. After Moore, "Efficient Memory-based Learning for Robot Control" (1990).
    """

    goal_velocity: float = setting(0.0, "Least velocity at the flag that ends the episode.")
    max_episode_steps: int | None = time_limit(200)

    name: ClassVar[str] = "MountainCar-v0"
    goal_position: ClassVar[float] = 0.5
    action_space: ClassVar[Discrete] = Discrete(3)

    def push(self, action: Int[Array, ""]) -> Float[Array, ""]:
        return jnp.asarray(action - 1, jnp.float32) * 0.001

    def reward(
        self,
        state: MountainCarState,
        action: Int[Array, ""],
        next_state: MountainCarState,
        *,
        key: Key[Array, ""] | None = None,
    ) -> Float[Array, ""]:
        return jnp.array(-1, jnp.float32)


def _height(position: float) -> float:
    return 0.55 + 0.45 * math.sin(3 * position)


@lru_cache(maxsize=1)
def _ground() -> list[tuple[float, float]]:
    """The hills' outline, its first and last corner below the picture."""
    xs = np.linspace(-1.32, 0.72, 49).tolist()
    return [(xs[0], -0.1), *((x, _height(x)) for x in xs), (xs[-1], -0.1)]


def _draw_car(position: float, renderer: AbstractRenderer) -> None:
    """Draws the car with both wheels on the ground."""
    slope = math.atan(1.35 * math.cos(3 * position))
    reach = WHEELBASE / 2 * math.cos(slope)
    rear, front = ((x, _height(x)) for x in (position - reach, position + reach))
    angle = math.atan2(front[1] - rear[1], front[0] - rear[0])
    cos, sin = math.cos(angle), math.sin(angle)
    origin = (rear[0] + front[0]) / 2, (rear[1] + front[1]) / 2

    def place(x: float, y: float) -> tuple[float, float]:
        return origin[0] + x * cos - y * sin, origin[1] + x * sin + y * cos

    for outline, color in ((CABIN, DARK), (WINDOW, PALE), (BODY, WOOD)):
        renderer.draw_polygon([place(*corner) for corner in outline], color)
    for x in (-WHEELBASE / 2, WHEELBASE / 2):
        renderer.draw_circle(place(x, WHEEL), WHEEL, INK)
        renderer.draw_circle(place(x, WHEEL), 0.4 * WHEEL, PALE)
