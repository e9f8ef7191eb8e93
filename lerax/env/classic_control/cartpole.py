"""CartPole, equal to https://gymnasium.farama.org/environments/classic_control/cart_pole/."""

import math
from typing import ClassVar

import numpy as np
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Int, Key

from lerax.env.timed import AbstractTimedEnv, AbstractTimedState, time_limit
from lerax.render import WHITE, AbstractRenderer, PygameRenderer, Transform
from lerax.settings import setting
from lerax.space import Box, Discrete

from .base import DARK, INK, LIGHT, LINE, MARK, PALE, SLATE, WOOD

GRAVITY = 9.8  # m/s^2
POLE_MASS = 0.1  # kg
TOTAL_MASS = 1.1  # kg, cart and pole
HALF_LENGTH = 0.5  # m, from the hinge to the pole's centre of mass
FORCE = 10.0  # N
TIME_STEP = 0.02  # s
POSITION_LIMIT = 2.4  # m
ANGLE_LIMIT = 12 * math.pi / 180  # rad

VIEW = Transform(width=640, height=480, scale=120.0, offset=(320.0, 130.0))  # the origin is on the rail
AXLE = 0.36  # m above the rail


class CartPoleState(AbstractTimedState):
    """Position (m), velocity (m/s), angle (rad), angular velocity (rad/s), and the steps taken."""

    y: Float[Array, "4"]
    steps: Int[Array, ""]


class CartPole(AbstractTimedEnv[CartPoleState]):
    """A pole, hinged on a cart, that is to be kept upright by pushing the cart left (0) or right (1).

    The reward is 1 a step. After Barto, Sutton and Anderson, "Neuronlike Adaptive Elements That Can Solve
    Difficult Learning Control Problems" (1983), with the explicit Euler steps of Gymnasium's CartPole-v1.
    """

    max_episode_steps: int | None = time_limit(500)
    sutton_barto_reward: bool = setting(False, "Give 0 a step and -1 at the end instead of 1 a step.")

    name: ClassVar[str] = "CartPole-v1"
    render_fps: ClassVar[float] = 1 / TIME_STEP
    action_space: ClassVar[Discrete] = Discrete(2)
    observation_space: ClassVar[Box] = Box(
        low=[-2 * POSITION_LIMIT, -math.inf, -2 * ANGLE_LIMIT, -math.inf],
        high=[2 * POSITION_LIMIT, math.inf, 2 * ANGLE_LIMIT, math.inf],
    )

    def initial(self, *, key: Key[Array, ""]) -> CartPoleState:
        y = jr.uniform(key, (4,), jnp.float32, minval=-0.05, maxval=0.05)
        return CartPoleState(y, jnp.array(0, jnp.int32))

    def transition(
        self, state: CartPoleState, action: Int[Array, ""], *, key: Key[Array, ""] | None = None
    ) -> CartPoleState:
        position, velocity, angle, spin = state.y
        force = jnp.where(action == 1, FORCE, -FORCE).astype(jnp.float32)
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        push = (force + POLE_MASS * HALF_LENGTH * spin**2 * sin) / TOTAL_MASS
        inertia = HALF_LENGTH * (4 / 3 - POLE_MASS * cos**2 / TOTAL_MASS)
        spin_rate = (GRAVITY * sin - cos * push) / inertia
        acceleration = push - POLE_MASS * HALF_LENGTH * spin_rate * cos / TOTAL_MASS
        rates = jnp.stack([velocity, acceleration, spin, spin_rate])
        return CartPoleState(state.y + TIME_STEP * rates, state.steps + 1)

    def observation(self, state: CartPoleState, *, key: Key[Array, ""] | None = None) -> Float[Array, "4"]:
        return state.y

    def reward(
        self,
        state: CartPoleState,
        action: Int[Array, ""],
        next_state: CartPoleState,
        *,
        key: Key[Array, ""] | None = None,
    ) -> Float[Array, ""]:
        if self.sutton_barto_reward:
            return -self.terminal(next_state).astype(jnp.float32)
        return jnp.array(1, jnp.float32)

    def terminal(self, state: CartPoleState, *, key: Key[Array, ""] | None = None) -> Bool[Array, ""]:
        return (jnp.abs(state.y[0]) > POSITION_LIMIT) | (jnp.abs(state.y[2]) > ANGLE_LIMIT)

    def default_renderer(self) -> PygameRenderer:
        return PygameRenderer(VIEW.width, VIEW.height, WHITE, VIEW)

    def render(self, state: CartPoleState, renderer: AbstractRenderer) -> None:
        x, _, angle, _ = np.asarray(state.y).tolist()
        renderer.clear()
        renderer.draw_rect((0, -5), 20, 10, LIGHT)
        renderer.draw_rect((0, -0.02), 2 * POSITION_LIMIT, 0.04, LINE)
        for end in (-POSITION_LIMIT, POSITION_LIMIT):
            renderer.draw_rect((end, 0.06), 0.05, 0.2, MARK)
        for wheel in (x - 0.2, x + 0.2):
            renderer.draw_circle((wheel, 0.1), 0.1, INK)
            renderer.draw_circle((wheel, 0.1), 0.035, PALE)
        renderer.draw_rect((x, 0.25), 0.66, 0.22, DARK)
        renderer.draw_rect((x, AXLE), 0.56, 0.05, SLATE)
        reach = 2 * HALF_LENGTH
        tip = x + reach * math.sin(angle), AXLE + reach * math.cos(angle)
        renderer.draw_line((x, AXLE), tip, WOOD, width=renderer.transform.scale_length(0.1))
        renderer.draw_circle((x, AXLE), 0.07, INK)
        renderer.draw_circle((x, AXLE), 0.03, PALE)
        renderer.draw()
