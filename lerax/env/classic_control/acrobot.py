"""Acrobot, equal to https://gymnasium.farama.org/environments/classic_control/acrobot/."""

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

from .base import INK, LIGHT, MARK, PALE, SLATE, WOOD, wrap

# Both links are alike: 1 m long, 1 kg, the centre of mass in the middle.
GRAVITY = 9.8  # m/s^2
CENTRE = 0.5  # m
INERTIA = 1.0  # kg m^2, about the centre of mass
MAX_SPEEDS = (4 * math.pi, 9 * math.pi)  # rad/s

VIEW = Transform(width=640, height=480, scale=105.0, offset=(320.0, 240.0))  # the origin is the upper hinge


class AcrobotState(AbstractTimedState):
    """Two angles (rad, in [-pi, pi]), their velocities (rad/s), and the steps taken.

    The first angle is that of the upper link from hanging down, the second that of the lower link from
    being in line with the upper one; both grow counter-clockwise.
    """

    y: Float[Array, "4"]
    steps: Int[Array, ""]


class Acrobot(AbstractTimedEnv[AcrobotState]):
    """Two links, hanging from a hinge, whose free end is to be swung above a line by the joint between them.

    The torque on the joint is -1 (action 0), 0 (1) or 1 N m (2). The reward is -1 a step, and 0 at the end.
    After Sutton, "Generalization in Reinforcement Learning: Successful Examples Using Sparse Coarse Coding"
    (1996), with the equations of Sutton and Barto's book.
    """

    dt: float = setting(0.2, "Time step, in s.")
    book_or_nips: str = setting(
        "book", "`nips` takes the equations of the paper, which lack a term.", choices=("book", "nips")
    )
    max_episode_steps: int | None = time_limit(500)

    name: ClassVar[str] = "Acrobot-v1"
    render_fps: ClassVar[float] = 15.0
    action_space: ClassVar[Discrete] = Discrete(3)
    observation_space: ClassVar[Box] = Box(
        low=[-1.0, -1.0, -1.0, -1.0, -MAX_SPEEDS[0], -MAX_SPEEDS[1]],
        high=[1.0, 1.0, 1.0, 1.0, MAX_SPEEDS[0], MAX_SPEEDS[1]],
    )

    def initial(self, *, key: Key[Array, ""]) -> AcrobotState:
        return AcrobotState(
            jr.uniform(key, (4,), jnp.float32, minval=-0.1, maxval=0.1), jnp.array(0, jnp.int32)
        )

    def transition(
        self, state: AcrobotState, action: Int[Array, ""], *, key: Key[Array, ""] | None = None
    ) -> AcrobotState:
        """One step of the classical Runge-Kutta method."""
        y, dt, torque = state.y, self.dt, jnp.asarray(action - 1, jnp.float32)
        k1 = self._rates(y, torque)
        k2 = self._rates(y + dt / 2 * k1, torque)
        k3 = self._rates(y + dt / 2 * k2, torque)
        k4 = self._rates(y + dt * k3, torque)
        y = y + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        speeds = jnp.array(MAX_SPEEDS, jnp.float32)
        y = jnp.concatenate([wrap(y[:2]), jnp.clip(y[2:], -speeds, speeds)])
        return AcrobotState(y, state.steps + 1)

    def _rates(self, y: Float[Array, "4"], torque: Float[Array, ""]) -> Float[Array, "4"]:
        """The equations of motion: velocities and accelerations of the two angles."""
        upper, lower, upper_spin, lower_spin = y
        cos, sin = jnp.cos(lower), jnp.sin(lower)
        own = CENTRE**2 + INERTIA  # the lower link's inertia about the joint
        coupling = own + CENTRE * cos
        total = CENTRE**2 + 1 + CENTRE**2 + 2 * CENTRE * cos + 2 * INERTIA
        lower_weight = CENTRE * GRAVITY * jnp.sin(upper + lower)
        upper_weight = (CENTRE + 1) * GRAVITY * jnp.sin(upper) + lower_weight
        load = upper_weight - CENTRE * lower_spin * (lower_spin + 2 * upper_spin) * sin
        drive = torque + coupling / total * load - lower_weight
        if self.book_or_nips == "book":
            drive = drive - CENTRE * upper_spin**2 * sin
        lower_rate = drive / (own - coupling**2 / total)
        upper_rate = -(coupling * lower_rate + load) / total
        return jnp.stack([upper_spin, lower_spin, upper_rate, lower_rate])

    def observation(self, state: AcrobotState, *, key: Key[Array, ""] | None = None) -> Float[Array, "6"]:
        upper, lower, upper_spin, lower_spin = state.y
        circle = [jnp.cos(upper), jnp.sin(upper), jnp.cos(lower), jnp.sin(lower)]
        return jnp.stack([*circle, upper_spin, lower_spin])

    def reward(
        self,
        state: AcrobotState,
        action: Int[Array, ""],
        next_state: AcrobotState,
        *,
        key: Key[Array, ""] | None = None,
    ) -> Float[Array, ""]:
        return self.terminal(next_state).astype(jnp.float32) - 1

    def terminal(self, state: AcrobotState, *, key: Key[Array, ""] | None = None) -> Bool[Array, ""]:
        upper, lower, _, _ = state.y
        return -jnp.cos(upper) - jnp.cos(upper + lower) > 1.0

    def default_renderer(self) -> PygameRenderer:
        return PygameRenderer(VIEW.width, VIEW.height, WHITE, VIEW)

    def render(self, state: AcrobotState, renderer: AbstractRenderer) -> None:
        upper, lower, _, _ = np.asarray(state.y).tolist()
        joint = math.sin(upper), -math.cos(upper)
        tip = joint[0] + math.sin(upper + lower), joint[1] - math.cos(upper + lower)
        width = renderer.transform.scale_length(0.2)
        renderer.clear()
        renderer.draw_rect((0, 6), 20, 10, LIGHT)
        renderer.draw_rect((0, 1), 20, 0.03, MARK)
        renderer.draw_rect((0, 0), 0.5, 0.08, PALE)
        renderer.draw_line((0, 0), joint, SLATE, width=width)
        renderer.draw_line(joint, tip, WOOD, width=width)
        for hinge in ((0, 0), joint):
            renderer.draw_circle(hinge, 0.07, INK)
            renderer.draw_circle(hinge, 0.03, PALE)
        renderer.draw()
