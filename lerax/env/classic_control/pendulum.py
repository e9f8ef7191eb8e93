"""Pendulum, equal to https://gymnasium.farama.org/environments/classic_control/pendulum/."""

import math
from typing import ClassVar

import numpy as np
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Int, Key

from lerax.env.timed import AbstractTimedEnv, AbstractTimedState, time_limit
from lerax.render import WHITE, AbstractRenderer, PygameRenderer, Transform
from lerax.settings import setting
from lerax.space import Box

from .base import DARK, INK, LIGHT, MARK, PALE, WOOD, wrap

MASS = 1.0  # kg
LENGTH = 1.0  # m
TIME_STEP = 0.05  # s
MAX_SPEED = 8.0  # rad/s
MAX_TORQUE = 2.0  # N m

VIEW = Transform(width=640, height=480, scale=180.0, offset=(320.0, 240.0))  # the origin is the hinge
ARC = 0.38  # m, radius of the arrow that shows the torque


class PendulumState(AbstractTimedState):
    """Angle (rad, 0 is upright, in [-pi, pi]), angular velocity (rad/s), the torque of the last step (N m),
    which the drawing shows, and the steps taken; what turns counter-clockwise is positive."""

    y: Float[Array, "2"]
    torque: Float[Array, ""]
    steps: Int[Array, ""]


class Pendulum(AbstractTimedEnv[PendulumState]):
    """A rod, hinged at one end, that is to be swung up and held there by a torque of at most 2 N m.

    The reward is minus the angle's square, less a tenth of the angular velocity's and a thousandth of the
    torque's, with the angle and the velocity before the step.
    """

    g: float = setting(10.0, "Acceleration of gravity, in m/s^2.")
    max_episode_steps: int | None = time_limit(200)

    name: ClassVar[str] = "Pendulum-v1"
    render_fps: ClassVar[float] = 30.0
    action_space: ClassVar[Box] = Box(-MAX_TORQUE, MAX_TORQUE, shape=(1,))
    observation_space: ClassVar[Box] = Box(low=[-1.0, -1.0, -MAX_SPEED], high=[1.0, 1.0, MAX_SPEED])

    def initial(self, *, key: Key[Array, ""]) -> PendulumState:
        most = jnp.array([math.pi, 1.0], jnp.float32)
        y = jr.uniform(key, (2,), jnp.float32, minval=-most, maxval=most)
        return PendulumState(y, jnp.array(0, jnp.float32), jnp.array(0, jnp.int32))

    def transition(
        self, state: PendulumState, action: Float[Array, "1"], *, key: Key[Array, ""] | None = None
    ) -> PendulumState:
        angle, spin = state.y
        torque = _torque(action)
        inertia = MASS * LENGTH**2 / 3  # of a thin rod about its end
        spin_rate = (MASS * self.g * LENGTH / 2 * jnp.sin(angle) + torque) / inertia
        spin = jnp.clip(spin + TIME_STEP * spin_rate, -MAX_SPEED, MAX_SPEED)
        # Gymnasium lets the angle grow, which float32 would resolve ever more coarsely.
        y = jnp.stack([wrap(angle + TIME_STEP * spin), spin])
        return PendulumState(y, torque, state.steps + 1)

    def observation(self, state: PendulumState, *, key: Key[Array, ""] | None = None) -> Float[Array, "3"]:
        angle, spin = state.y
        return jnp.stack([jnp.cos(angle), jnp.sin(angle), spin])

    def reward(
        self,
        state: PendulumState,
        action: Float[Array, "1"],
        next_state: PendulumState,
        *,
        key: Key[Array, ""] | None = None,
    ) -> Float[Array, ""]:
        angle, spin = state.y
        return -(wrap(angle) ** 2 + 0.1 * spin**2 + 0.001 * _torque(action) ** 2)

    def terminal(self, state: PendulumState, *, key: Key[Array, ""] | None = None) -> Bool[Array, ""]:
        return jnp.array(False)

    def default_renderer(self) -> PygameRenderer:
        return PygameRenderer(VIEW.width, VIEW.height, WHITE, VIEW)

    def render(self, state: PendulumState, renderer: AbstractRenderer) -> None:
        angle = float(np.asarray(state.y)[0])
        width = renderer.transform.scale_length(0.18)
        tip = -LENGTH * math.sin(angle), LENGTH * math.cos(angle)
        renderer.clear()
        renderer.draw_circle((0, 0), LENGTH + 0.14, LIGHT)
        renderer.draw_circle((0, 0), LENGTH + 0.125, WHITE)
        renderer.draw_line((0, 0), (0, LENGTH), LIGHT, width=width)  # where it is to be
        renderer.draw_line((0, 0), tip, WOOD, width=width)
        renderer.draw_circle((0, 0), 0.06, INK)
        renderer.draw_circle((0, 0), 0.025, PALE)
        _draw_torque(float(state.torque), renderer)
        renderer.draw()


def _torque(action: Float[Array, "1"]) -> Float[Array, ""]:
    return jnp.clip(jnp.asarray(action[0], jnp.float32), -MAX_TORQUE, MAX_TORQUE)


def _draw_torque(torque: float, renderer: AbstractRenderer) -> None:
    """Draws an arrow around the hinge, as long as the torque is large."""
    sweep = torque / MAX_TORQUE * 0.75 * math.pi
    if not abs(sweep) > 0.05:
        return
    turns = np.linspace(0, sweep, 2 + round(abs(sweep) / 0.15)).tolist()
    arc = [(-ARC * math.sin(turn), ARC * math.cos(turn)) for turn in turns]
    renderer.draw_polyline(arc, DARK, width=renderer.transform.scale_length(0.03))
    end, ahead = turns[-1], math.copysign(0.25, sweep)
    corners = [(end + ahead, ARC), (end, ARC + 0.07), (end, ARC - 0.07)]
    renderer.draw_polygon([(-r * math.sin(turn), r * math.cos(turn)) for turn, r in corners], MARK)
